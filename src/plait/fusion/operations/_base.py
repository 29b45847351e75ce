"""What an operation is: how a cell combines the projected columns of its sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from plait._registry import Registry


class Operation(ABC):
    """Combines the projected columns u_s = W_s x_s + b_s of a cell's sources into one vector.

    An operation holds no weights: projections belong to the cell, and so do the operation's own weights, whose shapes
    `weights` names. The same code therefore serves one cell and many stacked ones.

    Legend: S sources, B rows, C columns, W width; * stands for any leading axes (stacked cells).

    Attributes:
        most_sources: How many sources it can combine at most; None for any number.
        is_sum: Whether h is the sum of the columns, of which the own weight `absent` [S, W] stands in for those of an
            absent source. The columns of many such cells can then be summed inside one matrix product.
    """

    most_sources: ClassVar[int | None] = None
    is_sum: ClassVar[bool] = False

    def columns(self, width: int, sources: int) -> int:
        """How many columns it asks of every source."""
        return width

    def weights(self, width: int, sources: int) -> dict[str, tuple[int, ...]]:
        """Shapes of weights of its own, by name."""
        return {}

    def own_bound(self, name: str, shape: tuple[int, ...]) -> float:
        """A weight of its own starts evenly in -bound..bound."""
        return 0.0

    def bound(self, source_width: int, total_width: int) -> float:
        """Projection weights of a source start evenly in -bound..bound; `total_width` sums over the cell's sources."""
        return float(source_width**-0.5)

    def bias(self, sources: int) -> float:
        """Where projection biases start."""
        return 0.0

    @abstractmethod
    def combine(self, columns: Sequence[Tensor], present: Tensor | None, weights: Mapping[str, Tensor]) -> Tensor:
        """Combine.

        A row's result for an absent source must not depend on that source's columns, and be finite (but otherwise
        anything) where no source is present.

        Args:
            columns: One [*, B, C] for each of the S sources.
            present: [S, *, B] of bool, or [S, B] for all stacked cells alike; None where all sources are present.
            weights: Its own weights, each [*, shape as in `weights`].

        Returns:
            [*, B, W], before the activation.
        """


OPERATIONS: Registry[type[Operation]] = Registry("operation")


def somewhere(present: Tensor) -> Tensor:
    """The mask [S, ...] with True for all sources of a row that has none, so that nothing is divided by zero."""
    return present | ~present.any(dim=0, keepdim=True)


def masked(columns: Sequence[Tensor], present: Tensor | None, value: float) -> Sequence[Tensor]:
    """The columns, S of [*, B, C], with a value in the place of those of absent sources."""
    if present is None:
        return columns
    return [torch.where(mask.unsqueeze(-1), one, value) for one, mask in zip(columns, present, strict=True)]


def sum_of(columns: Iterable[Tensor]) -> Tensor:
    """sum_s u_s, S of [*, B, C] to [*, B, C]."""
    return reduce(torch.add, columns)


def product_of(columns: Sequence[Tensor], present: Tensor | None) -> Tensor:
    """prod_s u_s over the present sources, S of [*, B, C] to [*, B, C].

    A running product: its gradient is cheap, and right where a factor is 0.
    """
    return reduce(torch.mul, masked(columns, present, 1.0))
