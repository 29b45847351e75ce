"""Forests of trees."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Judge, Shape, paid
from plait.classical.choosing import CHOOSING, chosen, worth_weighing
from plait.data.readers._base import Features

FEWEST, MOST = 16, 200
ENOUGH = 50
"""Trees that a limit leaves, and that are compared: rows are worth more than what others add."""

ROWS_PER_TREE = 4
LEAF = 2
"""The fewest rows of a leaf."""

LOOKED_AT = 64

FEW_ROWS = 300
"""With fewer rows nothing is chosen: held-out rows would be too few to tell."""

MANY_ROWS = 2_000
"""With more rows, two fifths judge; with fewer, all take turns."""

WAYS = (None, "balanced_subsample")
"""How rows count: all the same; or by how rare their class is in a tree's own sample, which puts rows of rare classes
in a better order, and makes probabilities worse."""


def trees_of(rows: int) -> int:
    """How many trees: the more rows, the more; on tiny tables few, since there each costs more than it learns."""
    return int(np.clip(rows // ROWS_PER_TREE, FEWEST, MOST))


class Forest(Family):
    """Random forests (Breiman 2001)."""

    name: ClassVar[str] = "forest"
    smoothing: ClassVar[float] = 1e-2

    def cost(self, shape: Shape, again: bool = False, least: bool = False) -> float:
        """Every tree sorts its way down through the rows, looking at some features."""
        trees = min(trees_of(shape.rows), ENOUGH if least else MOST) * _each(shape)
        return trees if again or least else trees + _choosing(shape)

    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None, judge: Judge | None = None, limit: float = math.inf,
    ) -> Any:  # fmt: skip
        """Rare classes are weighed where the judge likes that on held-out rows and a limit pays for asking it; with a
        limit there are fewer trees."""
        rare = worth_weighing(targets, outputs, judge, weights is not None)
        shape = Shape(len(targets), features.shape[1], outputs, rare)
        fewer, choosing = min(trees_of(shape.rows), ENOUGH), _choosing(shape)
        if choosing + fewer * _each(shape) > limit:
            choosing = 0.0
        ways = WAYS if choosing else WAYS[:1]
        fitted = partial(_fitted, outputs=outputs, seed=seed)
        way = chosen(
            ways, partial(fitted, trees=fewer), features, targets, outputs, folds, self.smoothing, weights, judge,
            _times(shape),
        )  # fmt: skip
        trees = paid(limit - choosing, _each(shape), trees_of(shape.rows), ENOUGH)
        return fitted(way, features, targets, weights, trees=trees)

    def again(self, estimator: Any, shape: Shape, limit: float = math.inf) -> Any:
        """As `Family.again`, with fewer trees where they would cost too much."""
        found = super().again(estimator, shape, limit)
        return found.set_params(n_estimators=paid(limit, _each(shape), found.n_estimators, ENOUGH))


def _fitted(
    way: str | None, features: Features, targets: NDArray[Any], weights: NDArray[np.float64] | None, trees: int,
    outputs: int, seed: int,
) -> Any:  # fmt: skip
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    options: dict[str, Any] = {} if outputs == 1 else {"class_weight": way}
    return (RandomForestRegressor if outputs == 1 else RandomForestClassifier)(
        trees, max_features=tried(features.shape[1], outputs), min_samples_leaf=LEAF, random_state=seed, n_jobs=1,
        **options,
    ).fit(features, targets, sample_weight=weights)  # fmt: skip


def _each(shape: Shape) -> float:
    """About how many seconds a tree takes; of bits, half as many."""
    return 1.2e-3 + 3e-8 * shape.rows * math.log2(shape.rows + 2) * tried(shape.columns, shape.outputs)


def _choosing(shape: Shape) -> float:
    """About how many seconds it takes to choose; 0 where nothing is chosen."""
    if shape.rows < FEW_ROWS or not shape.rare:
        return 0.0
    part = Shape(shape.rows * (CHOOSING - 1) // CHOOSING, shape.columns, shape.outputs)
    return len(WAYS) * _times(shape) * min(trees_of(shape.rows), ENOUGH) * _each(part)


def _times(shape: Shape) -> int:
    """How often rows are held out."""
    return 1 if shape.rows > MANY_ROWS else CHOOSING


def tried(columns: int, outputs: int) -> int:
    """Features looked at in every node: the root of their number for classes; for numbers all, up to 64."""
    return max(1, math.isqrt(columns), min(LOOKED_AT, columns) if outputs == 1 else 0)


FAMILIES.register(Forest.name)(Forest())
