"""Exhaustive search: every point, simple ones first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from plait.search._base import STRATEGIES, P, Strategy

BLOCK = 4096
"""Points held at once, beside those that were asked for."""


@STRATEGIES.register("exhaustive")
class ExhaustiveSearch(Strategy[P]):
    """All points, level by level, each level in a random order.

    The space is never listed: points come in blocks in its own order, and each block is shuffled. A level of no more
    points than a block has is in an evenly random order; what is seen of a larger one are its first points.
    """

    def begin(self) -> None:
        """The points, not yet asked for one."""
        self._rest = self._shuffled()
        self._next: deque[P] = deque()

    def propose(self, count: int) -> list[P]:
        """The next points."""
        while self._next and self._next[0] in self.asked:
            self._next.popleft()
        found = [point for point in islice(self._next, count) if point not in self.asked]
        while len(found) < count and (point := next(self._rest, None)) is not None:
            self._next.append(point)
            if point not in self.asked:
                found.append(point)
        return found

    def _shuffled(self) -> Iterator[P]:
        for level in range(1, self.space.levels + 1):
            points = self.space.points(level)
            while block := list(islice(points, BLOCK)):
                yield from (block[i] for i in self.rng.permutation(len(block)))
