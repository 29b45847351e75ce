"""Greedy ensemble selection: what is taken, how it is scored, and that it predicts as it was scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_search import BOTH, SIZE, evaluator_of, labels_of, trial_of

from plait.fusion import Candidate
from plait.fusion.architecture import concat_of
from plait.search import ensemble
from plait.search.competitors import competitors
from plait.search.ensemble import MOST, _Pool, ensemble_of, ensembles
from plait.tasks.score import score
from plait.training import Model, Plan
from plait.training.model import CachedStates


def folds_of(rows: int):
    return lambda repeat: np.arange(rows) % 5


def noisy(rows: int = 200, count: int = 4, seed: int = 0):
    """Trials on one number, each right up to a noise of its own, and one that knows nothing."""
    labels = labels_of(rows, seed, tasks=(SIZE,))
    rng = np.random.default_rng(seed)
    truth = labels.targets["size"]
    good = [trial_of(f"t{n}", "late", [truth + rng.normal(size=rows)], 0.1) for n in range(count)]
    return labels, [*good, trial_of("rubbish", "late", [5 * rng.normal(size=rows)], -9.0)]


def test_independent_errors_average_out_and_rubbish_is_left_out() -> None:
    labels, trials = noisy()
    found = ensemble_of(trials, (SIZE,), labels, folds_of(200))
    assert found is not None
    alone = [score((SIZE,), trial.outputs[0], labels) for trial in trials]
    assert found.score > max(alone) + 0.1
    assert {member.name for member in found.candidate.members} == {"t0", "t1", "t2", "t3"}
    assert sum(found.candidate.counts) <= MOST
    assert found.candidate.cost > trials[0].candidate.cost


def test_a_row_is_scored_by_a_selection_that_did_not_see_it() -> None:
    labels, trials = noisy(60)
    before = ensemble_of(trials, (SIZE,), labels, folds_of(60))
    row = int(np.flatnonzero(labels.labelled["size"])[7])
    labels.targets["size"][row] += 100
    after = ensemble_of(trials, (SIZE,), labels, folds_of(60))
    same = np.arange(60) % 5 == row % 5
    np.testing.assert_array_equal(before.outputs[0]["size"][same], after.outputs[0]["size"][same])


def test_one_trial_is_no_ensemble() -> None:
    labels, trials = noisy()
    assert ensemble_of(trials[:1], (SIZE,), labels, folds_of(200)) is None
    spoilt = trial_of("no score", "late", [np.full(200, np.nan)], None)
    assert ensemble_of([trials[0], spoilt], (SIZE,), labels, folds_of(200)) is None


def of_views(tabular: int, image: int, rows: int = 400):
    """Models of the table, each right up to a noise of its own, of images that know less, and one of both."""
    labels = labels_of(rows, 0, tasks=(SIZE,))
    rng = np.random.default_rng(0)
    truth = labels.targets["size"]
    made = []
    for modality, count, noise in (("tabular", tabular, 1.0), ("image", image, 3.0)):
        for number in range(count):
            told = truth + noise * rng.normal(size=rows)
            made.append(trial_of(f"{modality} {number}", "unimodal", [told], 1 / noise, (modality,)))
    return labels, [*made, trial_of("both", "late", [truth + rng.normal(size=rows)], 1.0, ("image", "tabular"))]


def test_averaging_several_models_of_one_modality_competes_too() -> None:
    """Else the gain of averaging would be told as one of fusion."""
    labels, trials = of_views(4, 2)
    every, alone = ensembles(trials, (SIZE,), labels, folds_of(400))
    assert (every.candidate.name, alone.candidate.name) == ("ensemble", "ensemble of tabular")
    assert alone.candidate.used == ("tabular",)
    assert alone.candidate.cost < every.candidate.cost
    assert alone.score > max(score((SIZE,), trial.outputs[0], labels) for trial in trials) + 0.1


@pytest.mark.parametrize(("tabular", "image", "kept"), [(1, 2, 7), (3, 0, 3)])
def test_one_model_or_one_modality_is_no_ensemble_of_its_own(tabular: int, image: int, kept: int) -> None:
    labels, trials = of_views(tabular, image)
    found = ensembles(trials[:kept], (SIZE,), labels, folds_of(400))
    assert [one.candidate.name for one in found] == ["ensemble"]


def test_selection_is_greedy_from_the_best_one_on() -> None:
    labels, trials = noisy(count=3)
    pool = _Pool(trials, (SIZE,), labels, np.arange(200))
    counts = pool.select(np.arange(200))
    values = pool.value(SIZE, pool.told["size"], np.arange(200))
    assert counts[int(values.argmax())] >= 1
    assert counts[-1] == 0
    wanted = [score((SIZE,), trial.outputs[0], labels) for trial in trials]
    np.testing.assert_allclose(values.numpy(), wanted, atol=1e-6)


def test_it_predicts_what_it_was_made_of() -> None:
    """From states to outputs by one module with one state dict, for a class and a number."""
    evaluator = evaluator_of(160, plan=Plan(epochs=2, batch_size=32))
    deep = Candidate(name="deep", kind="architecture", architecture=concat_of({"a": 1, "b": 1}))
    trials = evaluator.evaluate([*competitors(evaluator.widths), deep])
    found = ensemble_of(trials, BOTH, evaluator.labels, evaluator.folds)
    module = found.candidate.build(evaluator.widths, BOTH)
    module.load_state_dict(dict(found.weights))
    assert module.modalities == found.candidate.used
    model = Model({name: CachedStates(evaluator.widths[name]) for name in module.modalities}, module, BOTH)
    told = model.predict(evaluator._only(evaluator.validation, module))
    known = {trial.candidate.name: trial for trial in trials}
    total = sum(found.candidate.counts)
    chances = sum(
        count / total * torch.from_numpy(known[member.name].outputs[0]["kind"]).softmax(-1)
        for member, count in zip(found.candidate.members, found.candidate.counts, strict=True)
    )
    fitted = [member.rule for member in found.candidate.members if member.rule in ("weighted-mean", "stacking")]
    if not fitted:  # those are scored by other parameters than they predict by
        torch.testing.assert_close(told["kind"].exp(), chances, atol=1e-4, rtol=1e-4)
    assert torch.isfinite(told["size"]).all()
    assert Candidate.model_validate(found.candidate.model_dump(exclude_defaults=True)) == found.candidate


def test_members_and_counts_belong_together() -> None:
    alone = Candidate(name="a", kind="unimodal", modality="a")
    with pytest.raises(ValueError, match="counts once or more often"):
        Candidate(name="ensemble", kind="ensemble", members=(alone,), counts=())
    with pytest.raises(ValueError, match="or ensemble"):
        Candidate(name="nothing", kind="ensemble")


def test_members_are_selected_by_some_rows_where_all_have_too_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, trials = noisy()
    whole = ensemble_of(trials, (SIZE,), labels, folds_of(200))
    monkeypatch.setattr(ensemble, "MOST_NUMBERS", 100 * len(trials))
    monkeypatch.setattr(ensemble, "FEWEST_ROWS", 100)
    part = ensemble_of(trials, (SIZE,), labels, folds_of(200))
    assert len(part.outputs[0]["size"]) == 200
    assert part.score == pytest.approx(whole.score, abs=0.05)
    others = np.setdiff1d(np.arange(200), ensemble._drawn(200, len(trials)))
    labels.targets["size"][others] += 100
    assert len(others) == 100
    assert ensemble_of(trials, (SIZE,), labels, folds_of(200)).candidate == part.candidate, "others have no say"
