"""The evaluator: cross-fitting without a leak, folds, absences, several tasks, seeds, limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_search import BOTH, KIND, SIZE, evaluator_of, labels_of, presence_of, states_of

from plait.fusion import LATE_RULES, Candidate
from plait.fusion.architecture import concat_of
from plait.fusion.late import LateFusion
from plait.fusion.stack import stack
from plait.fusion.stack.weights import seed_of
from plait.search import Trial, competitors
from plait.search.evaluator import FOLDS, REPEATS, SEEDS, SMALL_VALIDATION
from plait.tasks.score import Labels, score
from plait.training import Plan

ALONE = Candidate(name="a", kind="unimodal", modality="a")
EARLY = Candidate(name="early", kind="early", architecture=concat_of({"a": 0, "b": 0}, depth=2))
DEEP = Candidate(name="deep", kind="architecture", architecture=concat_of({"a": 1, "b": 1}))
FITTED = ("weighted-mean", "stacking", "product", "max")


def late(rule: str) -> Candidate:
    return Candidate(name=f"late {rule}", kind="late", rule=rule, modalities=("a", "b"))


def same_outputs(one: Trial, two: Trial) -> bool:
    return all(
        np.array_equal(first[name], second[name])
        for first, second in zip(one.outputs, two.outputs, strict=True)
        for name in first
    )


def relabelled(labels: Labels, row: int) -> Labels:
    targets = {name: values.copy() for name, values in labels.targets.items()}
    labelled = {name: values.copy() for name, values in labels.labelled.items()}
    targets["kind"][row] = 1 - targets["kind"][row]
    targets["size"][row] = 40.0
    for mask in labelled.values():
        mask[row] = True
    return Labels(targets, labelled, labels.groups)


@pytest.mark.parametrize("rule", list(LATE_RULES))
@pytest.mark.parametrize("row", [60, 73, 119])
def test_a_row_never_sees_its_own_label(rule, row) -> None:
    """The label of one validation row is changed: its own outputs stay, in every repeat; those of others may move."""
    labels, present = labels_of(120), presence_of(120)
    states = states_of(labels)  # made from the labels as they were
    for mask in present.values():
        mask[row] = True
    (before,) = evaluator_of(labels=labels, states=states, present=present).evaluate([late(rule)])
    (after,) = evaluator_of(labels=relabelled(labels, row), states=states, present=present).evaluate([late(rule)])
    assert len(before.outputs) == len(after.outputs)
    for one, two in zip(before.outputs, after.outputs, strict=True):
        for task in BOTH:
            np.testing.assert_array_equal(one[task.name][row - 60], two[task.name][row - 60])
    if rule in ("weighted-mean", "stacking"):
        assert not same_outputs(before, after), "the label has no influence at all: the test would prove nothing"


def test_a_group_never_sees_the_labels_of_its_rows() -> None:
    groups = np.arange(120) // 4
    labels = labels_of(120, groups=groups)
    states = states_of(labels)
    (before,) = evaluator_of(labels=labels, states=states).evaluate([late("stacking")])
    (after,) = evaluator_of(labels=relabelled(labels, 80), states=states).evaluate([late("stacking")])
    together = np.flatnonzero(groups == groups[80]) - 60
    assert len(together) == 4
    for one, two in zip(before.outputs, after.outputs, strict=True):
        for task in BOTH:
            np.testing.assert_array_equal(one[task.name][together], two[task.name][together])
    assert not same_outputs(before, after)


def test_validation_labels_do_not_move_weights_that_are_trained() -> None:
    """One epoch leaves nothing to choose: trained on training rows, the outputs know no validation label."""
    labels, plan = labels_of(120), Plan(epochs=1, batch_size=32)
    states = states_of(labels)
    (before,) = evaluator_of(labels=labels, states=states, plan=plan).evaluate([DEEP])
    (after,) = evaluator_of(labels=relabelled(labels, 70), states=states, plan=plan).evaluate([DEEP])
    assert same_outputs(before, after)
    (moved,) = evaluator_of(labels=relabelled(labels, 7), states=states, plan=plan).evaluate([DEEP])
    assert not same_outputs(before, moved)


@given(st.integers(0, 2**31 - 1), st.integers(1, 60), st.integers(0, 4))
@settings(max_examples=30)
def test_folds(seed, rows, repeat) -> None:
    plan = Plan(epochs=1, seed=seed)
    evaluator = evaluator_of(rows + 2, plan=plan, validation=rows)
    found = evaluator.folds(repeat)
    assert len(found) == rows
    sizes = np.bincount(found, minlength=FOLDS)
    assert len(sizes) == FOLDS
    assert sizes.max() - sizes.min() <= 1
    again = evaluator_of(rows + 2, plan=plan, validation=rows, labels=labels_of(rows + 2, seed=9))
    np.testing.assert_array_equal(again.folds(repeat), found)  # by seed and number alone
    if rows >= 30:
        assert not np.array_equal(evaluator.folds(repeat + 1), found)


@given(st.integers(0, 2**31 - 1), st.integers(1, 30))
@settings(max_examples=30)
def test_folds_keep_groups_together(seed, count) -> None:
    groups = np.random.default_rng(seed).integers(0, count, 60)
    found = evaluator_of(60, labels=labels_of(60, groups=groups), validation=50).folds(0)
    ours = groups[10:]
    for group in np.unique(ours):
        assert len(set(found[ours == group])) == 1
    assert len(set(found)) == min(FOLDS, len(np.unique(ours)))


@pytest.mark.parametrize("rule", ["weighted-mean", "stacking"])
def test_cross_fitting_against_a_plain_loop(rule) -> None:
    evaluator = evaluator_of()
    (trial,) = evaluator.evaluate([late(rule)])
    assert len(trial.outputs) == REPEATS
    module = late(rule).build(evaluator.widths, BOTH)
    assert isinstance(module, LateFusion)
    decisions, present = evaluator._decisions(module)
    for repeat in (0, REPEATS - 1):
        folds = evaluator.folds(repeat)
        for fold in range(FOLDS):
            fitted = late(rule).build(evaluator.widths, BOTH)
            evaluator._fit(fitted, decisions, present, np.flatnonzero(folds != fold))
            inside = np.flatnonzero(folds == fold)
            for task, part, decision in zip(BOTH, fitted.rules, decisions, strict=True):
                expected = part(decision[:, inside], present[:, inside]).numpy()
                np.testing.assert_allclose(trial.outputs[repeat][task.name][inside], expected, atol=1e-6)


def test_returned_weights_are_fitted_on_all_validation_rows() -> None:
    evaluator = evaluator_of()
    (trial,) = evaluator.evaluate([late("weighted-mean")])
    module = late("weighted-mean").build(evaluator.widths, BOTH)
    evaluator._fit(module, *evaluator._decisions(module), np.arange(60))
    assert trial.weights.keys() == module.state_dict().keys()
    assert all(torch.equal(trial.weights[name], tensor) for name, tensor in module.state_dict().items())


def test_many_validation_rows_are_cross_fitted_once() -> None:
    rows = SMALL_VALIDATION + 20
    (few,) = evaluator_of(rows, validation=SMALL_VALIDATION - 1).evaluate([late("weighted-mean")])
    (many,) = evaluator_of(rows, validation=SMALL_VALIDATION).evaluate([late("weighted-mean")])
    assert (len(few.outputs), len(many.outputs)) == (REPEATS, 1)


def test_what_is_not_fitted_is_scored_as_it_is() -> None:
    evaluator = evaluator_of()
    alone, vote, mean = evaluator.evaluate([ALONE, late("vote"), late("mean")])
    assert len(alone.outputs) == len(vote.outputs) == len(mean.outputs) == 1
    here = evaluator.validation.present["a"][60:]
    flat = evaluator.validation.inputs["a"][60:]
    np.testing.assert_array_equal(alone.outputs[0]["kind"][here], flat[here, 9:11])
    np.testing.assert_array_equal(alone.outputs[0]["size"][here], flat[here, 11:])
    np.testing.assert_allclose(alone.outputs[0]["kind"][~here], [KIND.prior] * (~here).sum(), rtol=1e-6)
    assert alone.score == score(BOTH, alone.outputs[0], evaluator.labels)


def test_trained_candidates_have_several_seeds_and_the_first_ones_weights() -> None:
    evaluator = evaluator_of()
    (trial,) = evaluator.evaluate([DEEP])
    assert len(trial.outputs) == len(trial.scores) == SEEDS
    assert not np.array_equal(trial.outputs[0]["kind"], trial.outputs[1]["kind"])
    assert trial.score == pytest.approx(np.mean(trial.scores))
    module = DEEP.build(evaluator.widths, BOTH)
    module.load_state_dict(trial.weights)
    for name, values in evaluator._outputs(module).items():
        np.testing.assert_allclose(values, trial.outputs[0][name], atol=1e-5)


def test_company_and_order_do_not_matter() -> None:
    candidates = [ALONE, late("stacking"), EARLY, DEEP]
    together = evaluator_of().evaluate(candidates)
    assert [trial.candidate for trial in together] == candidates
    backwards = evaluator_of().evaluate(candidates[::-1])[::-1]
    for candidate, one, two in zip(candidates, together, backwards, strict=True):
        (alone,) = evaluator_of().evaluate([candidate])
        for other in (alone, two):
            assert one.scores == pytest.approx(other.scores, abs=0 if not candidate.trained else 1e-5)
            for mine, theirs in zip(one.outputs, other.outputs, strict=True):
                for name, values in mine.items():  # what is trained together is summed in another order
                    np.testing.assert_allclose(values, theirs[name], atol=1e-5 if candidate.trained else 0)


def test_another_seed_gives_other_weights() -> None:
    (one,) = evaluator_of().evaluate([DEEP])
    (two,) = evaluator_of(plan=Plan(epochs=3, batch_size=32, seed=1)).evaluate([DEEP])
    assert not same_outputs(one, two)


def test_random_numbers_are_untouched() -> None:
    before = torch.get_rng_state()
    evaluator_of().evaluate([late("stacking"), DEEP])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("part", ["training", "validation", "everywhere"])
def test_a_modality_that_is_absent(part) -> None:
    present = presence_of(120)
    rows = {"training": slice(0, 60), "validation": slice(60, 120), "everywhere": slice(0, 120)}[part]
    present["b"][rows] = False
    evaluator = evaluator_of(present=present)
    trials = evaluator.evaluate(competitors(evaluator.widths))
    assert len(trials) == 2 + len(LATE_RULES) + 2
    for trial in trials:
        assert all(bool(np.isfinite(v).all()) for one in trial.outputs for v in one.values()), trial.candidate.name
        assert trial.score is not None
    found = {trial.candidate.name: trial.score for trial in trials}
    if part != "training":
        assert found["b"] == pytest.approx(0, abs=1e-6)  # the constant predictor
        for rule in set(LATE_RULES) - {"stacking", "vote"}:  # those of one modality are not its own probabilities
            assert found[f"late {rule}"] == pytest.approx(found["a"], abs=1e-3)


def test_what_stands_in_an_absent_place_does_not_matter() -> None:
    labels, present = labels_of(120), presence_of(120)
    states = states_of(labels)
    spoilt = {name: np.where(present[name][:, None], values, np.float32(77)) for name, values in states.items()}
    candidates = [ALONE, *(late(rule) for rule in LATE_RULES), EARLY]
    one = evaluator_of(labels=labels, states=states, present=present).evaluate(candidates)
    two = evaluator_of(labels=labels, states=spoilt, present=present).evaluate(candidates)
    for first, second in zip(one, two, strict=True):
        assert same_outputs(first, second), first.candidate.name


@pytest.mark.parametrize("task", BOTH, ids=lambda task: task.name)
def test_one_task(task) -> None:
    evaluator = evaluator_of(300, tasks=(task,), plan=Plan(epochs=15, batch_size=32))
    trials = {trial.candidate.name: trial for trial in evaluator.evaluate(competitors(evaluator.widths))}
    assert all(trial.score is not None for trial in trials.values())
    assert all(trial.outputs[0][task.name].shape == (150, task.outputs) for trial in trials.values())
    assert trials["a"].score > trials["b"].score > 0  # the better modality
    assert trials["late stacking"].score > 0.3
    assert trials["concat of last layers"].score > 0.2


def test_a_task_without_validation_labels_is_left_out_of_the_score() -> None:
    labels = labels_of(120)
    labels.labelled["size"][60:] = False
    evaluator = evaluator_of(labels=labels)
    (trial,) = evaluator.evaluate([ALONE])
    assert trial.score == pytest.approx(score((KIND,), trial.outputs[0], evaluator.labels))
    labels.labelled["kind"][60:] = False
    trials = evaluator_of(labels=labels).evaluate([ALONE, late("stacking"), DEEP])
    assert [trial.score for trial in trials] == [None] * 3
    assert [set(trial.scores) for trial in trials] == [{None}] * 3


def test_a_task_without_training_labels_still_gives_finite_outputs() -> None:
    labels = labels_of(120)
    labels.labelled["size"][:60] = False
    (trial,) = evaluator_of(labels=labels).evaluate([DEEP])
    assert trial.score is not None


def test_unlabelled_training_rows_are_not_used() -> None:
    labels = labels_of(120)
    nothing = np.zeros(120, bool)
    nothing[:20] = True
    for mask in labels.labelled.values():
        mask[nothing] = False
    states = states_of(labels)
    assert set(evaluator_of(labels=labels, states=states).train.index) & set(range(20)) == set()
    spoilt = {name: np.where(nothing[:, None], np.float32(1e9), values) for name, values in states.items()}
    (one,) = evaluator_of(labels=labels, states=states).evaluate([DEEP])
    (two,) = evaluator_of(labels=labels, states=spoilt).evaluate([DEEP])
    assert same_outputs(one, two)


def test_moments_are_those_of_the_training_rows_that_have_the_modality() -> None:
    evaluator = evaluator_of()
    rows = evaluator.train.index[evaluator.train.present["b"][evaluator.train.index]]
    taken = evaluator.train.inputs["b"][rows].astype(np.float64)
    for layer, columns in enumerate((slice(0, 4), slice(4, 9), slice(9, 12))):
        mean, deviation = evaluator.moments("b", layer)
        np.testing.assert_allclose(mean, taken[:, columns].mean(0), rtol=1e-5)
        np.testing.assert_allclose(deviation, taken[:, columns].std(0), rtol=1e-5)


def test_other_metrics_rank_too() -> None:
    by_metric = evaluator_of(metric="auroc", tasks=(KIND,)).evaluate([ALONE, late("mean")])
    assert all(0.5 < trial.score <= 1 for trial in by_metric)
    by_error = evaluator_of(metric="mae", tasks=(SIZE,)).evaluate([ALONE])
    assert by_error[0].score < 0  # turned: higher is better


def test_time_is_asked_for_every_training_with_those_still_to_come() -> None:
    asked: list[int] = []

    def seconds(trainings: int) -> float:
        asked.append(trainings)
        return 0.0

    told: list[str] = []
    candidates = [ALONE, DEEP, late("mean"), EARLY]
    trials = evaluator_of().evaluate(candidates, seconds, told.append)
    assert asked == [2 * seeds for seeds in range(SEEDS, 0, -1)], "once for every stack of a seed"
    assert sorted(told) == ["a", "deep", "early", "late mean"]
    asked.clear()
    one_by_one = evaluator_of()
    one_by_one.stack = 1
    one_by_one.evaluate(candidates, seconds)
    assert asked == list(range(2 * SEEDS, 0, -1))
    assert one_by_one.cut == 2 * SEEDS
    assert all(trial.score is not None and trial.seconds >= 0 for trial in trials)


def spoil(monkeypatch, seed: int, candidate: Candidate) -> None:
    """From this seed, and from it alone, a candidate begins with weights that are no numbers."""
    plain, ill = stack.fresh_weights, seed_of(seed, candidate.architecture)

    def fresh(architecture, sizes, drawn_from):
        weights = plain(architecture, sizes, drawn_from)
        return weights * math.nan if drawn_from == ill else weights

    monkeypatch.setattr(stack, "fresh_weights", fresh)


def test_a_seed_that_diverged_leaves_no_score(monkeypatch) -> None:
    """The mean of the seeds that went well would be a lie."""
    spoil(monkeypatch, 1000, DEEP)
    (trial,) = evaluator_of().evaluate([DEEP])
    assert [value is None for value in trial.scores] == [False, True, False]
    assert trial.score is None


def test_a_candidate_that_diverged_spoils_no_other(monkeypatch) -> None:
    candidates = [DEEP, EARLY, Candidate(name="last", kind="early", architecture=concat_of({"a": 2, "b": 2}))]
    before = evaluator_of().evaluate(candidates)
    spoil(monkeypatch, 1000, EARLY)
    after = evaluator_of().evaluate(candidates)
    assert [trial.score is None for trial in after] == [False, True, False]
    assert after[1].scores[::2] == before[1].scores[::2], "its other seeds are as good as ever"
    for number in (0, 2):
        assert after[number].scores == before[number].scores
        assert same_outputs(after[number], before[number])
        assert all(torch.equal(after[number].weights[name], t) for name, t in before[number].weights.items())


def test_states_may_be_read_only_maps(tmp_path) -> None:
    labels = labels_of(120)
    states = states_of(labels)
    mapped = {}
    for name, values in states.items():
        np.save(tmp_path / f"{name}.npy", values)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    candidates = [ALONE, late("stacking"), DEEP]
    for one, two in zip(
        evaluator_of(labels=labels, states=states).evaluate(candidates),
        evaluator_of(labels=labels, states=mapped).evaluate(candidates),
        strict=True,
    ):
        assert same_outputs(one, two)


def test_few_validation_rows() -> None:
    for rows in (1, 2, 4):
        evaluator = evaluator_of(62, validation=rows, labels=replace(labels_of(62)))
        for trial in evaluator.evaluate([ALONE, *(late(rule) for rule in LATE_RULES), DEEP]):
            assert all(bool(np.isfinite(v).all()) for one in trial.outputs for v in one.values())


@pytest.mark.gpu
def test_on_cuda() -> None:
    evaluator = evaluator_of()
    evaluator.device = "cuda"
    (there,) = evaluator.evaluate([DEEP])
    (here,) = evaluator_of().evaluate([DEEP])
    assert there.score == pytest.approx(here.score, abs=0.05)
    assert all(tensor.device.type == "cpu" for tensor in there.weights.values())


def test_within_draws_rows_and_leaves_the_rest_as_it_is() -> None:
    whole = evaluator_of(160, plan=Plan(epochs=2, batch_size=32))
    before = len(whole.train), len(whole.validation)
    some = whole.within(30, 20)
    assert (len(some.train), len(some.validation), len(some.labels)) == (30, 20, 20)
    assert set(some.train.index) < set(whole.train.index)
    assert set(some.validation.index) < set(whole.validation.index)
    where = [list(whole.validation.index).index(row) for row in some.validation.index]
    np.testing.assert_array_equal(some.labels.targets["size"], whole.labels.targets["size"][where])
    assert (len(whole.train), len(whole.validation)) == before
    same = whole.within(30, 20)
    np.testing.assert_array_equal(some.train.index, same.train.index)
    every = whole.within(1_000, 1_000)
    assert every.train is whole.train
    assert every.labels is whole.labels
    (trial,) = some.evaluate([Candidate(name="deep", kind="architecture", architecture=concat_of({"a": 1, "b": 1}))])
    assert len(trial.outputs[0]["size"]) == 20
