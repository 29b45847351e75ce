"""Greedy growth: from the simple points with the highest hint to the best ones' children, in the order of the hint."""

from __future__ import annotations

from plait.search._base import STRATEGIES, P
from plait.search.strategies.hinted import HintedStrategy

FIRST_SHARE = 0.25
FIRST = 32
"""Share of the budget, or points where it is not known, that the simple points with the highest hint get."""

PARENTS = 2
CHILDREN = 64


@STRATEGIES.register("greedy")
class GreedySearch(HintedStrategy[P]):
    """Level one by the hint, then what is near the best points seen, by the hint (own choice).

    Points that grow from the best few and their neighbours are asked for in the order of the hint; where it knows no
    difference, at random. Scores decide whose children are looked at, the hint which children. Nobody inherits weights:
    scores of trainings of different length could not be compared.
    """

    def propose(self, count: int) -> list[P]:
        """Points of level one, then children and neighbours of the best."""
        found = self.highest(first, 1) if (first := min(count, self._left_of_first())) else []
        taken = {*self.asked, *found}
        near = [point for point in self._near() if point not in taken]
        chosen = sorted(near, key=lambda point: -self.hint_of(point))[: count - len(found)]
        return self.filled([*found, *chosen], count)

    def _left_of_first(self) -> int:
        """How many points of level one are still to be asked for at first."""
        most = FIRST if self.budget is None else max(1, int(FIRST_SHARE * self.budget))
        return max(0, min(most, self.space.size(1)) - len(self.asked))

    def _near(self) -> list[P]:
        """Children and neighbours of the best points, in random order."""
        found: dict[P, None] = {}
        for parent in self.best(PARENTS):
            found |= dict.fromkeys([*self.space.grow(parent, self.rng, CHILDREN), *self.space.neighbours(parent)])
        points = list(found)
        return [points[i] for i in self.rng.permutation(len(points))]
