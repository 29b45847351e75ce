"""Mean of projections over the sources that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, masked, sum_of


@OPERATIONS.register("mean")
class Mean(Operation):
    """h = mean of u_s over the present sources; it differs from concat only where a source is absent."""

    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """S of [*, B, W] to [*, B, W]."""
        total = sum_of(masked(columns, present, 0.0))
        return total / (len(columns) if present is None else present.sum(dim=0).clamp(min=1).unsqueeze(-1))
