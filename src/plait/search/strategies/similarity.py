"""Merge where layers are most alike: points in the order of a hint, and nothing is learned from scores."""

from __future__ import annotations

from typing import ClassVar

from plait.search._base import STRATEGIES, P, Strategy

LOOKED_AT = 2_000
"""A level of more points than this is climbed from neighbour to neighbour, from the best of so many drawn ones."""


@STRATEGIES.register("similarity")
class SimilaritySearch(Strategy[P]):
    """Points of level one, the highest hint first; then those of the next levels.

    With the similarity of the layers that are merged as hint (linear CKA on validation rows), this merges at the most
    similar layers (Lu & Xu 2018, in intermediate fusion).
    """

    needs_hint: ClassVar[bool] = True

    def propose(self, count: int) -> list[P]:
        """The unseen points with the highest hint, level by level."""
        found: list[P] = []
        for level in range(1, self.space.levels + 1):
            if len(found) < count:
                seen = dict.fromkeys(self.unseen(LOOKED_AT, level))
                if seen and self.space.size(level) > LOOKED_AT:
                    self._climb(seen, level)
                found += sorted(seen, key=lambda point: (-self._hint(point), str(point)))[: count - len(found)]
        return found

    def _climb(self, seen: dict[P, None], level: int) -> None:
        """Add what lies on the way up from the best point seen."""
        top, best = None, max(seen, key=self._hint)
        while best != top:
            top = best
            near = [p for p in self.space.neighbours(top) if self.space.level(p) == level and p not in self.asked]
            seen |= dict.fromkeys(near)
            best = max([top, *near], key=self._hint)

    def _hint(self, point: P) -> float:
        return self.hint(point) if self.hint is not None else 0.0
