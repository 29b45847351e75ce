"""Concatenation: a linear layer over the sources side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, spread


@OPERATIONS.register("concat")
class Concat(Operation):
    """h = sum_s u_s, which is W [x_1; ...; x_S] + b (Baltrusaitis et al. 2019, eq. 1: joint representation).

    A learned vector m_s stands in for the columns of an absent source.
    """

    is_sum: ClassVar[bool] = True

    def weights(self, width: int, sources: int) -> dict[str, tuple[int, ...]]:
        """The vectors that stand for absent sources."""
        return {"absent": (sources, width)}

    def bound(self, source_width: int, total_width: int) -> float:
        """As one linear layer over the concatenation would start."""
        return float(total_width**-0.5)

    def combine(self, columns: Tensor, present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """[S, *, B, W] to [*, B, W]."""
        if present is None:
            return columns.sum(dim=0)
        absent = weights["absent"].movedim(-2, 0).unsqueeze(-2)  # [S, *, 1, W]
        return torch.where(spread(present, columns), columns, absent).sum(dim=0)
