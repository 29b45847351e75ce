"""What an encoder is: one modality in, its hidden states out, from shallow to deep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait._registry import Registry
from plait.data.readers._base import Reader

NEAR_RAW = 512
"""Layer 0 has at most this many numbers."""

REDUCE_ROWS = 1_024
"""Rows that principal components are fitted on."""


@dataclass
class HiddenStates:
    """What a unimodal network knows of a batch.

    Legend: B rows, d_l width of layer l, T tokens, d token width.

    Attributes:
        layers: Tensors [B, d_l]. Layer 0 is the near-raw input, 1..L the pooled hidden states from shallow to deep, and
            L+1, where the network has heads, its outputs for all tasks side by side.
        tokens: [B, T, d], where the encoder has a sequence.
        token_mask: [B, T] of bool, True where a token is real.
        values: [B, *shape], the reader's arrays that the network was given; None where nobody is to read them.
    """

    layers: tuple[Tensor, ...]
    tokens: Tensor | None = None
    token_mask: Tensor | None = None
    values: Tensor | None = None


class Encoder(nn.Module, ABC):
    """A unimodal network.

    Order of calls: `build` with the fitted reader; `fit_input` once with training rows' arrays; then `forward` any
    number of times. `forward` of a row must not depend on other rows in evaluation mode. Absent rows arrive as zeros;
    what the encoder makes of them is never used.

    Attributes:
        kind: The modality kind it reads.
        learning_rate: The highest learning rate that suits it (AdamW).
    """

    kind: ClassVar[str]
    learning_rate: ClassVar[float] = 3e-3

    @classmethod
    @abstractmethod
    def build(cls, reader: Reader) -> Self:
        """A fresh encoder for arrays of the reader's shape; weights from torch's global generator."""

    @abstractmethod
    def forward(self, values: Tensor) -> HiddenStates:
        """Encode.

        Args:
            values: [B, *reader.shape], in the reader's dtype or floating point.

        Returns:
            Layers 0..L, widths as `widths` says.
        """

    @property
    @abstractmethod
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L."""

    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit what normalises the input, on training rows [rows, *shape], perhaps none; nothing to do by default."""

    @classmethod
    def suits(cls, reader: Reader) -> int:
        """How well this encoder suits a reader: 0 not at all; the highest is taken by default."""
        return 1 if reader.kind == cls.kind else 0


ENCODERS: Registry[type[Encoder]] = Registry("encoder")
"""Encoders by name."""


def default_encoder(reader: Reader) -> str:
    """Name of the encoder that suits a reader best."""
    return max(ENCODERS, key=lambda name: (ENCODERS[name].suits(reader), name))


def has_encoder(kind: str) -> bool:
    """Whether any encoder reads this modality kind."""
    return any(ENCODERS[name].kind == kind for name in ENCODERS)


class Reduce(nn.Module):
    """Layer 0 of flat inputs: the input itself up to 512 numbers, otherwise its leading principal components.

    The components are fitted on training rows, at most 1,024 of them, evenly spaced: wide inputs would otherwise take
    minutes. Fewer than 512 rows have as many components as rows; others would be 0 and cost as much as any.

    Args:
        width: Numbers of the input.
        rows: Training rows, where they are known.
    """

    def __init__(self, width: int, rows: int | None = None) -> None:
        super().__init__()
        most = NEAR_RAW if rows is None else max(1, min(NEAR_RAW, rows))
        self.out = most if width > NEAR_RAW else width
        self.components: Tensor | None
        self.register_buffer("components", torch.zeros(width, self.out) if width > NEAR_RAW else None)

    def fit(self, values: Tensor) -> None:
        """Fit on standardised training rows [rows, width]."""
        if self.components is None or len(values) == 0:
            return
        rows = values[:: -(-len(values) // REDUCE_ROWS)].double()
        rows = rows - rows.mean(0)
        # Eigenvectors of the smaller Gram matrix: the right singular vectors, many times faster than a whole SVD.
        few = len(rows) < rows.shape[1]
        eigenvalues, vectors = torch.linalg.eigh(rows @ rows.T if few else rows.T @ rows)
        order = eigenvalues.argsort(descending=True)[: self.out]
        order = order[eigenvalues[order] > 1e-10 * eigenvalues.max().clamp_min(1e-30)]
        found = rows.T @ vectors[:, order] / eigenvalues[order].sqrt() if few else vectors[:, order]  # [width, kept]
        self.components.zero_()
        self.components[:, : len(order)] = found

    def forward(self, values: Tensor) -> Tensor:
        """[B, width] to [B, out]."""
        return values if self.components is None else values @ self.components


class Mlp(nn.Module):
    """Hidden layers of a perceptron; every one of them is a hidden state.

    Args:
        width: Input width.
        hidden: Widths of the hidden layers.
        dropout: Share of units dropped before every hidden layer but the first.
    """

    def __init__(self, width: int, hidden: Sequence[int], dropout: float = 0.3) -> None:
        super().__init__()
        sizes = [width, *hidden]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(dropout if index else 0.0),
                nn.Linear(sizes[index], sizes[index + 1]),
                nn.BatchNorm1d(sizes[index + 1]),
                nn.ReLU(),
            )
            for index in range(len(hidden))
        )

    def forward(self, values: Tensor) -> list[Tensor]:
        """[B, width] to one tensor [B, hidden_l] per hidden layer."""
        states = []
        for layer in self.layers:
            values = layer(values)
            states.append(values)
        return states


def moments(values: NDArray[Any], chunk: int = 256) -> tuple[float, float]:
    """Mean and standard deviation of all numbers of an array, the latter never 0; `chunk` rows at a time."""
    parts = range(0, len(values), chunk)
    mean = sum(float(values[i : i + chunk].sum(dtype=np.float64)) for i in parts) / values.size
    squares = sum(float(np.square(values[i : i + chunk].astype(np.float64) - mean).sum()) for i in parts)
    return mean, max((squares / values.size) ** 0.5, 1e-6)
