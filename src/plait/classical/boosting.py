"""Gradient boosting over histograms."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Judge, Shape, paid
from plait.data.readers._base import Features

FEW_ROWS = 2_000
LEAVES, ROWS_PER_LEAF = 15, 20
FEW_LEAVES, FEW_ROWS_PER_LEAF = 6, 5
"""Of small tables: shallower trees, with smaller leaves."""

RATE, FASTEST = 0.1, 0.3
"""Learning rate; where a limit allows fewer rounds, as much higher."""

ENOUGH = 25
"""Rounds that a limit leaves: rows are worth more than what others add."""


def rounds_of(shape: Shape) -> int:
    """How many rounds: half as many where every round has a tree for each of several classes, or rows are few."""
    return 50 if shape.outputs > 2 or shape.rows < 500 else 100


class Boosting(Family):
    """Boosted trees over histograms, as in LightGBM (Ke et al. 2017): a fixed number of rounds, no early stopping.

    It sees empty cells and absent modalities as such.
    """

    name: ClassVar[str] = "boosting"
    plain: ClassVar[bool] = True
    smoothing: ClassVar[float] = 1e-3

    def cost(self, shape: Shape, again: bool = False, least: bool = False) -> float:
        """Every tree passes over all features of all rows, and over a histogram of every feature in every node."""
        return min(rounds_of(shape), ENOUGH if least else math.inf) * _each(shape)

    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None, judge: Judge | None = None, limit: float = math.inf,
    ) -> Any:  # fmt: skip
        """All rounds; with a limit fewer, at a higher rate."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        few, shape = len(targets) < FEW_ROWS, Shape(len(targets), features.shape[1], outputs)
        kind = HistGradientBoostingRegressor if outputs == 1 else HistGradientBoostingClassifier
        return kind(
            **_within(limit, rounds_of(shape), shape),
            max_leaf_nodes=FEW_LEAVES if few else LEAVES,
            min_samples_leaf=FEW_ROWS_PER_LEAF if few else ROWS_PER_LEAF,
            l2_regularization=1.0, early_stopping=False, random_state=seed,
        ).fit(features, targets, sample_weight=weights)  # fmt: skip

    def again(self, estimator: Any, shape: Shape, limit: float = math.inf) -> Any:
        """As `Family.again`, with fewer rounds where they would cost too much."""
        found = super().again(estimator, shape, limit)
        return found.set_params(**_within(limit, found.max_iter, shape, found.learning_rate))


def _within(limit: float, rounds: int, shape: Shape, rate: float = RATE) -> dict[str, Any]:
    """How many rounds a limit pays for, `ENOUGH` at least, and at what rate."""
    fewer = paid(limit, _each(shape), rounds, ENOUGH)
    return {"max_iter": fewer, "learning_rate": rate if fewer == rounds else min(FASTEST, rate * rounds / fewer)}


def _each(shape: Shape) -> float:
    """About how many seconds a round takes."""
    features = shape.columns * (4e-6 + 1.4e-8 * shape.rows)
    return shape.scores * (4e-4 + min(1.0, shape.rows / 500) * 1e-3 + features)


FAMILIES.register(Boosting.name)(Boosting())
