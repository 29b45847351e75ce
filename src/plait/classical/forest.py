"""Forests of randomised trees."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Judge, Shape, paid
from plait.data.readers._base import Features

FEWEST, MOST = 16, 200
ENOUGH = 50
"""Trees that a limit leaves: rows are worth more than what others add."""

ROWS_PER_TREE = 4
LOOKED_AT = 64


def trees_of(rows: int) -> int:
    """How many trees: the more rows, the more; on tiny tables few, since there each costs more than it learns."""
    return int(np.clip(rows // ROWS_PER_TREE, FEWEST, MOST))


class Forest(Family):
    """Extremely randomised trees (Geurts et al. 2006): as good as a random forest here, and twice as fast."""

    name: ClassVar[str] = "forest"
    smoothing: ClassVar[float] = 1e-2

    def cost(self, shape: Shape, again: bool = False, least: bool = False) -> float:
        """Every tree sorts its way down through the rows, looking at some features."""
        return min(trees_of(shape.rows), ENOUGH if least else MOST) * _each(shape)

    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None, judge: Judge | None = None, limit: float = math.inf,
    ) -> Any:  # fmt: skip
        """Trees down to two rows a leaf; with a limit fewer."""
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        kind = ExtraTreesRegressor if outputs == 1 else ExtraTreesClassifier
        shape = Shape(len(targets), features.shape[1], outputs)
        return kind(
            paid(limit, _each(shape), trees_of(len(targets)), ENOUGH), max_features=tried(shape.columns, outputs),
            min_samples_leaf=2, random_state=seed, n_jobs=1,
        ).fit(features, targets, sample_weight=weights)  # fmt: skip

    def again(self, estimator: Any, shape: Shape, limit: float = math.inf) -> Any:
        """As `Family.again`, with fewer trees where they would cost too much."""
        found = super().again(estimator, shape, limit)
        return found.set_params(n_estimators=paid(limit, _each(shape), found.n_estimators, ENOUGH))


def _each(shape: Shape) -> float:
    """About how many seconds a tree takes."""
    return 1.2e-3 + 1.5e-8 * shape.rows * math.log2(shape.rows + 2) * tried(shape.columns, shape.outputs)


def tried(columns: int, outputs: int) -> int:
    """Features looked at in every node: the root of their number for classes; for numbers all, up to 64."""
    return max(1, math.isqrt(columns), min(LOOKED_AT, columns) if outputs == 1 else 0)


FAMILIES.register(Forest.name)(Forest())
