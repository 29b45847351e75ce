"""Element-wise maximum of projections over the sources that are there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, somewhere, spread


@OPERATIONS.register("max")
class Max(Operation):
    """h = max of u_s over the present sources, element by element."""

    def combine(self, columns: Tensor, present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """[S, *, B, W] to [*, B, W]."""
        if present is None:
            return columns.amax(dim=0)
        return torch.where(somewhere(spread(present, columns)), columns, -torch.inf).amax(dim=0)
