"""The space of fusion architectures: counted exactly, drawn evenly, walked from neighbour to neighbour."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plait.fusion.architecture import Activation, Architecture
from plait.fusion.operations import OPERATIONS
from plait.fusion.trees import (
    Profile,
    Tree,
    combination,
    normal,
    profiles,
    randbelow,
    replaced,
    subtrees,
    tidy,
    to_architecture,
    to_tree,
)  # fmt: skip

EVERY_OPERATION: Final = ("concat", "product", "low-rank", "tensor", "gate", "max", "mean")
TRIES: Final = 16


class FusionSpace:
    """All trees of cells over some layers.

    A cell reads at most one layer of each modality, and different earlier cells; it reads a modality, or two cells at
    least, since a cell over one cell alone adds no source. A cell with one source is a `concat`: all operations are the
    same linear layer there. The published space (MFAS, Perez-Rua et al. 2019) is `trees=False, every_modality=True`
    with concat alone.

    Points have numbers, 0 to `size()` - 1: `space[number]`. Iteration and even drawing go by them.

    Args:
        layers: Layers that may be read, by modality.
        operations: Operations of cells with two sources or more.
        activations: Activations of cells.
        max_cells: Cells of an architecture, at most.
        trees: Whether a cell may read several cells; otherwise architectures are chains.
        every_modality: Whether every cell reads a layer of every modality.
        max_sources: Sources of a cell, at most.

    Raises:
        ValueError: No architecture is left.
    """

    def __init__(
        self,
        layers: Mapping[str, Sequence[int]],
        *,
        operations: Sequence[str] = EVERY_OPERATION,
        activations: Sequence[Activation] = ("relu", "tanh"),
        max_cells: int = 3,
        trees: bool = True,
        every_modality: bool = False,
        max_sources: int | None = None,
    ) -> None:
        if not layers or max_cells < 1 or not operations or not activations or not all(layers.values()):
            raise ValueError("a space has modalities with layers, operations, activations, and one cell at least")
        self.layers = {name: tuple(sorted(set(layers[name]))) for name in sorted(layers)}
        self.operations, self.activations = tuple(dict.fromkeys(operations)), tuple(dict.fromkeys(activations))
        self.max_cells, self.trees, self.every_modality = max_cells, trees, every_modality
        self.max_sources = len(self.layers) + max_cells if max_sources is None else max_sources
        self._trees = lru_cache(maxsize=100_000)(self._unranked)
        if not self.size():
            raise ValueError(
                f"{len(self.layers)} modalities, {self.max_sources} sources of a cell at most, every_modality="
                f"{every_modality} and the operations {', '.join(self.operations)} leave no architecture"
            )

    @property
    def levels(self) -> int:
        """Cells of an architecture, at most."""
        return self.max_cells

    def level(self, point: Architecture) -> int:
        """Its number of cells."""
        return len(point.cells)

    def size(self, level: int | None = None) -> int:
        """How many architectures there are: exact, each canonical form once."""
        return sum(self._counts) if level is None else self._counts[level - 1]

    def __getitem__(self, number: int) -> Architecture:
        """The architecture of a number; lower numbers have fewer cells."""
        if not 0 <= number < self.size():
            raise IndexError(f"architectures are numbered 0 to {self.size() - 1:,}, not {number:,}")
        cells = 1
        while number >= self._counts[cells - 1]:
            number -= self._counts[cells - 1]
            cells += 1
        return to_architecture(self._trees(cells, number))

    def points(self, level: int | None = None) -> Iterator[Architecture]:
        """All architectures in the order of their numbers, made one at a time."""
        start = 0 if level is None else sum(self._counts[: level - 1])
        return (self[number] for number in range(start, start + self.size(level)))

    def __iter__(self) -> Iterator[Architecture]:
        return self.points()

    def sample(self, rng: np.random.Generator, level: int | None = None) -> Architecture:
        """Drawn evenly among all architectures, or among those of some number of cells."""
        start = 0 if level is None else sum(self._counts[: level - 1])
        return self[start + randbelow(self.size(level), rng)]

    def __contains__(self, point: object) -> bool:
        return isinstance(point, Architecture) and self._admits(to_tree(point))

    def _admits(self, tree: Tree) -> bool:
        """Whether a tree is one of the space's."""
        return sum(1 for _ in subtrees(tree)) <= self.max_cells and all(map(self._has, subtrees(tree)))

    def _has(self, tree: Tree) -> bool:
        """Whether a tree's top cell is one of the space's."""
        operation, activation, states, children = tree
        return (
            all(layer in self.layers.get(name, ()) for name, layer in states)
            and len(dict(states)) == len(states)
            and len(set(map(normal, children))) == len(children)
            and self._allowed(len(states), len(children))
            and operation in self._operations(len(states) + len(children))
            and activation in self.activations
        )

    def _allowed(self, modalities: int, cells: int) -> bool:
        """Whether a cell may read so many modalities and cells."""
        return (
            (modalities >= 1 or cells >= 2)
            and modalities + cells <= self.max_sources
            and (self.trees or cells <= 1)
            and (not self.every_modality or modalities == len(self.layers))
            and bool(self._operations(modalities + cells))
        )

    def _operations(self, sources: int) -> tuple[str, ...]:
        return self._able[sources] if sources < len(self._able) else self._able[-1]

    @cached_property
    def _able(self) -> tuple[tuple[str, ...], ...]:
        """Operations that can combine 0, 1, 2, ... sources; more than the last of these, those that always can."""
        limits = {name: OPERATIONS[name].most_sources for name in self.operations}
        most = max([2, *(limit for limit in limits.values() if limit is not None)])
        able = [
            tuple(name for name, limit in limits.items() if limit is None or sources <= limit)
            for sources in range(most + 2)
        ]
        return (able[0], ("concat",), *able[2:])

    def _wider(self, operation: str, sources: int) -> str:
        """The operation of a cell of so many sources once it reads one more: one source says nothing about it."""
        if sources > 1:
            return operation
        return "concat" if "concat" in self.operations else self.operations[0]

    # Counting: a subtree of n cells is a cell that reads m modalities and, by its profile, smaller subtrees.

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        """Subtrees of 1, 2, ... cells; each is an architecture of its own."""
        counts: list[int] = []
        for cells in range(1, self.max_cells + 1):
            counts.append(sum(part for *_, part in self._parts(cells, counts)))
        return tuple(counts)

    @cached_property
    def _choices(self) -> tuple[int, ...]:
        """In how many ways 0, 1, ... modalities are picked with a layer each."""
        return tuple(self._picked(0, count) for count in range(len(self.layers) + 1))

    def _picked(self, first: int, count: int) -> int:
        """In how many ways `count` modalities from the one at place `first` on are picked with a layer each."""
        return self._ways_table[first][count]

    @cached_property
    def _ways_table(self) -> list[list[int]]:
        sizes = [len(layers) for layers in self.layers.values()]
        table = [[1] + [0] * len(sizes)]
        for size in reversed(sizes):
            below = table[0]
            table.insert(0, [below[n] + (size * below[n - 1] if n else 0) for n in range(len(sizes) + 1)])
        return table

    def _parts(self, cells: int, counts: Sequence[int]) -> Iterator[tuple[int, Profile, int]]:
        """(modalities, profile, number of subtrees of `cells` cells that have both), in a fixed order."""
        for profile in profiles(cells - 1, cells - 1):
            below = math.prod(math.comb(counts[size - 1], many) for size, many in profile)
            read = sum(many for _, many in profile)
            for modalities, choices in enumerate(self._choices):
                if below and choices and self._allowed(modalities, read):
                    ways = len(self._operations(modalities + read)) * len(self.activations)
                    yield modalities, profile, ways * choices * below

    @cached_property
    def _ends(self) -> list[tuple[list[int], list[tuple[int, Profile, int]]]]:
        """For 1, 2, ... cells the parts, and the number at which each ends."""
        every = [list(self._parts(cells, self._counts)) for cells in range(1, self.max_cells + 1)]
        return [(list(accumulate(part for *_, part in parts)), parts) for parts in every]

    def _unranked(self, cells: int, number: int) -> Tree:
        """The subtree of a number among those of `cells` cells."""
        ends, parts = self._ends[cells - 1]
        place = bisect_right(ends, number)
        number -= ends[place - 1] if place else 0
        modalities, profile, _ = parts[place]
        read = sum(many for _, many in profile)
        operations = self._operations(modalities + read)
        number, operation = divmod(number, len(operations))
        number, activation = divmod(number, len(self.activations))
        number, choice = divmod(number, self._choices[modalities])
        children: list[Tree] = []
        for size, many in profile:
            number, which = divmod(number, math.comb(self._counts[size - 1], many))
            children += [self._trees(size, i) for i in combination(which, many)]
        return operations[operation], self.activations[activation], self._states(choice, modalities), tuple(children)

    def _states(self, number: int, count: int) -> tuple[tuple[str, int], ...]:
        """The pick of a number among those of `count` modalities with a layer each."""
        found: list[tuple[str, int]] = []
        for place, (name, layers) in enumerate(self.layers.items()):
            without = self._picked(place + 1, count - len(found))
            if number < without:
                continue
            number, layer = divmod(number - without, len(layers))
            found.append((name, layers[layer]))
            if len(found) == count:
                break
        return tuple(found)

    # Walking

    def neighbours(self, point: Architecture) -> list[Architecture]:
        """Other operation, activation or layer of a cell; a source or a cell more or less."""
        changes = [changed for changed in self._changes(to_tree(point)) if changed is not None]
        found = dict.fromkeys(to_architecture(changed) for changed in changes if self._admits(changed))
        return [made for made in found if made != point]

    def _changes(self, tree: Tree) -> Iterator[Tree | None]:
        """Every tree one change away, also such as do not belong to the space."""
        yield from self._cell_changes(tree)
        operation, activation, states, children = tree
        for i, child in enumerate(children):
            rest = children[:i] + children[i + 1 :]
            for changed in self._changes(child):
                yield tidy((operation, activation, states, (*rest, changed) if changed else rest))
            yield tidy((operation, activation, states, rest))
        yield from children
        wider = self._wider(operation, len(states) + len(children))
        for name, layers in self.layers.items():  # one cell more, on top or below
            for layer in layers:
                yield self._wider("concat", 1), activation, ((name, layer),), (tree,)
                yield wider, activation, states, (*children, ("concat", activation, ((name, layer),), ()))

    def _cell_changes(self, tree: Tree) -> Iterator[Tree | None]:
        operation, activation, states, children = tree
        for other in self._operations(len(states) + len(children)):
            yield other, activation, states, children
        for another in self.activations:
            yield operation, another, states, children
        for i, (name, _) in enumerate(states):
            rest = states[:i] + states[i + 1 :]
            yield tidy((operation, activation, rest, children))
            for layer in self.layers[name]:
                yield tidy((operation, activation, (*rest, (name, layer)), children))
        absent = [name for name in self.layers if name not in dict(states)]
        wider = self._wider(operation, len(states) + len(children))
        for name in absent:
            for layer in self.layers[name]:
                yield tidy((wider, activation, (*states, (name, layer)), children))

    def mutate(self, point: Architecture, rng: np.random.Generator) -> Architecture:
        """One of its neighbours, drawn evenly."""
        near = self.neighbours(point)
        return near[int(rng.integers(len(near)))] if near else point

    def crossover(self, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
        """`one` with one of its cells, and all below, replaced by one of `other`'s; a mutation where none fits."""
        trees, donors = to_tree(one), list(subtrees(to_tree(other)))
        places = len(one.cells)
        for _ in range(TRIES):
            donor = donors[int(rng.integers(len(donors)))]
            made, _ = replaced(trees, int(rng.integers(places)), donor)
            if self._admits(made) and (child := to_architecture(made)) not in (one, other):
                return child
        return self.mutate(one, rng)

    def grow(self, point: Architecture, rng: np.random.Generator, most: int) -> list[Architecture]:
        """Architectures with one cell more, which reads the last cell and one modality at least."""
        if len(point.cells) >= self.max_cells:
            return []
        tree = to_tree(point)
        found: dict[Architecture, None] = {}
        parts = [(m, choices) for m, choices in enumerate(self._choices) if choices and self._allowed(m, 1)]
        sizes = [choices * len(self._operations(m + 1)) * len(self.activations) for m, choices in parts]
        total = sum(sizes)
        numbers = range(total) if total <= most else dict.fromkeys(randbelow(total, rng) for _ in range(most))
        for number in numbers:
            place = 0
            while number >= sizes[place]:
                number -= sizes[place]
                place += 1
            modalities, choices = parts[place]
            number, choice = divmod(number, choices)
            activation, operation = divmod(number, len(self._operations(modalities + 1)))
            states = self._states(choice, modalities)
            made = self._operations(modalities + 1)[operation], self.activations[activation], states, (tree,)
            found[to_architecture(made)] = None
        return list(found)

    def encode(self, point: Architecture) -> NDArray[np.int64]:
        """A row per cell, zeros where there is none: operation, activation, who reads it, and the layer per modality.

        All are counted from 1; 0 says that a modality is not read, and that the heads read the cell.
        """
        names = list(self.layers)
        told = np.zeros((self.max_cells, 3 + len(names)), np.int64)
        for place, cell in enumerate(point.cells):
            told[place, 0] = (*EVERY_OPERATION, *self.operations).index(cell.operation) + 1
            told[place, 1] = self.activations.index(cell.activation) + 1
            for source in cell.sources:
                if source.state is not None:
                    told[place, 3 + names.index(source.state[0])] = source.state[1] + 1
                elif source.cell is not None:
                    told[source.cell - 1, 2] = place + 1
        return told

    def choices(self) -> list[list[tuple[int, ...]]]:
        """For every cell: operations and `concat`, activations, cells after it (0 for the last), layers or 0."""
        codes = [(*EVERY_OPERATION, *self.operations).index(name) + 1 for name in ("concat", *self.operations)]
        layers = [
            (*(() if self.every_modality else (0,)), *(layer + 1 for layer in some)) for some in self.layers.values()
        ]
        activations = tuple(range(1, len(self.activations) + 1))
        found: list[list[tuple[int, ...]]] = []
        for place in range(1, self.max_cells + 1):
            after = range(place + 1, self.max_cells + 1)
            readers = tuple(after) if self.trees else tuple(after[:1])
            found.append([tuple(sorted(set(codes))), activations, (0, *readers), *layers])
        return found

    def decode(self, numbers: NDArray[np.int64]) -> Architecture | None:
        """The architecture of rows as `encode` writes them; the last cell is the last row that is not zeros.

        Mended, in this order, from the first cell on: a cell that no later one reads is read by the last cell (in a
        chain, by the next); of equal cells that one cell reads one is left; of too many sources the
        last modalities are; a cell without sources is left out, and so is one over one cell alone, which is read in
        its stead; an operation that cannot combine so many sources becomes the first that can.
        """
        cells = int(np.count_nonzero(numbers.any(axis=1)))
        below: list[list[Tree]] = [[] for _ in range(cells)]
        made: Tree | None = None
        for place, row in enumerate(numbers[:cells].tolist()):
            made = self._mended(row, below[place])
            reader = place + 1 if not self.trees else row[2] - 1
            if made is not None and place < cells - 1:
                below[reader if place < reader < cells else cells - 1].append(made)
        return to_architecture(made) if made is not None and self._admits(made) else None

    def _mended(self, row: Sequence[int], below: Sequence[Tree]) -> Tree | None:
        """The cell of a row over the cells below it; None if it has no sources."""
        children = tuple({normal(child): child for child in below}.values())
        states = tuple((name, code - 1) for name, code in zip(self.layers, row[3:], strict=True) if code)
        states = states[: max(0, self.max_sources - len(children))]
        operation = (*EVERY_OPERATION, *self.operations)[row[0] - 1]
        able = self._operations(len(states) + len(children))
        if able and operation not in able:
            operation = able[0]
        return tidy((operation, self.activations[row[1] - 1], states, children))
