"""Tensor fusion: a linear layer over the outer product of all sources, each with a 1 appended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn import functional

from plait.fusion.operations._base import OPERATIONS, Operation, masked

MOST_ENTRIES = 1_024
MOST_COLUMNS = 15


@OPERATIONS.register("tensor")
class TensorFusion(Operation):
    """h = W vec([u_1; 1] x ... x [u_S; 1]), with few columns k per source (Zadeh et al. 2017, eq. 2).

    k is the largest number, at most 15, for which the (k + 1)^S entries are no more than 1,024. The entry of all ones
    is the bias. Of an absent source the 1 alone is left.
    """

    most_sources = 10

    def columns(self, width: int, sources: int) -> int:
        """k."""
        k = MOST_COLUMNS
        while (k + 1) ** sources > MOST_ENTRIES:
            k -= 1
        return k

    def weights(self, width: int, sources: int) -> dict[str, tuple[int, ...]]:
        """The linear layer."""
        return {"weight": ((self.columns(width, sources) + 1) ** sources, width)}

    def own_bound(self, name: str, shape: tuple[int, ...]) -> float:
        """As a linear layer over the entries would start."""
        return float(shape[0] ** -0.5)

    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """S of [*, B, k] to [*, B, W]."""
        outer, *others = (functional.pad(one, (0, 1), value=1.0) for one in masked(columns, present, 0.0))
        for factor in others:
            outer = (outer.unsqueeze(-1) * factor.unsqueeze(-2)).flatten(-2)
        result: Tensor = outer @ weights["weight"]
        return result
