"""Low-rank tensor fusion: the outer product of all sources without ever forming it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, product_of
from plait.fusion.operations.product import SMALL

RANK = 4


@OPERATIONS.register("low-rank")
class LowRank(Operation):
    """h = sum_r prod_s u_s^(r): a linear layer over the outer product of all [x_s; 1], of rank R (Liu et al. 2018).

    Their eq. 6 with w_s^(r) [x_s; 1] = u_s^(r): the bias of a projection is the weight of the 1. An absent source
    leaves the product.

    Args:
        rank: R.
    """

    def __init__(self, rank: int = RANK) -> None:
        self.rank = rank

    def columns(self, width: int, sources: int) -> int:
        """A vector of the width for every rank."""
        return width * self.rank

    def bound(self, source_width: int, total_width: int) -> float:
        """Half of what a sum would take."""
        return float(SMALL * source_width**-0.5)

    def bias(self, sources: int) -> float:
        """So that the sum over ranks starts near 1."""
        return float(self.rank ** (-1 / sources))

    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """S of [*, B, R W] to [*, B, W]."""
        products = product_of(columns, present)
        return products.reshape(*products.shape[:-1], self.rank, -1).sum(dim=-2)
