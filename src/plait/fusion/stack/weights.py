"""The weights of one architecture as one vector: what they are called, where they lie, how they start."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.fusion.architecture import Architecture, Cell
from plait.fusion.network import WIDTH
from plait.fusion.operations import OPERATIONS

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """What all architectures of a stack have in common.

    Attributes:
        layer_widths: Widths of layers 0..L+1 by modality.
        outputs: Outputs of the head of every task, in order.
        width: Width of every cell.
        gaps: Modalities that some row lacks.
    """

    layer_widths: Mapping[str, Sequence[int]]
    outputs: tuple[int, ...]
    width: int = WIDTH
    gaps: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Piece:
    """One weight tensor.

    Attributes:
        name: Its name in the state dict of `FusionNetwork`.
        shape: Its shape.
        start: Where it begins in the vector.
        bound: Fresh values are drawn evenly from -bound..bound, ...
        centre: ... around this.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    bound: float
    centre: float = 0.0

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


_Shape = tuple[tuple[str, tuple[int, ...]], ...]
"""Of every cell its operation and the widths of its sources: all that decides which weights there are."""


def pieces_of(architecture: Architecture, sizes: Sizes) -> Mapping[str, Piece]:
    """All weights of an architecture, by name, in the order in which they lie in the vector."""
    return _pieces(_shape(architecture, sizes), sizes.outputs, sizes.width)


def _shape(architecture: Architecture, sizes: Sizes) -> _Shape:
    return tuple((cell.operation, tuple(source_widths(cell, sizes))) for cell in architecture.cells)


@lru_cache(maxsize=10_000)
def _pieces(shape: _Shape, outputs: tuple[int, ...], width: int) -> Mapping[str, Piece]:
    """Weights of all architectures of this shape."""
    found: dict[str, Piece] = {}
    start = 0
    for name, size, bound, centre in _described(shape, outputs, width):
        found[name] = Piece(name, size, start, bound, centre)
        start += math.prod(size)
    return found


@lru_cache(maxsize=10_000)
def _starts(shape: _Shape, outputs: tuple[int, ...], width: int) -> tuple[Indices, NDArray[np.float32]]:
    """Sizes [pieces] of all weights of this shape, and [bound or centre, pieces] of their fresh values."""
    known = list(_pieces(shape, outputs, width).values())
    starts = np.array([[piece.bound for piece in known], [piece.centre for piece in known]], np.float32)
    return np.array([piece.size for piece in known]), starts


_Description = tuple[str, tuple[int, ...], float, float]
"""Name, shape, bound and centre of a weight."""


def _described(
    shape: Sequence[tuple[str, tuple[int, ...]]], outputs: Sequence[int], width: int
) -> Iterator[_Description]:  # fmt: skip
    for number, (operation, widths) in enumerate(shape):
        yield from _described_cell(f"cells.{number}.", operation, widths, width)
    bound = width**-0.5
    for task, count in enumerate(outputs):
        yield f"heads.{task}.weight", (count, width), bound, 0.0
        yield f"heads.{task}.bias", (count,), bound, 0.0


def _described_cell(prefix: str, name: str, widths: Sequence[int], width: int) -> Iterator[_Description]:
    operation = OPERATIONS[name]()
    columns, total = operation.columns(width, len(widths)), sum(widths)
    for place, source in enumerate(widths):
        bound = operation.bound(source, total)
        yield f"{prefix}projections.{place}.weight", (columns, source), bound, 0.0
        yield f"{prefix}projections.{place}.bias", (columns,), 0.0, operation.bias(len(widths))
    for own, shape in operation.weights(width, len(widths)).items():
        yield f"{prefix}own.{own}", shape, operation.own_bound(own, shape), 0.0
    yield f"{prefix}empty", (width,), 0.0, 0.0


def source_widths(cell: Cell, sizes: Sizes) -> list[int]:
    """Widths of the sources of a cell, in order."""
    return [
        sizes.width if source.state is None else sizes.layer_widths[source.state[0]][source.state[1]]
        for source in cell.sources
    ]


def seed_of(seed: int, architecture: Architecture) -> int:
    """A number of 63 bits that seed and architecture decide: that of all draws for a candidate."""
    digest = hashlib.blake2b(f"{seed}|{architecture}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def fresh_weights(architecture: Architecture, sizes: Sizes, seed: int) -> Tensor:
    """Fresh weights as one vector [numbers]; the same for the same seed, in any company."""
    lengths, starts = _starts(_shape(architecture, sizes), sizes.outputs, sizes.width)
    bounds, centres = torch.from_numpy(np.repeat(starts, lengths, axis=1))
    drawn = torch.rand(len(bounds), generator=torch.Generator().manual_seed(seed))
    return drawn.mul_(2).sub_(1).mul_(bounds).add_(centres)


def state_dict_of(pieces: Mapping[str, Piece], vector: Tensor) -> dict[str, Tensor]:
    """The vector [numbers] as the state dict of a `FusionNetwork`, without the moments of its sources."""
    return {
        name: vector[piece.start : piece.start + piece.size].reshape(piece.shape).clone()
        for name, piece in pieces.items()
    }


def inherited(
    vector: Tensor, architecture: Architecture, sizes: Sizes, parents: Sequence[tuple[Architecture, Tensor]]
) -> int:
    """Take over what parents learned, in place: weights of the same cell position and source, and heads of its shape.

    A later parent is asked for what the earlier ones do not have.

    Args:
        vector: Fresh weights of the child [numbers]; changed.
        architecture: The child.
        sizes: Of both.
        parents: Architectures and their weights.

    Returns:
        How many numbers were taken over.
    """
    own = _by_meaning(architecture, sizes)
    taken: set[object] = set()
    numbers = 0
    for parent, weights in parents:
        for meaning, piece in _by_meaning(parent, sizes).items():
            mine = own.get(meaning)
            if mine is not None and mine.shape == piece.shape and meaning not in taken:
                taken.add(meaning)
                vector[mine.start : mine.start + mine.size] = weights[piece.start : piece.start + piece.size]
                numbers += piece.size
    return numbers


def _by_meaning(architecture: Architecture, sizes: Sizes) -> dict[object, Piece]:
    """Pieces by what they do: for a projection (cell, operation, source), for others the cell and their name."""
    found: dict[object, Piece] = {}
    for name, piece in pieces_of(architecture, sizes).items():
        kind, _, rest = name.partition(".")
        if kind == "heads":
            found["heads", rest] = piece
            continue
        number, part, *more = rest.split(".", 3)
        cell = architecture.cells[int(number)]
        at: object = (int(number), cell.operation)
        if part == "projections":
            source = cell.sources[int(more[0])]
            found[at, source.state if source.state is not None else "cell", more[1]] = piece
        else:
            found[at, part, *more] = piece
    return found
