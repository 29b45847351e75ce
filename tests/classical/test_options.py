"""What families of classical models choose by cross-validation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from plait.classical import FAMILIES
from plait.classical._base import Shape
from plait.classical.forest import FEW_ROWS, MANY_ROWS, WAYS
from plait.classical.logistic import STRENGTHS


def test_the_strength_of_a_linear_model_goes_by_what_candidates_are_compared_by() -> None:
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(120, 4)), rng.integers(0, 2, 120)
    asked: list[float] = []

    def judge(chances: np.ndarray, truth: np.ndarray) -> float:
        np.testing.assert_array_equal(truth, targets)
        asked.append(float(np.abs(chances - 0.5).mean()))
        return float(len(asked) == 2)  # the second strength is best, whatever the loss says

    folds = np.arange(120) % 3
    model = FAMILIES["logistic"].fit(features, targets, 2, folds, 0, judge=judge)
    assert asked == sorted(asked), "the strongest comes first"
    assert STRENGTHS[1] == model.C
    flat = FAMILIES["logistic"].fit(features, targets, 2, folds, 0, judge=lambda *_: 1.0)
    assert flat.C == FAMILIES["logistic"].fit(features, targets, 2, folds, 0).C, "of equals, the loss decides"


FOREST = FAMILIES["forest"]


def forest_of(rows: int, best: int | None = None, rare: float = 0.2, outputs: int = 2, **options):
    """A forest for noise, and how often its judge was asked; the judge likes the way of so many."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, 4))
    targets = (np.arange(rows) < rare * rows).astype(int) if outputs > 1 else features[:, 0] + rng.normal(size=rows)
    asked: list[int] = []

    def judge(chances: np.ndarray, truth: np.ndarray) -> float:
        np.testing.assert_array_equal(truth, targets if rows <= MANY_ROWS else targets[np.arange(rows) % 5 % 3 == 0])
        asked.append(len(asked))
        return float(asked[-1] == best)

    judged = None if best is None else judge
    return FOREST.fit(features, targets, outputs, np.arange(rows) % 5, 0, judge=judged, **options), len(asked)


@pytest.mark.parametrize("best", range(len(WAYS)))
def test_whether_a_forest_weighs_rare_classes_goes_by_what_candidates_are_compared_by(best: int) -> None:
    forest, asked = forest_of(FEW_ROWS, best)
    assert asked == len(WAYS)
    assert forest.class_weight == WAYS[best]


def test_rows_of_rare_classes_come_in_a_better_order_where_they_are_weighed() -> None:
    """What the choice is for: rows of a class of three in a hundred."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4_000, 30))
    targets = (features[:, :6].sum(1) + 2 * rng.normal(size=4_000) > 6).astype(int)
    assert 0.01 < targets.mean() < 0.05

    def judge(chances: np.ndarray, truth: np.ndarray) -> float:
        return float(roc_auc_score(truth, chances[:, 1]))

    forest = FOREST.fit(features[:2_000], targets[:2_000], 2, np.arange(2_000) % 3, 0, judge=judge)
    assert forest.class_weight == "balanced_subsample"
    plain = FOREST.fit(features[:2_000], targets[:2_000], 2, np.arange(2_000) % 3, 0)
    assert plain.class_weight is None, "by loss, probabilities count"
    one, other = (
        roc_auc_score(targets[2_000:], model.predict_proba(features[2_000:])[:, 1]) for model in (forest, plain)
    )
    assert one > other


def test_of_many_rows_a_part_judges() -> None:
    assert forest_of(MANY_ROWS + 1, best=1)[1] == len(WAYS)


def test_a_judge_is_not_asked_in_vain() -> None:
    """Of few rows, within a low limit, where rows count by their class already, or where no class is rare."""
    assert forest_of(FEW_ROWS - 1, best=1)[1] == 0
    assert forest_of(FEW_ROWS, best=1, rare=0.4)[1] == 0
    assert forest_of(FEW_ROWS, best=1, weights=np.ones(FEW_ROWS))[1] == 0
    assert forest_of(FEW_ROWS, best=1, outputs=1)[1] == 0
    shape = Shape(FEW_ROWS, 4, 2, rare=True)
    assert forest_of(FEW_ROWS, best=1, limit=FOREST.cost(shape, least=True))[1] == 0
    assert forest_of(FEW_ROWS, best=1, limit=FOREST.cost(shape))[1] == len(WAYS)
    large = Shape(800, 4, 2, rare=True)
    choosing = FOREST.cost(large) - FOREST.cost(large, again=True)
    forest, asked = forest_of(800, best=1, limit=choosing + FOREST.cost(large, again=True) / 2)
    assert (asked, forest.n_estimators) == (len(WAYS), 100), "what choosing has cost is not there for trees"
