"""Cells as nested tuples, and the arithmetic of numbering them: what the space of architectures is counted with."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from plait.fusion.architecture import Activation, Architecture, Cell, of_cell, of_state

Tree = tuple[str, Activation, tuple[tuple[str, int], ...], tuple["Tree", ...]]
"""A cell and all below it: operation, activation, its (modality, layer) sources, the cells it reads."""

Profile = tuple[tuple[int, int], ...]
"""How many cells of which size a cell reads: pairs of (size of the subtree, how many different ones)."""


def profiles(total: int, largest: int) -> Iterator[Profile]:
    """All ways to write `total` as sizes with multiplicities, no size over `largest`."""
    if total == 0:
        yield ()
    for size in range(min(total, largest), 0, -1):
        for many in range(total // size, 0, -1):
            for rest in profiles(total - size * many, size - 1):
                yield ((size, many), *rest)


def combination(number: int, count: int) -> list[int]:
    """The combination of `count` different numbers that stands at a place in the combinatorial number system."""
    found = []
    for size in range(count, 0, -1):
        low, high = size - 1, size
        while math.comb(high, size) <= number:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if math.comb(middle, size) <= number else (low, middle)
        found.append(low)
        number -= math.comb(low, size)
    return found


def randbelow(size: int, rng: np.random.Generator) -> int:
    """A whole number below any size, drawn evenly (to one part in 2^64)."""
    if size <= 0:
        raise ValueError("there is nothing to draw from")
    return int.from_bytes(rng.bytes(size.bit_length() // 8 + 9), "little") % size


def to_architecture(tree: Tree) -> Architecture:
    """The architecture whose last cell is the tree's top."""
    cells: list[Cell] = []

    def place(one: Tree) -> int:
        operation, activation, states, children = one
        sources = [of_state(name, layer) for name, layer in states]
        sources += [of_cell(place(child)) for child in children]
        cells.append(Cell(sources=tuple(sources), operation=operation, activation=activation))
        return len(cells)

    place(tree)
    return Architecture(cells=tuple(cells))


def to_tree(point: Architecture) -> Tree:
    """The last cell of an architecture and all below it."""
    trees: list[Tree] = []
    for cell in point.cells:
        states = tuple(source.state for source in cell.sources if source.state is not None)
        children = tuple(trees[source.cell - 1] for source in cell.sources if source.cell is not None)
        trees.append((cell.operation, cell.activation, states, children))
    return trees[-1]


def tidy(tree: Tree) -> Tree | None:
    """The tree after something was taken away: no cell without sources, and concat where one is left."""
    operation, activation, states, children = tree
    states = tuple(sorted(states))
    if not states and not children:
        return None
    if not states and len(children) == 1:
        return children[0]
    return "concat" if len(states) + len(children) == 1 else operation, activation, states, children


def subtrees(tree: Tree) -> Iterator[Tree]:
    """The tree and all trees in it, from the top down."""
    yield tree
    for child in tree[3]:
        yield from subtrees(child)


def replaced(tree: Tree, place: int, by: Tree) -> tuple[Tree, int]:
    """The tree with the subtree at a place (counted from the top) replaced, and the place left to count."""
    if place == 0:
        return by, -1
    operation, activation, states, children = tree
    place -= 1
    made = []
    for child in children:
        if place < 0:
            made.append(child)
            continue
        new, place = replaced(child, place, by)
        made.append(new)
    return (operation, activation, states, tuple(made)), place


def normal(tree: Tree) -> Tree:
    """The same tree in one form: equal for trees that differ only in the order of sources."""
    operation, activation, states, children = tree
    return operation, activation, tuple(sorted(states)), tuple(sorted(map(normal, children), key=repr))
