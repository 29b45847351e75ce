"""Element-wise maximum of projections over the sources that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, masked, somewhere


@OPERATIONS.register("max")
class Max(Operation):
    """h = max of u_s over the present sources, element by element."""

    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """S of [*, B, W] to [*, B, W]."""
        known = None if present is None else somewhere(present)
        return reduce(torch.maximum, masked(columns, known, -torch.inf))
