"""A random forest over all numbers of a point: quick, and good with few scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plait.search.surrogates._base import SURROGATES, Surrogate

TREES = 60


@SURROGATES.register("forest")
class Forest(Surrogate):
    """A random forest (Breiman 2001); the numbers of all levels stand in one row."""

    def fit(self, encoded: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Grow the trees."""
        from sklearn.ensemble import RandomForestRegressor

        self._forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=self.seed, n_jobs=1)
        self._forest.fit(encoded.reshape(len(encoded), -1).astype(np.float64), scores)

    def predict(self, encoded: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mean of the trees."""
        told = self._forest.predict(encoded.reshape(len(encoded), -1).astype(np.float64))
        return np.asarray(told, np.float64)
