"""What strategies share that go by a hint: finding the points of a level with the highest one."""

from __future__ import annotations

from typing import ClassVar

from plait.search._base import P, Strategy

LOOKED_AT = 2_000
"""A level of more points than this is climbed from neighbour to neighbour, from the best of so many drawn ones."""


class HintedStrategy(Strategy[P]):
    """Base of strategies that need a hint."""

    needs_hint: ClassVar[bool] = True

    def hint_of(self, point: P) -> float:
        """The hint."""
        return self.hint(point) if self.hint is not None else 0.0

    def highest(self, count: int, level: int) -> list[P]:
        """Unseen points of a level, those with the highest hint, in its order; of a large level, such as were met."""
        seen = dict.fromkeys(self.unseen(LOOKED_AT, level))
        if seen and self.space.size(level) > LOOKED_AT:
            self._climb(seen, level)
        return sorted(seen, key=lambda point: (-self.hint_of(point), str(point)))[:count]

    def _climb(self, seen: dict[P, None], level: int) -> None:
        """Add what lies on the way up from the best point seen."""
        top, best = None, max(seen, key=self.hint_of)
        while best != top:
            top = best
            near = [p for p in self.space.neighbours(top) if self.space.level(p) == level and p not in self.asked]
            seen |= dict.fromkeys(near)
            best = max([top, *near], key=self.hint_of)
