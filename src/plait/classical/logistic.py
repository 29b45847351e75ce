"""Linear models: logistic regression for classes, ridge regression for numbers."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family, Shape
from plait.data.readers._base import Features

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of regularisation to choose from, the strongest first; features are standardised."""

CHOOSING = 3
"""Folds by which the strength is chosen."""


class Logistic(Family):
    """Linear in the features, with an L2 penalty whose strength is chosen by cross-validation on training rows."""

    name: ClassVar[str] = "logistic"
    wide: ClassVar[bool] = True
    smoothing: ClassVar[float] = 1e-4

    def cost(self, shape: Shape, again: bool = False) -> float:
        """Fits per strength and fold, each some 40 passes over the features."""
        once = 2e-3 + 6e-9 * shape.rows * shape.columns * shape.scores
        return once if again else once * (1 + CHOOSING * len(STRENGTHS))

    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None,
    ) -> Any:  # fmt: skip
        """The strength with the lowest held-out loss, then all rows; of equals, the strongest."""
        thirds = folds % CHOOSING
        losses = [self._loss(strength, features, targets, outputs, thirds, weights) for strength in STRENGTHS]
        return _fitted(STRENGTHS[int(np.argmin(losses))], features, targets, outputs, weights)

    def _loss(
        self, strength: float, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
    ) -> float:  # fmt: skip
        """Sum of held-out losses; a class that no other fold has is as improbable as smoothing makes it."""
        total = 0.0
        for fold in range(CHOOSING):
            inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            if not len(inside) or not len(outside) or (outputs > 1 and len(np.unique(targets[outside])) < 2):
                continue
            known = None if weights is None else weights[outside]
            counted = 1.0 if weights is None else weights[inside]
            model = _fitted(strength, features[outside], targets[outside], outputs, known)
            if outputs == 1:
                total += float((counted * np.square(model.predict(features[inside]) - targets[inside])).sum())
                continue
            chances = np.zeros((len(inside), outputs))
            chances[:, model.classes_] = model.predict_proba(features[inside])
            true = chances[np.arange(len(inside)), targets[inside]].clip(self.smoothing)
            total -= float((counted * np.log(true)).sum())
        return total


def _fitted(
    strength: float, features: Features, targets: NDArray[Any], outputs: int, weights: NDArray[np.float64] | None
) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    if outputs == 1:
        return Ridge(alpha=1 / strength).fit(features, targets, sample_weight=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is judged as it is
        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        return model.fit(features, targets, sample_weight=weights)


FAMILIES.register(Logistic.name)(Logistic())
