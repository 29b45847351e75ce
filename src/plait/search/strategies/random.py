"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

from plait.search._base import STRATEGIES, P, Strategy


@STRATEGIES.register("random")
class RandomSearch(Strategy[P]):
    """Points drawn evenly from the whole space, without repetition (Bergstra & Bengio 2012)."""

    def propose(self, count: int) -> list[P]:
        """Unseen points of any level."""
        return self.unseen(count)
