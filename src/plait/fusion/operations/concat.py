"""Concatenation: a linear layer over the sources side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, sum_of


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

    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """S of [*, B, W] to [*, B, W]."""
        if present is None:
            return sum_of(columns)
        absent = weights["absent"].unsqueeze(-2).unbind(-3)  # S of [*, 1, W]
        both = zip(columns, present.unsqueeze(-1), absent, strict=True)
        return sum_of(torch.where(mask, one, other) for one, mask, other in both)
