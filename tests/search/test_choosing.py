"""Choosing: the one-standard-error rule on made trials, and the bootstrap against analytic standard errors."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_search import KIND, SIZE, trial_of

from plait.fusion import Candidate
from plait.search import Trial, choose, choosing
from plait.search.choosing import DRAWS, METRIC_DRAWS, bootstrap_scores, intervals
from plait.tasks.score import Labels, score

ROWS = 400


def labels_of(rows: int = ROWS, seed: int = 0, groups: np.ndarray | None = None) -> Labels:
    truth = np.random.default_rng(seed).normal(size=rows).astype(np.float32)
    return Labels({"size": truth}, {"size": np.ones(rows, bool)}, groups)


def guess(labels: Labels, noise: float, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng([seed, 5])
    return labels.targets["size"] + noise * rng.normal(size=len(labels)) + shift


def made(name: str, kind: str, labels: Labels, *outputs: np.ndarray, modalities=("a", "b")) -> Trial:
    scores = [score((SIZE,), {"size": values.astype(np.float32)[:, None]}, labels) for values in outputs]
    known = None if None in scores else float(np.mean(scores))
    return trial_of(name, kind, list(outputs), known, modalities)


def chosen(trials: list[Trial], labels: Labels) -> str:
    return trials[choose(trials, (SIZE,), labels, 0).chosen].candidate.name


def test_a_clear_winner_is_chosen_however_costly() -> None:
    labels = labels_of()
    trials = [
        made("cheap", "unimodal", labels, guess(labels, 0.9), modalities=("a",)),
        made("middle", "late", labels, guess(labels, 0.8)),
        made("costly", "architecture", labels, guess(labels, 0.2)),
    ]
    choice = choose(trials, (SIZE,), labels, 0)
    assert (choice.chosen, choice.best, choice.order, choice.tied) == (2, 2, (2, 1, 0), (2,))
    assert choice.sentence.startswith("costly has the highest validation score and nothing cheaper comes within one")


def test_the_cheapest_within_one_standard_error_is_chosen() -> None:
    labels = labels_of()
    first = guess(labels, 0.5)
    trials = [
        made("costly", "architecture", labels, first),
        made("cheap", "unimodal", labels, first + 0.02 * np.sign(guess(labels, 1, 3)), modalities=("a",)),
        made("middle", "late", labels, first + 0.001 * np.sign(guess(labels, 1, 3))),
        made("bad", "unimodal", labels, guess(labels, 2), modalities=("b",)),
    ]
    points = np.array([trial.score for trial in trials])
    drawn = bootstrap_scores((SIZE,), [trial.outputs for trial in trials], labels, 0)
    choice = choose(trials, (SIZE,), labels, 0)
    best = int(points.argmax())
    errors = (drawn[best] - drawn).std(1)
    within = {i for i in range(4) if points[best] - points[i] <= errors[i]}
    assert set(choice.tied) == within
    assert choice.best == best
    cheapest = min(within, key=lambda i: trials[i].candidate.cost)
    assert choice.chosen == cheapest
    assert 3 not in within


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=20)
def test_the_rule_on_random_trials(seed) -> None:
    """Chosen is tied with the best; nothing cheaper is tied; the order is by score."""
    rng = np.random.default_rng(seed)
    labels = labels_of(60, seed)
    kinds = ["unimodal", "late", "early", "architecture"]
    trials = [
        made(f"t{i}", str(rng.choice(kinds[1:])), labels, guess(labels, float(rng.uniform(0.5, 0.7)), i))
        for i in range(5)
    ]
    trials.append(made("one", "unimodal", labels, guess(labels, 0.6, 9), modalities=("a",)))
    choice = choose(trials, (SIZE,), labels, seed)
    scores = [trials[i].score for i in choice.order]
    assert scores == sorted(scores, reverse=True)
    assert choice.best == choice.order[0]
    drawn = bootstrap_scores((SIZE,), [trial.outputs for trial in trials], labels, seed)
    gaps = np.array([trials[choice.best].score - trial.score for trial in trials])
    errors = (drawn[choice.best] - drawn).std(axis=1)
    assert set(choice.tied) == set(np.flatnonzero(gaps <= errors))
    assert choice.chosen in choice.tied
    assert all(trials[i].candidate.cost >= trials[choice.chosen].candidate.cost for i in choice.tied)
    again = choose(trials, (SIZE,), labels, seed)
    assert again == choice


def test_equal_scores_go_to_the_cheaper() -> None:
    labels = labels_of()
    same = guess(labels, 0.5)
    trials = [
        made("architecture", "architecture", labels, same),
        made("late", "late", labels, same),
        made("b alone", "unimodal", labels, same, modalities=("b",)),
        made("a alone", "unimodal", labels, same, modalities=("a",)),
    ]
    assert chosen(trials, labels) == "a alone"  # at the same cost, by name
    assert chosen(trials[:2], labels) == "late"
    assert chosen(trials[:1], labels) == "architecture"


def test_among_equally_cheap_ones_the_better_is_chosen() -> None:
    labels = labels_of()
    first = guess(labels, 0.5)
    trials = [
        made("another", "late", labels, first + 0.01 * np.sign(guess(labels, 1, 7))),
        made("better", "late", labels, first),
    ]
    better = max(trials, key=lambda trial: trial.score)
    choice = choose(trials, (SIZE,), labels, 0)
    assert len(choice.tied) == 2
    assert trials[choice.chosen] is better


def test_of_those_a_metric_cannot_tell_apart_the_loss_chooses() -> None:
    labels = labels_of()
    good = guess(labels, 0.5)
    order = score((SIZE,), {"size": good.astype(np.float32)[:, None]}, labels, "spearman")
    trials = [trial_of(name, "late", [share * good], order) for name, share in (("a faint", 0.1), ("clear", 0.8))]
    choice = choose(trials, (SIZE,), labels, 0, "spearman")
    assert (choice.chosen, choice.best, choice.order) == (1, 1, (1, 0))
    assert choice.sentence.startswith("clear has the highest validation score")


@pytest.mark.parametrize("bad", [None, float("nan"), float("-inf")])
def test_candidates_without_a_score_come_last_and_are_never_chosen(bad) -> None:
    labels = labels_of()
    trials = [
        trial_of("diverged", "unimodal", [np.full(ROWS, np.nan)], bad, ("a",)),
        made("late", "late", labels, guess(labels, 0.5)),
        made("b", "unimodal", labels, guess(labels, 1.5), modalities=("b",)),
    ]
    choice = choose(trials, (SIZE,), labels, 0)
    assert choice.order == (1, 2, 0)
    assert choice.chosen == 1
    assert choice.low[0] is None
    assert choice.high[0] is None
    assert choice.fusion is not None
    assert choice.fusion.than == "b"
    json.dumps(asdict(choice), allow_nan=False)


def test_one_diverged_seed_takes_the_candidate_out() -> None:
    labels = labels_of()
    trials = [
        trial_of("half", "unimodal", [guess(labels, 0.01), np.full(ROWS, np.nan)], None, ("a",)),
        made("late", "late", labels, guess(labels, 0.5)),
    ]
    choice = choose(trials, (SIZE,), labels, 0)
    assert choice.chosen == 1
    assert choice.low[0] is None
    assert choice.fusion is None
    assert "Fusion could not be compared with single modalities: one side has no score." in choice.sentence
    json.dumps(asdict(choice), allow_nan=False)


def test_without_labels_the_cheapest_is_taken_and_told() -> None:
    labels = Labels({"size": np.zeros(5, np.float32)}, {"size": np.zeros(5, bool)})
    trials = [
        trial_of("late", "late", [np.zeros(5)], None),
        trial_of("b", "unimodal", [np.zeros(5)], None, ("b",)),
        trial_of("a", "unimodal", [np.zeros(5)], None, ("a",)),
    ]
    choice = choose(trials, (SIZE,), labels, 0)
    assert choice.chosen == choice.best == 2
    assert choice.low == choice.high == (None, None, None)
    assert choice.sentence.startswith("No validation row has a label, so nothing could be compared: a is the cheapest")
    json.dumps(asdict(choice), allow_nan=False)


def test_whether_fusion_pays_is_told() -> None:
    labels = labels_of()
    single = made("a", "unimodal", labels, guess(labels, 0.6), modalities=("a",))
    better = made("late", "late", labels, guess(labels, 0.3))
    worse = made("late", "late", labels, guess(labels, 0.9))
    equal = made("late", "late", labels, guess(labels, 0.6, seed=4))
    told = choose([single, better], (SIZE,), labels, 0)
    assert told.fusion is not None
    assert (told.fusion.better, told.fusion.than) == ("late", "a")
    assert told.fusion.difference == pytest.approx(better.score - single.score)
    assert told.fusion.low < told.fusion.difference < told.fusion.high
    assert "Fusion pays: late against a: +" in told.sentence
    assert "Fusion makes it worse: late against a: -" in choose([single, worse], (SIZE,), labels, 0).sentence
    assert "Fusion does not pay: late against a: " in choose([single, equal], (SIZE,), labels, 0).sentence
    alone = choose([single], (SIZE,), labels, 0)
    assert alone.fusion is None
    assert alone.sentence.endswith("There is one modality, so there was nothing to fuse.")


def analytic_error(outputs: np.ndarray, labels: Labels, groups: np.ndarray | None = None) -> float:
    """Standard error of 1 - mean loss / mean constant loss by the delta method; sums over groups where given."""
    truth = labels.targets["size"].astype(float)
    loss, constant = (outputs - truth) ** 2, truth**2
    if groups is not None:
        loss, constant = np.bincount(groups, loss), np.bincount(groups, constant)
    ratio = loss.sum() / constant.sum()
    return float(np.sqrt(((loss - ratio * constant) ** 2).sum()) / constant.sum())


def test_bootstrap_against_the_analytic_standard_error() -> None:
    labels = labels_of(2000)
    outputs = guess(labels, 0.5)
    drawn = bootstrap_scores((SIZE,), [[{"size": outputs.astype(np.float32)[:, None]}]], labels, 0)
    assert drawn.shape == (1, DRAWS)
    assert drawn.std() == pytest.approx(analytic_error(outputs, labels), rel=0.1)
    assert drawn.mean() == pytest.approx(
        score((SIZE,), {"size": outputs.astype(np.float32)[:, None]}, labels), abs=2e-3
    )
    (low,), (high,) = intervals(drawn)
    assert high - low == pytest.approx(2 * 1.96 * analytic_error(outputs, labels), rel=0.12)


def test_bootstrap_of_groups_against_the_analytic_standard_error() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 300, 2000)
    labels = labels_of(2000, groups=groups)
    outputs = labels.targets["size"] + 0.5 * rng.normal(size=300)[groups]  # all rows of a group err together
    given = [[{"size": outputs.astype(np.float32)[:, None]}]]
    by_group = bootstrap_scores((SIZE,), given, labels, 0).std()
    by_row = bootstrap_scores((SIZE,), given, Labels(labels.targets, labels.labelled), 0).std()
    assert by_group == pytest.approx(analytic_error(outputs, labels, groups), rel=0.1)
    assert by_row == pytest.approx(analytic_error(outputs, labels), rel=0.1)
    assert by_group > 1.5 * by_row


def test_groups_of_one_row_are_rows() -> None:
    labels = labels_of(100)
    grouped = Labels(labels.targets, labels.labelled, np.arange(100) * 7)
    given = [[{"size": guess(labels, 0.5).astype(np.float32)[:, None]}]]
    np.testing.assert_array_equal(
        bootstrap_scores((SIZE,), given, labels, 0), bootstrap_scores((SIZE,), given, grouped, 0)
    )


def test_paired_difference_against_the_analytic_standard_error() -> None:
    labels = labels_of(2000)
    one = guess(labels, 0.5)
    two = one + 0.1 * np.random.default_rng(8).normal(size=2000)
    truth = labels.targets["size"].astype(float)
    extra, constant = (two - truth) ** 2 - (one - truth) ** 2, truth**2
    expected = np.sqrt(((extra - extra.sum() / constant.sum() * constant) ** 2).sum()) / constant.sum()
    single = made("a", "unimodal", labels, two, modalities=("a",))
    fusion = choose([single, made("late", "late", labels, one)], (SIZE,), labels, 0).fusion
    assert fusion is not None
    assert fusion.standard_error == pytest.approx(expected, rel=0.1)
    apart = np.hypot(analytic_error(one, labels), analytic_error(two, labels))
    assert fusion.standard_error < 0.6 * apart  # pairing is what makes it small


def test_draws_are_the_same_for_all_candidates_and_by_seed() -> None:
    labels = labels_of(50)
    outputs = {"size": guess(labels, 0.5).astype(np.float32)[:, None]}
    other = {"size": guess(labels, 0.9, 3).astype(np.float32)[:, None]}
    drawn = bootstrap_scores((SIZE,), [[outputs], [other], [outputs]], labels, 7)
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(drawn[1], bootstrap_scores((SIZE,), [[other]], labels, 7)[0])
    assert not np.array_equal(drawn[0], bootstrap_scores((SIZE,), [[outputs]], labels, 8)[0])


def test_several_seeds_are_averaged_draw_by_draw() -> None:
    labels = labels_of(50)
    outputs = [{"size": guess(labels, 0.5, seed).astype(np.float32)[:, None]} for seed in range(3)]
    together = bootstrap_scores((SIZE,), [outputs], labels, 0)
    apart = bootstrap_scores((SIZE,), [[one] for one in outputs], labels, 0)
    np.testing.assert_allclose(together[0], apart.mean(0))


def test_many_rows_are_drawn_in_pieces(monkeypatch) -> None:
    labels = labels_of(50)
    outputs = [[{"size": guess(labels, 0.5).astype(np.float32)[:, None]}]]
    whole = bootstrap_scores((SIZE,), outputs, labels, 0)
    monkeypatch.setattr("plait.search.choosing.CHUNK_NUMBERS", 333)
    np.testing.assert_allclose(bootstrap_scores((SIZE,), outputs, labels, 0), whole)


def test_a_metric_that_some_draws_leave_undefined() -> None:
    truth = np.array([1, 0, 0, 0, 0, 0], np.float32)  # many draws hold one class only
    labels = Labels({"kind": truth}, {"kind": np.ones(6, bool)})
    outputs = {"kind": np.stack([-truth, truth], 1).astype(np.float32)}
    drawn = bootstrap_scores((KIND,), [[outputs]], labels, 0, "auroc")
    assert drawn.shape == (1, METRIC_DRAWS)
    assert 0 < np.isnan(drawn).sum() < METRIC_DRAWS
    assert intervals(drawn) == ((1.0,), (1.0,))
    assert intervals(np.full((2, 5), np.nan)) == ((None, None), (None, None))


def test_an_ensemble_is_on_neither_side_of_what_the_search_is_worth() -> None:
    """It may hold what was found; the search is compared with what always competes."""
    labels = labels_of()
    standing = made("late", "late", labels, guess(labels, 0.8))
    found = made("found", "architecture", labels, guess(labels, 0.5, 1))
    found = replace(found, candidate=found.candidate.model_copy(update={"proposer": "random"}))
    best = made("ensemble", "ensemble", labels, guess(labels, 0.2, 2))
    members = Candidate(name="ensemble", kind="ensemble", members=(standing.candidate, found.candidate), counts=(1, 2))
    choice = choose([standing, found, replace(best, candidate=members)], (SIZE,), labels, 0)
    assert choice.best == 2
    assert (choice.search.better, choice.search.than) == ("found", "late")
    assert "The search pays" in choice.sentence


def test_of_many_rows_some_are_resampled_for_a_metric(monkeypatch) -> None:
    """Centre and spread are those of all rows, up to what few draws and fewer rows leave open."""
    labels = labels_of(4_000)
    rng = np.random.default_rng(1)
    outputs = [[{"size": (labels.targets["size"] + noise * rng.normal(size=4_000)).astype(np.float32)[:, None]}]
               for noise in (0.5, 1.0)]  # fmt: skip
    whole = choosing.bootstrap_scores((SIZE,), outputs, labels, 0, "r2")
    monkeypatch.setattr(choosing, "METRIC_NUMBERS", 0)
    monkeypatch.setattr(choosing, "FEWEST_ROWS", 1_000)
    some = choosing.bootstrap_scores((SIZE,), outputs, labels, 0, "r2")
    assert some.shape == whole.shape
    np.testing.assert_allclose(some.mean(axis=1), whole.mean(axis=1), atol=0.01)
    np.testing.assert_allclose(some.std(axis=1), whole.std(axis=1), rtol=0.35)
    outputs[1][0]["size"][7] = np.nan
    assert np.isnan(choosing.bootstrap_scores((SIZE,), outputs, labels, 0, "r2")[1]).all()


def test_where_the_metric_is_undefined_the_default_score_decides() -> None:
    """Rows that judge have labels, but of one class: the candidates can still be told apart by their loss."""
    truth = np.zeros(60, np.float32)
    labels = Labels({"kind": truth}, {"kind": np.ones(60, bool)})
    outputs = [np.tile(logits, (60, 1)).astype(np.float32) for logits in ([0.0, 1.0], [4.0, 0.0])]
    trials = [
        replace(trial_of(name, "unimodal", [], None, (name,)), outputs=({"kind": told},))
        for name, told in zip(["aaa", "right"], outputs, strict=True)
    ]
    choice = choose(trials, (KIND,), labels, 0, "auroc")
    assert trials[choice.chosen].candidate.name == "right"
    assert choice.sentence.startswith("auroc is undefined on the rows that judge, so the default score decides. right")
    assert choice.low == (None, None)
    nothing = Labels(labels.targets, {"kind": np.zeros(60, bool)})
    assert choose(trials, (KIND,), nothing, 0, "auroc").sentence.startswith("No validation row has a label")
