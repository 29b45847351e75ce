"""Surrogate-guided progressive search: simple points first, deeper ones where a surrogate expects the most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plait.search._base import STRATEGIES, P, Quality, Strategy
from plait.search.surrogates import SURROGATES

FIRST_SHARE = 0.25
"""Share of the budget that level one may take; it is looked at whole where that suffices."""

DRAWN = 128
"""Points of every further level that are drawn into the pool, however good the ones that they contain: children alone
would never show the surrogate what large points are worth."""

PARENTS = 24
CHILDREN = 64
DEFAULT_SURROGATE = "forest"
HOT, COLD = 1.0, 0.2
"""Temperatures of sampling at the begin and at the end, in standard deviations of the foretold scores."""


@STRATEGIES.register("progressive")
class ProgressiveSearch(Strategy[P]):
    """Level one first; then, level by level, children of the best points that a surrogate expects the most of.

    Perez-Rua et al. 2019 (MFAS), with three differences. The surrogate, refitted over `Space.encode` before every batch
    on the mean score of every point seen so far, is a random forest; theirs is the option `lstm`. Points are drawn with
    probabilities exp(z / T) of their standardised foretold scores z, T falling from 1 to 0.2: raw accuracies are so
    close together that no temperature tells them apart. Every score counts, not the highest one of a point.

    The surrogate's word is checked: `quality` has the rank correlation of what it foretold with what came.
    """

    def begin(self) -> None:
        """Nothing is foretold yet."""
        self._foretold: dict[P, float] = {}
        self._learned_from = 0

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The surrogates."""
        return (DEFAULT_SURROGATE, *[name for name in SURROGATES if name != DEFAULT_SURROGATE])

    def propose(self, count: int) -> list[P]:
        """Unseen points: of level one until its share is spent, then drawn from the pool by the surrogate."""
        first = self.unseen(min(count, self._left_of_first()), 1)
        if len(first) == count:
            return first
        taken = set(first)
        pool = [point for point in self._pool() if point not in self.asked and point not in taken]
        drawn = self._draw(pool, count - len(first))
        return self.filled(first + drawn, count)  # with anything that is left, once the pool is dry

    def learn(self, points: Sequence[P], scores: Sequence[float | None]) -> None:
        """Compare with what was foretold."""
        known = [
            (p, score) for p, score in zip(points, scores, strict=True) if score is not None and np.isfinite(score)
        ]
        foretold = [(self._foretold[point], score) for point, score in known if point in self._foretold]
        if foretold:
            spearman = _spearman(*zip(*foretold, strict=True))
            self.quality.append(Quality(self._learned_from, len(foretold), spearman))
        self._foretold = {}

    def _left_of_first(self) -> int:
        asked = sum(1 for point in self.asked if self.space.level(point) == 1)
        most = self.space.size(1)
        if self.budget is not None:
            most = min(most, max(1, int(FIRST_SHARE * self.budget)))
        return max(0, most - asked) if self.space.levels > 1 else self.space.size(1) - asked

    def _pool(self) -> list[P]:
        """Children and neighbours of the best points seen, and others of every level."""
        found: dict[P, None] = {}
        for parent in self.best(PARENTS):
            found |= dict.fromkeys(self.space.grow(parent, self.rng, CHILDREN))
            near = self.space.neighbours(parent)
            found |= dict.fromkeys(near[i] for i in self.rng.permutation(len(near))[:CHILDREN])
        for level in range(2, self.space.levels + 1):
            most = min(DRAWN, self.space.size(level))
            found |= dict.fromkeys(self.space.sample(self.rng, level) for _ in range(most))
        return list(found)

    def _draw(self, pool: list[P], count: int) -> list[P]:
        if not pool or not count:
            return []
        if len(self.scores) < 2:
            return [pool[i] for i in self.rng.permutation(len(pool))[:count]]
        told = self._predict(pool)
        spread = float(told.std())
        standard = (told - told.mean()) / spread if spread > 0 else np.zeros(len(told))
        # The largest of z / T plus Gumbel noise are draws without repetition with probabilities exp(z / T).
        noisy = standard / self._temperature() + self.rng.gumbel(size=len(pool))
        chosen = np.argsort(-noisy, kind="stable")[:count]
        self._learned_from = len(self.scores)
        self._foretold |= {pool[i]: float(told[i]) for i in chosen}
        return [pool[i] for i in chosen]

    def _temperature(self) -> float:
        done = min(1.0, len(self.asked) / self.budget) if self.budget else 0.5
        return float(HOT * (COLD / HOT) ** done)

    def _predict(self, pool: list[P]) -> NDArray[np.float64]:
        surrogate = SURROGATES[self.option](int(self.rng.integers(2**31)))
        means = np.array([float(np.mean(scores)) for scores in self.scores.values()])
        surrogate.fit(self._encoded(list(self.scores)), means)
        return surrogate.predict(self._encoded(pool))

    def _encoded(self, points: list[P]) -> NDArray[np.int64]:
        return np.stack([self.space.encode(point) for point in points])


def _spearman(foretold: tuple[float, ...], scores: tuple[float, ...]) -> float | None:
    from scipy.stats import spearmanr

    if len(scores) < 3 or len(set(scores)) == 1 or len(set(foretold)) == 1:
        return None
    return float(spearmanr(foretold, scores).statistic)
