"""Linear models: logistic regression for classes, ridge regression for numbers."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Judge, Shape
from plait.classical.choosing import CHOOSING, chosen
from plait.data.readers._base import Features

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of regularisation to choose from, the strongest first; features are standardised."""


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
        fitted = partial(_fitted, outputs=outputs)
        strength = chosen(STRENGTHS, fitted, features, targets, outputs, folds, self.smoothing, weights, judge)
        return fitted(strength, features, targets, weights)


def _fitted(
    strength: float, features: Features, targets: NDArray[Any], weights: NDArray[np.float64] | None, outputs: int
) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if outputs == 1:
        return Ridge(alpha=1 / strength).fit(features, targets, sample_weight=weights)
    return LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(features, targets, sample_weight=weights)


FAMILIES.register(Logistic.name)(Logistic())
