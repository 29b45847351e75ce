"""Gated sum: per row, how much each source counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from plait.fusion.operations._base import OPERATIONS, Operation, masked, somewhere, sum_of


@OPERATIONS.register("gate")
class Gate(Operation):
    """h = sum_s a_s u_s with a = softmax over the present sources of one extra column each (dynamic fusion).

    The weighing of modalities in Arevalo et al. 2017 (gated multimodal unit), with a softmax in place of sigmoids so
    that the weights of a row sum to 1.
    """

    def columns(self, width: int, sources: int) -> int:
        """One more than the width: the gate's logit stands last."""
        return width + 1

    def shares(self, columns: Sequence[Tensor], present: Tensor | None) -> Tensor:
        """a_s [S, *, B], 0 for absent sources, of sum 1; the same for all sources where none is present."""
        logits = torch.stack(list(masked([one[..., -1:] for one in columns], present, 0.0))).squeeze(-1)
        if present is None:
            return logits.softmax(dim=0)
        missing = logits.dim() - present.dim()
        mask = somewhere(present).reshape(len(present), *[1] * missing, *present.shape[1:])
        return torch.where(mask, logits, -torch.inf).softmax(dim=0)

    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """S of [*, B, W + 1] to [*, B, W]."""
        shares = self.shares(columns, present).unsqueeze(-1)
        values = masked([one[..., :-1] for one in columns], present, 0.0)  # 0 times infinity is no number
        return sum_of(share * value for share, value in zip(shares, values, strict=True))
