"""Forests of randomised trees."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Judge, Shape, paid
from plait.classical.choosing import CHOOSING, chosen
from plait.data.readers._base import Features

FEWEST, MOST = 16, 200
ENOUGH = 50
"""Trees that a limit leaves, and that are compared: rows are worth more than what others add."""

ROWS_PER_TREE = 4
LOOKED_AT = 64

FEW_ROWS = 300
"""With fewer rows nothing is chosen: the first kind of trees is as good a guess."""


MANY_ROWS = 2_000
"""With more rows a third of them is enough to judge by; with fewer all take turns."""


class Kind(NamedTuple):
    """A kind of trees.

    Attributes:
        extra: Whether cuts are drawn at random (Geurts et al. 2006), or are the best of a sample of the rows (Breiman
            2001).
        balanced: Whether rows count by how rare their class is in a tree's sample.
    """

    extra: bool = False
    balanced: bool = False


KINDS = (Kind(), Kind(extra=True), Kind(balanced=True))
"""Kinds to choose from. Extremely randomised trees are better for some measured numbers, but take twice as long for
bits; rows that count by their class are better where classes are rare and the metric sees their order alone."""

LEAF = 2
"""The fewest rows of a leaf."""


def trees_of(rows: int) -> int:
    """How many trees: the more rows, the more; on tiny tables few, since there each costs more than it learns."""
    return int(np.clip(rows // ROWS_PER_TREE, FEWEST, MOST))


class Forest(Family):
    """Random forests, or extremely randomised trees: what does better on held-out training rows."""

    name: ClassVar[str] = "forest"
    smoothing: ClassVar[float] = 1e-2

    def cost(self, shape: Shape, again: bool = False, least: bool = False) -> float:
        """Every tree sorts its way down through the rows, looking at some features."""
        trees = min(trees_of(shape.rows), ENOUGH if least else MOST) * _each(shape)
        return trees if again or least else trees + _choosing(shape, len(KINDS) - (shape.outputs == 1))

    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None, judge: Judge | None = None, limit: float = math.inf,
    ) -> Any:  # fmt: skip
        """The kind of trees is chosen where a limit pays for it; with a limit there are fewer trees."""
        shape = Shape(len(targets), features.shape[1], outputs)
        fewer = min(trees_of(shape.rows), ENOUGH)
        # without a judge candidates are compared by loss, and rows that count by their class spoil it
        kinds: tuple[Kind, ...] = KINDS if outputs > 1 and weights is None and judge is not None else KINDS[:2]
        choosing = _choosing(shape, len(kinds))
        if shape.rows < FEW_ROWS or choosing + fewer * _each(shape) > limit:
            kinds, choosing = KINDS[:1], 0.0
        fitted = partial(_fitted, outputs=outputs, seed=seed)
        kind = chosen(
            kinds, partial(fitted, trees=fewer), features, targets, outputs, folds, self.smoothing, weights, judge,
            _times(shape),
        )  # fmt: skip
        trees = paid(limit - choosing, _each(shape), trees_of(shape.rows), ENOUGH)
        return fitted(kind, features, targets, weights, trees=trees)

    def again(self, estimator: Any, shape: Shape, limit: float = math.inf) -> Any:
        """As `Family.again`, with fewer trees where they would cost too much."""
        found = super().again(estimator, shape, limit)
        return found.set_params(n_estimators=paid(limit, _each(shape), found.n_estimators, ENOUGH))


def _fitted(
    kind: Kind, features: Features, targets: NDArray[Any], weights: NDArray[np.float64] | None, trees: int,
    outputs: int, seed: int,
) -> Any:  # fmt: skip
    from sklearn import ensemble

    options: dict[str, Any] = {"class_weight": "balanced_subsample"} if kind.balanced and outputs > 1 else {}
    name = f"{'ExtraTrees' if kind.extra else 'RandomForest'}{'Regressor' if outputs == 1 else 'Classifier'}"
    return getattr(ensemble, name)(
        trees, max_features=tried(features.shape[1], outputs), min_samples_leaf=LEAF, random_state=seed, n_jobs=1,
        **options,
    ).fit(features, targets, sample_weight=weights)  # fmt: skip


def _each(shape: Shape) -> float:
    """About how many seconds a tree takes, of whatever kind: on bits random forests take half as long as extremely
    randomised trees, on numbers twice as long."""
    return 1.2e-3 + 1.5e-8 * shape.rows * math.log2(shape.rows + 2) * tried(shape.columns, shape.outputs)


def _choosing(shape: Shape, kinds: int) -> float:
    """About how many seconds it takes to choose among so many kinds."""
    if shape.rows < FEW_ROWS:
        return 0.0
    part = Shape(shape.rows * (CHOOSING - 1) // CHOOSING, shape.columns, shape.outputs)
    return kinds * _times(shape) * min(trees_of(shape.rows), ENOUGH) * _each(part)


def _times(shape: Shape) -> int:
    """How often a third of the rows is held out."""
    return 1 if shape.rows > MANY_ROWS else CHOOSING


def tried(columns: int, outputs: int) -> int:
    """Features looked at in every node: the root of their number for classes; for numbers all, up to 64."""
    return max(1, math.isqrt(columns), min(LOOKED_AT, columns) if outputs == 1 else 0)


FAMILIES.register(Forest.name)(Forest())
