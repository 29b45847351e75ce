"""What a search needs of a surrogate: it learns scores of encoded points and foretells others."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from plait._registry import Registry


class Surrogate(ABC):
    """Foretells scores. `fit` is called once, then `predict`; the same seed and scores give the same predictions.

    Legend of shapes: n points, L levels, C numbers per level.

    Args:
        seed: Decides every draw; no global generator is touched.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @abstractmethod
    def fit(self, encoded: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Learn the scores [n], in any unit, of encoded points [n, L, C]; n is 2 or more."""

    @abstractmethod
    def predict(self, encoded: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores [n] of encoded points [n, L, C], in the unit of those it learned."""


SURROGATES: Registry[type[Surrogate]] = Registry("surrogate")
