"""Gated sum: per row, how much each source counts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, masked, somewhere, spread


@OPERATIONS.register("gate")
class Gate(Operation):
    """h = sum_s a_s u_s with a = softmax over the present sources of one extra column each (dynamic fusion).

    The weighing of modalities in Arevalo et al. 2017 (gated multimodal unit), with a softmax in place of sigmoids so
    that the weights of a row sum to 1.
    """

    def columns(self, width: int, sources: int) -> int:
        """One more than the width: the gate's logit stands last."""
        return width + 1

    def shares(self, columns: Tensor, present: Tensor | None) -> Tensor:
        """a_s [S, *, B], 0 for absent sources, of sum 1; the same for all sources where none is present."""
        if present is None:
            return columns[..., -1].softmax(dim=0)
        mask = spread(present, columns)[..., 0]
        logits = torch.where(mask, columns[..., -1], 0.0)
        return torch.where(somewhere(mask), logits, -torch.inf).softmax(dim=0)

    def combine(self, columns: Tensor, present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """[S, *, B, W + 1] to [*, B, W]."""
        values = masked(columns[..., :-1], present, 0.0)  # 0 times infinity is no number
        return (self.shares(columns, present).unsqueeze(-1) * values).sum(dim=0)
