"""Element-wise product of projections: all interaction orders in one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, product_of

SMALL = 0.5


@OPERATIONS.register("product")
class Product(Operation):
    """h = prod_s u_s over the present sources (Kim et al. 2017, eq. 3, without the last layer, for any number of them).

    Biases start at 1 and weights small, so that a product of many sources starts near 1 and none of them kills it.
    """

    def bound(self, source_width: int, total_width: int) -> float:
        """Half of what a sum would take."""
        return float(SMALL * source_width**-0.5)

    def bias(self, sources: int) -> float:
        """1, the neutral factor."""
        return 1.0

    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """S of [*, B, W] to [*, B, W]."""
        return product_of(columns, present)
