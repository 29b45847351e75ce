"""Where the weights of many architectures lie in one vector, so that what they have in common is computed at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from plait.fusion.architecture import Architecture
from plait.fusion.operations import OPERATIONS, Operation
from plait.fusion.stack.weights import Indices, Piece, Sizes, pieces_of

SHARED = 4
"""Cells that read the very same layers, and sum, are computed from these layers side by side if there are so many."""

State = tuple[str, int]


@dataclass(frozen=True, eq=False)
class PlacedCell:
    """A cell of one of the architectures.

    Attributes:
        owner: Which architecture.
        number: Its place there, from 0.
        operation: Its operation.
        activation: Its activation.
        states: The (modality, layer) that it reads.
        links: The cells of the same architecture that it reads.
        depth: 0 where it reads no cell, otherwise one more than the deepest that it reads.
        modalities: All that it and the cells below it read.
        pieces: Weights of the architecture.
        base: Where the architecture's own vector begins among those of all.
        columns: How many columns it asks of every source.
    """

    owner: int
    number: int
    operation: Operation
    kind: str
    activation: str
    states: tuple[State, ...]
    links: tuple[PlacedCell, ...]
    depth: int
    modalities: frozenset[str]
    pieces: Mapping[str, Piece]
    base: int
    columns: int

    def at(self, name: str) -> int:
        """Where one of its weights begins among those of all."""
        return self.base + self.pieces[f"cells.{self.number}.{name}"].start


@dataclass(eq=False)
class Block:
    """Rows of weights that lie one after another, each the property of one architecture.

    Attributes:
        owners: [rows]: which architecture.
        index: [rows, numbers]: where the numbers lie in the architectures' own vectors, one after another.
        start: Where the block begins in the stack's vector.
    """

    owners: Indices
    index: Indices
    start: int = 0


@dataclass(eq=False)
class Reading:
    """All columns that cells ask of some layers side by side: one matrix product.

    Attributes:
        states: The layers.
        stand_ins: Whether vectors that stand in for absent sources are among the inputs.
        columns: Columns per cell.
        cells: The cells, and which of their sources these layers are.
        first: Where its cells begin among those of all readings of so many columns.
    """

    states: tuple[State, ...]
    stand_ins: bool
    columns: int
    cells: list[tuple[PlacedCell, tuple[int, ...]]] = field(default_factory=list)
    first: int = 0
    block: Block = field(default_factory=lambda: Block(np.zeros(0, np.int64), np.zeros((0, 0), np.int64)))


@dataclass(eq=False)
class Group:
    """Cells that are computed at once: of one depth, operation and number of sources, architectures of one age.

    Attributes:
        cells: The cells, in the order of their architectures.
        masked: Whether sources of them, or all of them, may be absent.
        first: Where its cells begin among all cells.
        reads: [parts, cells]: where their columns lie among the readings.
        parts: What its cells have beside projections of layers, by name: shape and block.
    """

    cells: list[PlacedCell]
    masked: bool
    first: int = 0
    reads: Indices = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    parts: dict[str, tuple[tuple[int, ...], Block]] = field(default_factory=dict)

    @property
    def links(self) -> int:
        """How many cells each of them reads."""
        return len(self.cells[0].links)


class Layout:
    """The plan of a stack: readings, groups of cells, heads, and where all weights lie.

    Args:
        architectures: What is stacked; those of one age next to one another.
        ages: How many steps each was trained; decides only what lies next to what.
        sizes: What they have in common.
    """

    def __init__(self, architectures: Sequence[Architecture], ages: Sequence[int], sizes: Sizes) -> None:
        self.sizes, self.ages = sizes, tuple(ages)
        self.pieces = [pieces_of(architecture, sizes) for architecture in architectures]
        lengths = [_length(pieces) for pieces in self.pieces]
        self.bases = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.placed = [self._placed(owner, one) for owner, one in enumerate(architectures)]
        every = [cell for cells in self.placed for cell in cells]
        self.readings = self._readings(every)
        self.groups = self._groups(every)
        self.heads = self._heads()
        blocks = [reading.block for reading in self.readings]
        blocks += [block for group in self.groups for _, block in group.parts.values()]
        self.blocks = [*blocks, *self.heads]
        start = 0
        for block in self.blocks:
            block.start = start
            start += block.index.size
        self.size = start
        self.order: Indices = np.concatenate([block.index.ravel() for block in self.blocks])

    def _placed(self, owner: int, architecture: Architecture) -> list[PlacedCell]:
        found: list[PlacedCell] = []
        for number, cell in enumerate(architecture.cells):
            operation = OPERATIONS[cell.operation]()
            states = tuple(s.state for s in cell.sources if s.state is not None)
            links = tuple(found[s.cell - 1] for s in cell.sources if s.cell is not None)
            below = frozenset().union(*(link.modalities for link in links))
            found.append(
                PlacedCell(
                    owner, number, operation, cell.operation, cell.activation, states, links,
                    1 + max((link.depth for link in links), default=-1), below | {name for name, _ in states},
                    self.pieces[owner], int(self.bases[owner]),
                    operation.columns(self.sizes.width, len(cell.sources)),
                )
            )  # fmt: skip
        return found

    def _readings(self, cells: Sequence[PlacedCell]) -> list[Reading]:
        """One per set of layers that enough summing cells share, and per single layer for all others."""
        shared = Counter(cell.states for cell in cells if cell.operation.is_sum)
        found: dict[tuple[tuple[State, ...], bool, int], Reading] = {}
        for cell in cells:
            if cell.operation.is_sum and shared[cell.states] >= SHARED and cell.states:
                wanted = [(cell.states, tuple(range(len(cell.states))))]
            else:
                wanted = [((state,), (place,)) for place, state in enumerate(cell.states)]
            for states, places in wanted:
                stand_ins = cell.operation.is_sum and any(name in self.sizes.gaps for name, _ in states)
                key = (states, stand_ins, cell.columns)
                found.setdefault(key, Reading(*key)).cells.append((cell, places))
        readings = sorted(found.values(), key=lambda reading: reading.columns)
        first: Counter[int] = Counter()
        for reading in readings:
            reading.first = first[reading.columns]
            first[reading.columns] += len(reading.cells)
            reading.block = self._reading_block(reading)
        self.region: dict[int, int] = dict(first)
        return readings

    def _reading_block(self, reading: Reading) -> Block:
        """Weights [cells, columns, inputs]; the inputs are those of `StackFeed`: layer, bias, and stand-in by layer."""
        columns = np.arange(reading.columns)[None, :, None]
        parts = []
        for at, (name, layer) in enumerate(reading.states):
            width = self.sizes.layer_widths[name][layer]
            weights, biases, absent = (
                np.array([start(cell, places[at]) for cell, places in reading.cells])[:, None, None]
                for start in (_weight_start, _bias_start, _absent_start)
            )
            parts += [weights + columns * width + np.arange(width), biases + columns]
            if reading.stand_ins and name in self.sizes.gaps:
                parts.append(absent + columns)
        index = np.concatenate(parts, axis=2)
        owners = np.array([cell.owner for cell, _ in reading.cells])
        return Block(owners, index.reshape(len(owners), -1))

    def _groups(self, cells: Sequence[PlacedCell]) -> list[Group]:
        spots = {
            (id(cell), place): reading.first + number
            for reading in self.readings
            for number, (cell, places) in enumerate(reading.cells)
            for place in places[:1]
        }
        found: dict[tuple[object, ...], list[PlacedCell]] = {}
        for cell in cells:
            reads = sum((id(cell), place) in spots for place in range(len(cell.states)))
            masked = self._may_lack(cell)
            key: tuple[object, ...] = (
                cell.depth,
                cell.kind,
                self.ages[cell.owner],
                reads,
                len(cell.links),
                len(cell.states),
                masked,
            )
            found.setdefault(key if not cell.operation.is_sum else (*key[:5], 0, masked), []).append(cell)
        groups = []
        first = 0
        for key in sorted(found, key=lambda key: (found[key][0].depth, repr(key))):
            members = found[key]
            group = Group(members, bool(key[-1]), first)
            group.reads = np.array(
                [
                    [spots[id(cell), place] for place in range(len(cell.states)) if (id(cell), place) in spots]
                    for cell in members
                ],
                dtype=np.int64,
            ).T
            self._add_parts(group)
            groups.append(group)
            first += len(members)
        return groups

    def _may_lack(self, cell: PlacedCell) -> bool:
        """Whether a row may lack what a cell, or a cell that it reads, needs to know of."""
        return bool(cell.modalities & self.sizes.gaps)

    def _add_parts(self, group: Group) -> None:
        """What a group's cells have beside projections of layers: links, own weights, what stands for an empty cell."""
        one, width = group.cells[0], self.sizes.width
        for link in range(group.links):
            places = [len(cell.states) + link for cell in group.cells]
            wanted = [("weight", _weight_start, (one.columns, width)), ("bias", _bias_start, (one.columns,))]
            if one.operation.is_sum and group.masked:
                wanted.append(("absent", _absent_start, (width,)))
            for name, start, shape in wanted:
                starts = [start(cell, place) for cell, place in zip(group.cells, places, strict=True)]
                self._part(group, f"{name}.{link}", starts, shape)
        for name, shape in one.operation.weights(width, len(one.states) + group.links).items():
            if not one.operation.is_sum:
                self._part(group, f"own.{name}", [cell.at(f"own.{name}") for cell in group.cells], shape)
        if group.masked:
            self._part(group, "empty", [cell.at("empty") for cell in group.cells], (width,))

    def _part(self, group: Group, name: str, starts: Sequence[int], shape: tuple[int, ...]) -> None:
        index = np.array(starts)[:, None] + np.arange(int(np.prod(shape)))
        group.parts[name] = shape, Block(np.array([cell.owner for cell in group.cells]), index)

    def _heads(self) -> tuple[Block, Block]:
        """Weights [outputs of all tasks, width], and biases."""
        found = []
        for part in ("weight", "bias"):
            rows = []
            for task in range(len(self.sizes.outputs)):
                name = f"heads.{task}.{part}"
                starts = [base + pieces[name].start for base, pieces in zip(self.bases, self.pieces, strict=False)]
                rows.append(np.array(starts)[:, None] + np.arange(self.pieces[0][name].size))
            found.append(Block(np.arange(len(self.pieces)), np.concatenate(rows, axis=1)))
        return found[0], found[1]

    def spans(self) -> dict[int, list[tuple[int, int]]]:
        """Where in the stack's vector the weights of each age lie: pieces (from, to), as few as there are."""
        found: dict[int, list[tuple[int, int]]] = {}
        for block in self.blocks:
            numbers = block.index.shape[1]
            for row, owner in enumerate(block.owners.tolist()):
                start = block.start + row * numbers
                spans = found.setdefault(self.ages[owner], [])
                if spans and spans[-1][1] == start:
                    spans[-1] = (spans[-1][0], start + numbers)
                else:
                    spans.append((start, start + numbers))
        return found


def kinship(architecture: Architecture) -> tuple[object, ...]:
    """What architectures are sorted by, so that cells which are computed at once lie next to one another."""
    shape = tuple((len(c.sources), tuple(s.cell for s in c.sources if s.cell), c.operation) for c in architecture.cells)
    return len(shape), shape, tuple(cell.activation for cell in reversed(architecture.cells))


def _length(pieces: Mapping[str, Piece]) -> int:
    last = list(pieces.values())[-1]
    return last.start + last.size


def _weight_start(cell: PlacedCell, place: int) -> int:
    return cell.at(f"projections.{place}.weight")


def _bias_start(cell: PlacedCell, place: int) -> int:
    return cell.at(f"projections.{place}.bias")


def _absent_start(cell: PlacedCell, place: int) -> int:
    if not cell.operation.is_sum:
        return 0
    return cell.at("own.absent") + place * cell.columns
