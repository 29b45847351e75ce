"""Rows that a model learns from or is asked about, and the batches cut out of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FEWEST_AT_ONCE: Final = 8
MOST_AT_ONCE: Final = 1_024
NUMBERS_AT_ONCE: Final = 400_000
"""Numbers in the inputs of one forward pass on a CPU: the maps between a network's layers should fit in its cache."""


@dataclass
class Batch:
    """Some rows.

    Legend: B rows.

    Attributes:
        inputs: By modality, [B, ...]: the reader's arrays, or cached hidden states.
        present: By modality, [B] of bool: whether the row has it.
        targets: By task, [B], encoded; 0 where there is no label.
        labelled: By task, [B] of bool.
        weights: [B], how much a row counts in the losses.
        rows: [B], positions in the rows that the batch was cut from.
        values: By modality, [B, ...]: the reader's arrays where `inputs` are cached hidden states and both are read.
    """

    inputs: dict[str, Tensor]
    present: dict[str, Tensor]
    targets: dict[str, Tensor]
    labelled: dict[str, Tensor]
    weights: Tensor
    rows: Tensor
    values: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""

        def moved(part: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device, non_blocking=True) for name, tensor in part.items()}

        return Batch(
            moved(self.inputs), moved(self.present), moved(self.targets), moved(self.labelled),
            self.weights.to(device), self.rows, moved(self.values),
        )  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Rows held as arrays, in memory or mapped from the cache; `batch` reads only the rows it is asked for.

    Attributes:
        inputs: By modality, arrays [all rows, ...].
        present: By modality, arrays [all rows] of bool.
        targets: By task, arrays [all rows].
        labelled: By task, arrays [all rows] of bool.
        index: Positions of these rows in the arrays, [rows].
        values: By modality, the reader's arrays [all rows, ...], beside inputs that are cached hidden states.
    """

    inputs: Mapping[str, NDArray[Any]]
    present: Mapping[str, NDArray[np.bool_]]
    targets: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    labelled: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    def at(self, index: NDArray[np.int64]) -> Rows:
        """The same arrays with other rows; `index` are positions in the arrays."""
        return replace(self, index=np.asarray(index, dtype=np.int64))

    def batch(self, positions: NDArray[np.int64]) -> Batch:
        """The rows at these positions (0 .. len - 1)."""
        rows = self.index[positions]

        def taken(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
            return {name: torch.from_numpy(np.ascontiguousarray(_take(array, rows))) for name, array in arrays.items()}

        return Batch(
            taken(self.inputs),
            {name: torch.from_numpy(mask[rows]) for name, mask in self.present.items()},
            {name: torch.from_numpy(values[rows]) for name, values in self.targets.items()},
            {name: torch.from_numpy(mask[rows]) for name, mask in self.labelled.items()},
            torch.ones(len(rows)),
            torch.from_numpy(np.asarray(positions, dtype=np.int64)),
            taken(self.values),
        )

    def in_order(self, size: int | None = None) -> Iterator[Batch]:
        """All rows in order, `size` at a time; by default as many as `rows_at_once` says."""
        size = size or min((rows_at_once(array.shape[1:]) for array in self.inputs.values()), default=MOST_AT_ONCE)
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self))))


def rows_at_once(shape: tuple[int, ...]) -> int:
    """How many rows of a shape to push through a network at once on a CPU.

    A batch of 256 photos of 64 x 64 takes twice as long as eight batches of 32.
    """
    return int(np.clip(NUMBERS_AT_ONCE // max(1, math.prod(shape)), FEWEST_AT_ONCE, MOST_AT_ONCE))


def _take(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of an array; a run of neighbours is a slice, without a gather."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return np.array(array[rows[0] : rows[-1] + 1])
    return np.asarray(array[rows])


def shuffled(rows: int, size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Positions of one epoch's batches in random order; the same for the same seed and epoch.

    No batch has a single row (batch normalisation needs two): a rest of one joins the batch before it.

    Args:
        rows: How many rows there are.
        size: Rows per batch.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
    """
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    cuts = list(range(size, rows, size))
    if cuts and rows - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)
