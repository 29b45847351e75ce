"""Merge where layers are most alike: points in the order of a hint, and nothing is learned from scores."""

from __future__ import annotations

from plait.search._base import STRATEGIES, P
from plait.search.strategies.hinted import HintedStrategy


@STRATEGIES.register("similarity")
class SimilaritySearch(HintedStrategy[P]):
    """Points of level one, the highest hint first; then those of the next levels.

    With the similarity of the layers that are merged as hint (linear CKA on validation rows), this merges at the most
    similar layers (Lu & Xu 2018, in intermediate fusion).
    """

    def propose(self, count: int) -> list[P]:
        """The unseen points with the highest hint, level by level."""
        found: list[P] = []
        for level in range(1, self.space.levels + 1):
            if len(found) < count:
                found += self.highest(count - len(found), level)
        return found
