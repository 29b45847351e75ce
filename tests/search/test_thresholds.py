"""Thresholds: that they find what they should, and are not kept where they fit noise."""

from __future__ import annotations

import numpy as np
import pytest

from plait.search.thresholds import FEWEST_ROWS, METRICS, thresholds, told
from plait.tasks import Task
from plait.tasks.classification import Binary, Multiclass
from plait.tasks.multilabel import Multilabel

TWO = Task(name="t", kind="binary", label_type="str", classes=("no", "yes"), prior=(-0.1, -2.3))


def rare(rows: int, seed: int, share: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of two classes that overlap, one of them rare."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < share).astype(np.int64)
    seen = rng.normal(size=rows) + 1.5 * truth
    odds = np.exp(1.5 * seen - 1.125) * share / (1 - share)
    yes = odds / (1 + odds)
    return np.stack([1 - yes, yes], axis=1), truth


def found(chances, truth, metric="balanced_accuracy", kind=None, groups=None):
    fold_of = np.random.default_rng(0).permutation(np.arange(len(truth)) % 5)
    return thresholds(kind or Binary(), metric, chances, truth, fold_of, groups, seed=0)


def test_balanced_accuracy_of_calibrated_probabilities_is_best_at_the_prior() -> None:
    one = found(*rare(4000, 0))
    assert one.pays
    assert one.offsets[0] == 0
    assert one.offsets[1] == pytest.approx(np.log(0.9 / 0.1), abs=0.5)
    assert one.after > one.before + 0.1
    words = told(TWO, one, "balanced_accuracy")
    assert "Answers of 't' go by thresholds" in words
    assert f"no +0.00, yes {one.offsets[1]:+.2f}" in words


def test_accuracy_of_calibrated_probabilities_gains_nothing() -> None:
    kept = [found(*rare(300, seed), metric="accuracy").pays for seed in range(20)]
    assert sum(kept) <= 5


@pytest.mark.parametrize("metric", METRICS)
def test_noise_is_not_kept(metric) -> None:
    rng = np.random.default_rng(1)
    kept = 0
    for _ in range(20):
        chances = rng.dirichlet(np.ones(3), 120)
        kept += found(chances, rng.integers(0, 3, 120), metric, Multiclass()).pays
    assert kept <= 6


def test_several_classes() -> None:
    rng = np.random.default_rng(2)
    truth = rng.choice(3, 1500, p=[0.8, 0.1, 0.1])
    logits = rng.normal(size=(1500, 3)) + 1.5 * np.eye(3)[truth] + np.log([0.8, 0.1, 0.1])
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    one = found(chances, truth, "balanced_accuracy", Multiclass())
    assert one.pays
    assert one.offsets[1] > 0.5
    assert one.offsets[2] > 0.5


def test_the_f1_of_a_label_is_its_own() -> None:
    chances, truth = rare(1500, 3)
    one = found(chances, truth, "macro_f1", Multilabel())
    guess = (chances[:, 1] > 0.5).astype(int)
    assert one.before == pytest.approx(2 * (guess & truth).sum() / (guess.sum() + truth.sum()))
    assert one.pays


def test_too_few_rows_or_one_class_choose_nothing() -> None:
    chances, truth = rare(FEWEST_ROWS - 1, 4, share=0.5)
    assert found(chances, truth) is None
    chances, truth = rare(60, 4, share=0.5)
    assert found(chances, np.zeros(60, np.int64)) is None


def test_groups_widen_the_standard_error() -> None:
    chances, truth = rare(60, 5, share=0.3)
    rows = np.repeat(np.arange(60), 10)
    alone, together = (found(chances[rows], truth[rows], groups=groups) for groups in (None, rows))
    assert together.standard_error > 2 * alone.standard_error


def test_of_many_rows_some_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    from plait.pipeline import thresholds as stage

    monkeypatch.setattr(stage, "MOST_COMPARISONS", 100)
    rows = np.arange(5, 80)
    for classes, count in ((2, 25), (3, 11), (5, 4)):
        task = TWO.model_copy(update={"prior": (0.0,) * classes})
        some = stage.some_rows(rows, task, 0)
        assert len(some) == count
        assert set(some) < set(rows)
        np.testing.assert_array_equal(some, stage.some_rows(rows, task, 0))
    np.testing.assert_array_equal(stage.some_rows(rows[:25], TWO, 0), rows[:25])
