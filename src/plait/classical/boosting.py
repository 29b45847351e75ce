"""Gradient boosting over histograms."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Judge, Shape
from plait.data.readers._base import Features

FEW_ROWS = 2_000
LEAVES, ROWS_PER_LEAF = 15, 20
FEW_LEAVES, FEW_ROWS_PER_LEAF = 6, 5
"""Of small tables: shallower trees, with smaller leaves."""


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
        rounds = rounds_of(shape) * shape.scores
        features = shape.columns * (4e-6 + 1.4e-8 * shape.rows)
        return rounds * (4e-4 + min(1.0, shape.rows / 500) * 1e-3 + features)

    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None, judge: Judge | None = None, limit: float = math.inf,
    ) -> Any:  # fmt: skip
        """Fit all rounds."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        few = len(targets) < FEW_ROWS
        kind = HistGradientBoostingRegressor if outputs == 1 else HistGradientBoostingClassifier
        return kind(
            max_iter=rounds_of(Shape(len(targets), features.shape[1], outputs)),
            max_leaf_nodes=FEW_LEAVES if few else LEAVES,
            min_samples_leaf=FEW_ROWS_PER_LEAF if few else ROWS_PER_LEAF,
            l2_regularization=1.0, early_stopping=False, random_state=seed,
        ).fit(features, targets, sample_weight=weights)  # fmt: skip


FAMILIES.register(Boosting.name)(Boosting())
