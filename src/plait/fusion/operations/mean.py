"""Mean of projections over the sources that are there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, spread


@OPERATIONS.register("mean")
class Mean(Operation):
    """h = mean of u_s over the present sources; it differs from concat only where a source is absent."""

    def combine(self, columns: Tensor, present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """[S, *, B, W] to [*, B, W]."""
        if present is None:
            return columns.mean(dim=0)
        mask = spread(present, columns)
        return torch.where(mask, columns, 0.0).sum(dim=0) / mask.sum(dim=0).clamp(min=1)
