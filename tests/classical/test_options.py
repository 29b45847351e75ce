"""What families of classical models choose by cross-validation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from plait.classical import FAMILIES
from plait.classical._base import Shape
from plait.classical.forest import FEW_ROWS, KINDS, MANY_ROWS
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


def forest_of(rows: int, best: int | None = None, outputs: int = 2, **options):
    """A forest for noise, and how often its judge was asked; the judge likes the kind of so many."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, 4))
    targets = rng.integers(0, outputs, rows) if outputs > 1 else features[:, 0] + rng.normal(size=rows)
    asked: list[int] = []

    def judge(chances: np.ndarray, truth: np.ndarray) -> float:
        assert len(truth) == (rows if rows <= MANY_ROWS else rows // 3)
        asked.append(len(asked))
        return float(asked[-1] == best)

    judged = None if best is None else judge
    return FOREST.fit(features, targets, outputs, np.arange(rows) % 3, 0, judge=judged, **options), len(asked)


@pytest.mark.parametrize("best", range(len(KINDS)))
def test_the_kind_of_a_forest_goes_by_what_candidates_are_compared_by(best: int) -> None:
    forest, asked = forest_of(FEW_ROWS, best)
    assert asked == len(KINDS)
    assert isinstance(forest, ExtraTreesClassifier if KINDS[best].extra else RandomForestClassifier)
    assert (forest.class_weight is not None) == KINDS[best].balanced


def test_of_many_rows_a_third_judges() -> None:
    assert forest_of(3 * MANY_ROWS, best=2)[0].class_weight is not None


def test_nothing_is_chosen_of_few_rows_or_within_a_low_limit() -> None:
    assert forest_of(FEW_ROWS - 1, best=1)[1] == 0
    shape = Shape(FEW_ROWS, 4, 2)
    assert forest_of(FEW_ROWS, best=1, limit=FOREST.cost(shape, least=True))[1] == 0
    assert forest_of(FEW_ROWS, best=1, limit=FOREST.cost(shape))[1] == len(KINDS)
    large = Shape(800, 4, 2)
    choosing = FOREST.cost(large) - FOREST.cost(large, again=True)
    forest, asked = forest_of(800, best=1, limit=choosing + FOREST.cost(large, again=True) / 2)
    assert (asked, forest.n_estimators) == (len(KINDS), 100), "what choosing has cost is not there for trees"


def test_where_rows_count_by_their_class_already_no_forest_counts_them_again() -> None:
    assert forest_of(FEW_ROWS, best=1, weights=np.ones(FEW_ROWS))[1] == 2


def test_without_a_judge_the_loss_decides_among_forests() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 12))
    targets = {"step": 10.0 * (features[:, 0] > 0.3), "wave": features[:, :4].sum(1)}
    found = {name: FOREST.fit(features, values, 1, np.arange(300) % 5, 0) for name, values in targets.items()}
    assert isinstance(found["step"], RandomForestRegressor), "a cut at random seldom meets the step"
    assert isinstance(found["wave"], ExtraTreesRegressor)
