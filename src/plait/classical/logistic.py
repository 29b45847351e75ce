"""Linear models: logistic regression for classes, ridge regression for numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Judge, Shape
from plait.data.readers._base import Features

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of regularisation to choose from, the strongest first; features are standardised."""

CHOOSING = 3
"""Folds by which the strength is chosen."""


class Logistic(Family):
    """Linear in the features, with an L2 penalty whose strength is chosen by cross-validation on training rows."""

    name: ClassVar[str] = "logistic"
    wide: ClassVar[bool] = True
    smoothing: ClassVar[float] = 1e-4

    def cost(self, shape: Shape, again: bool = False, least: bool = False) -> float:
        """Fits per strength and fold, each some 40 passes over the features."""
        once = 2e-3 + 6e-9 * shape.rows * shape.columns * shape.scores
        return once if again else once * (1 + CHOOSING * len(STRENGTHS))

    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None, judge: Judge | None = None, limit: float = math.inf,
    ) -> Any:  # fmt: skip
        """The best strength on held-out rows, then all rows: by the judge, then the loss; of equals, the strongest."""
        thirds = folds % CHOOSING
        values = [self._value(strength, features, targets, outputs, thirds, weights, judge) for strength in STRENGTHS]
        best = max(range(len(STRENGTHS)), key=lambda place: (values[place], -place))
        return _fitted(STRENGTHS[best], features, targets, outputs, weights)

    def _value(
        self, strength: float, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64],
        weights: NDArray[np.float64] | None, judge: Judge | None,
    ) -> tuple[float, float]:  # fmt: skip
        """What the judge says of held-out rows, 0 without one; and their loss with its sign turned.

        A class that no other fold has is as improbable as smoothing makes it.
        """
        told = np.full((len(targets), max(1, outputs)), np.nan)
        for fold in range(CHOOSING):
            inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            if not len(inside) or not len(outside) or (outputs > 1 and len(np.unique(targets[outside])) < 2):
                continue
            known = None if weights is None else weights[outside]
            model = _fitted(strength, features[outside], targets[outside], outputs, known)
            if outputs == 1:
                told[inside, 0] = model.predict(features[inside])
                continue
            told[inside] = 0.0
            told[np.ix_(inside, model.classes_)] = model.predict_proba(features[inside])
        rows = np.flatnonzero(~np.isnan(told[:, 0]))
        counted = np.ones(len(rows)) if weights is None else weights[rows]
        if outputs == 1:
            return 0.0, -float((counted * np.square(told[rows, 0] - targets[rows])).sum())
        true = told[rows, targets[rows]].clip(self.smoothing)
        value = judge(told[rows], targets[rows]) if judge is not None and len(rows) else None
        return value if value is not None else 0.0, float((counted * np.log(true)).sum())


def _fitted(
    strength: float, features: Features, targets: NDArray[Any], outputs: int, weights: NDArray[np.float64] | None
) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if outputs == 1:
        return Ridge(alpha=1 / strength).fit(features, targets, sample_weight=weights)
    return LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(features, targets, sample_weight=weights)


FAMILIES.register(Logistic.name)(Logistic())
