"""The space of architectures: counts against brute force, numbering, even drawing, and walks that stay inside."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from plait.exceptions import InputError
from plait.fusion import OPERATIONS, Architecture, Cell, FusionSpace, Source
from plait.fusion.space import EVERY_OPERATION

TINY = {
    "one modality": FusionSpace({"a": (0, 1)}, operations=("concat", "gate"), activations=("relu",)),
    "one modality, one layer": FusionSpace({"a": (3,)}, operations=("max",), activations=("tanh",), max_cells=4),
    "two modalities": FusionSpace({"a": (0, 1), "b": (2,)}, operations=("concat",), activations=("relu",)),
    "two operations": FusionSpace({"a": (0,), "b": (2,)}, operations=("mean", "max"), activations=("relu",)),
    "two activations": FusionSpace({"a": (0,), "b": (2, 4)}, operations=("max",), max_cells=2),
    "three modalities": FusionSpace(
        {"a": (0,), "b": (1,), "c": (0, 1)}, operations=("concat", "product"), activations=("identity",), max_cells=2
    ),
    "chains": FusionSpace(
        {"a": (0,), "b": (2,)}, operations=("concat", "product"), activations=("relu",), trees=False
    ),
    "every modality": FusionSpace(
        {"a": (0, 1), "b": (2,)}, operations=("concat", "gate"), activations=("relu",), every_modality=True
    ),
    "every modality, chains": FusionSpace(
        {"a": (0, 1), "b": (2,)}, operations=("gate",), activations=("relu", "tanh"), every_modality=True, trees=False
    ),
    "two sources": FusionSpace(
        {"a": (0,), "b": (1,), "c": (0,)}, operations=("concat",), activations=("relu",), max_sources=2
    ),
    "one source": FusionSpace({"a": (0, 1), "b": (1,)}, operations=("gate",), activations=("relu",), max_sources=1),
    "three sources": FusionSpace({"a": (0, 1), "b": (1,)}, operations=("mean",), activations=("relu",), max_sources=3),
    "two sources, every modality": FusionSpace(
        {"a": (0, 1), "b": (1,)}, operations=("mean", "max"), max_sources=2, every_modality=True, max_cells=2
    ),
}  # fmt: skip


def huge(modalities: int = 24) -> FusionSpace:
    return FusionSpace({f"m{i:02}": range(6) for i in range(modalities)}, max_cells=4)


def every_architecture(space: FusionSpace) -> Iterator[Architecture]:
    """All architectures of a space, by building cell after cell in all ways that its rules allow."""
    names = sorted(space.layers)
    picks = [
        tuple(
            Source(modality=name, layer=layer) for name, layer in zip(names, picked, strict=True) if layer is not None
        )
        for picked in itertools.product(*[(None, *space.layers[name]) for name in names])
    ]

    def cells_from(unread: frozenset[int], number: int, last: bool) -> Iterator[tuple[Cell, frozenset[int]]]:
        for states in picks:
            if space.every_modality and len(states) < len(names):
                continue
            counts = [len(unread)] if last else range(len(unread) + 1)
            for count in counts:
                if (count > 1 and not space.trees) or (not states and count < 2):
                    continue
                if len(states) + count > space.max_sources:
                    continue
                for read in itertools.combinations(sorted(unread), count):
                    sources = (*states, *(Source(cell=one) for one in read))
                    operations = ("concat",) if len(sources) == 1 else space.operations
                    for operation, activation in itertools.product(operations, space.activations):
                        cell = Cell(sources=sources, operation=operation, activation=activation)
                        yield cell, (unread - set(read)) | {number}

    def programs(cells: tuple[Cell, ...], unread: frozenset[int], size: int) -> Iterator[tuple[Cell, ...]]:
        if len(cells) == size:
            yield cells
            return
        number = len(cells) + 1
        for cell, left in cells_from(unread, number, last=number == size):
            yield from programs((*cells, cell), left, size)

    for size in range(1, space.max_cells + 1):
        for cells in programs((), frozenset(), size):
            yield Architecture(cells=cells)


def reads_two_alike(point: Architecture) -> bool:
    """Whether a cell reads two cells that hold the same."""
    held: list[tuple] = []
    for cell in point.cells:
        below = [held[source.cell - 1] for source in cell.sources if source.cell is not None]
        if len(set(below)) < len(below):
            return True
        states = frozenset(source.state for source in cell.sources if source.state is not None)
        held.append((cell.operation, cell.activation, states, frozenset(below)))
    return False


@pytest.mark.parametrize("name", TINY)
def test_size_is_that_of_brute_force(name) -> None:
    space = TINY[name]
    expected = {point for point in every_architecture(space) if not reads_two_alike(point)}
    assert 1 <= len(expected) < 10_000
    found = list(space)
    assert len(found) == space.size() == len(expected)
    assert set(found) == expected
    for level in range(1, space.levels + 1):
        assert space.size(level) == sum(space.level(point) == level for point in expected)
        assert {*space.points(level)} == {point for point in expected if len(point.cells) == level}


def test_brute_force_tries_something() -> None:
    """The published counts, from the enumeration of this file and by hand."""
    space = TINY["three modalities"]
    one = [point for point in every_architecture(space) if len(point.cells) == 1]
    # One source: 4. Two: 1 + 2 + 2 in two operations. Three: 2 in two operations.
    assert len(one) == len(set(one)) == space.size(1) == 4 + 2 * 5 + 2 * 2
    assert any(reads_two_alike(point) for point in every_architecture(TINY["two modalities"]))


def published() -> FusionSpace:
    return FusionSpace(
        {"image": (1, 2, 3), "audio": (1, 2, 3, 4, 5)}, operations=("concat",), activations=("relu", "sigmoid"),
        max_cells=2, trees=False, every_modality=True,
    )  # fmt: skip


def test_the_published_space() -> None:
    space = published()
    assert (space.size(1), space.size(2), space.size()) == (30, 900, 930)
    assert len(set(space)) == 930
    for point in space:
        assert all({s.modality for s in cell.sources} - {None} == {"audio", "image"} for cell in point.cells)


@pytest.mark.parametrize("name", TINY)
def test_numbers_are_points_and_points_are_in_the_space(name) -> None:
    space = TINY[name]
    points = list(space)
    assert [space[number] for number in range(space.size())] == points
    assert len(set(points)) == len({str(point) for point in points}) == len(points)
    assert [len(point.cells) for point in points] == sorted(len(point.cells) for point in points)
    assert all(point in space for point in points)


def test_numbers_of_a_space_too_large_to_count_through() -> None:
    space = FusionSpace({"a": range(5), "b": range(4), "c": range(3)}, max_cells=3)
    rng = np.random.default_rng(0)
    numbers = {int(rng.integers(space.size())) for _ in range(300)} | {0, space.size() - 1}
    points = {space[number] for number in numbers}
    assert len(points) == len(numbers)
    assert all(point in space for point in points)
    neighbouring = [space[number] for number in range(space.size() - 200, space.size())]
    assert len(set(neighbouring)) == 200


@pytest.mark.parametrize("number", [-1, 10**30])
def test_numbers_out_of_range(number) -> None:
    with pytest.raises(IndexError, match=r"architectures are numbered 0 to 929, not -?[\d,]+$"):
        published()[number]
    with pytest.raises(IndexError, match="not 930"):
        published()[published().size()]


def test_iteration_is_lazy() -> None:
    started = time.monotonic()
    space = huge()
    assert space.size() > 10**60
    first = next(iter(space))
    assert first == space[0]
    assert next(space.points(4)) in space
    assert len(list(itertools.islice(space, 5))) == 5
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "given",
    [
        {"layers": {}},
        {"layers": {"a": ()}},
        {"layers": {"a": (1,), "b": ()}},
        {"max_cells": 0},
        {"operations": ()},
        {"activations": ()},
    ],
)
def test_empty_spaces_are_refused(given) -> None:
    with pytest.raises(ValueError, match="one cell at least"):
        FusionSpace(**{"layers": {"a": (1,)}, **given})


@pytest.mark.parametrize("given", [{"max_sources": 1, "every_modality": True}, {"max_sources": 0}])
def test_spaces_whose_rules_leave_nothing_are_refused(given) -> None:
    with pytest.raises(ValueError, match="leave no architecture"):
        FusionSpace({"a": (1,), "b": (1,)}, **given)


def test_an_unknown_operation_is_told() -> None:
    with pytest.raises(InputError, match="There is no operation called 'conct'"):
        FusionSpace({"a": (1,), "b": (1,)}, operations=("conct",)).size()


def test_what_is_given_twice_counts_once() -> None:
    twice = FusionSpace({"a": (1, 1), "b": (2,)}, operations=("max", "max"), activations=("relu", "relu"), max_cells=2)
    once = FusionSpace({"a": (1,), "b": (2,)}, operations=("max",), activations=("relu",), max_cells=2)
    assert list(twice) == list(once)


def test_no_level_but_its_own_has_points() -> None:
    space = FusionSpace({"a": (0, 1), "b": (1,)}, max_sources=2, every_modality=True)
    assert [space.size(level) for level in (1, 2, 3)] == [2 * 2 * len(EVERY_OPERATION), 0, 0]
    with pytest.raises(ValueError, match="nothing to draw from"):
        space.sample(np.random.default_rng(0), 2)


@pytest.mark.parametrize("level", [None, 1, 2])
def test_drawing_is_even(level) -> None:
    space, rng = FusionSpace({"a": (0, 1), "b": (2,)}, operations=("max",), max_cells=2), np.random.default_rng(0)
    points = {point: place for place, point in enumerate(space.points(level))}
    counts = np.zeros(len(points))
    for _ in range(20 * len(points)):
        counts[points[space.sample(rng, level)]] += 1
    assert 10 <= len(points) <= 300
    assert chisquare(counts).pvalue > 1e-3
    assert counts.max() < 60


def test_drawing_is_even_over_levels() -> None:
    space, rng = TINY["two operations"], np.random.default_rng(1)
    drawn = [space.level(space.sample(rng)) for _ in range(2000)]
    counts = [drawn.count(level) for level in (1, 2, 3)]
    expected = np.array([space.size(level) for level in (1, 2, 3)]) / space.size() * 2000
    assert chisquare(counts, expected).pvalue > 1e-3


def test_the_same_seed_draws_the_same() -> None:
    def points(seed):
        rng = np.random.default_rng(seed)
        return [huge(3).sample(rng) for _ in range(5)]

    assert points(0) == points(0)
    assert points(0) != points(1)


WALKED = {
    "trees": FusionSpace({"a": range(3), "b": range(2), "c": (1,)}),
    "without concat": FusionSpace({"a": range(3), "b": range(2), "c": (1,)}, operations=("gate", "tensor")),
    "chains": published(),
    "one modality": FusionSpace({"a": range(3)}),
    "two sources": FusionSpace({"a": range(3), "b": range(2), "c": (1,)}, max_sources=2),
    "every modality": FusionSpace({"a": range(3), "b": range(2)}, every_modality=True),
}


@pytest.mark.parametrize("name", WALKED)
def test_walks_stay_inside(name) -> None:
    space, rng = WALKED[name], np.random.default_rng(0)
    points = [space.sample(rng, level) for level in (1, 1, 2, 2, *[3] * (space.levels > 2)) for _ in range(3)]
    for point in points:
        near = space.neighbours(point)
        assert near
        assert near == space.neighbours(point)
        assert len(set(near)) == len(near)
        assert point not in near
        assert all(other in space for other in near)
        assert space.mutate(point, rng) in near
        child = space.crossover(point, points[int(rng.integers(len(points)))], rng)
        assert child in space
        assert child != point
        grown = space.grow(point, rng, 10)
        assert len(set(grown)) == len(grown) <= 10
        assert all(other in space for other in grown)


def test_neighbours_change_one_thing() -> None:
    space = FusionSpace({"a": (0, 1), "b": (2,)}, operations=("concat", "max"), activations=("relu", "tanh"))
    (point,) = [one for one in space.points(1) if str(one) == "c1 = relu(max(a.0, b.2))"]
    expected = {
        "c1 = relu(concat(a.0, b.2))",  # operation
        "c1 = tanh(max(a.0, b.2))",  # activation
        "c1 = relu(max(a.1, b.2))",  # layer
        "c1 = relu(concat(a.0))",  # a source less
        "c1 = relu(concat(b.2))",
    }
    near = {str(one) for one in space.neighbours(point)}
    assert {text for text in near if "c2" not in text} == expected
    taller = {text for text in near if "c2" in text}
    assert "c1 = relu(max(a.0, b.2)); c2 = relu(concat(a.0, c1))" in taller  # a cell more, on top
    assert "c1 = relu(concat(a.1)); c2 = relu(max(a.0, b.2, c1))" in taller  # a cell more, below


NOT_CONNECTED = {
    "every modality": "a cell more must read every modality at once, which is `grow`'s affair",
    "every modality, chains": "likewise",
    "two sources, every modality": "likewise",
    "two sources": "a source is changed for one of another modality by way of a cell with one more or one less",
    "one source": "likewise",
}


@pytest.mark.parametrize("name", [name for name in TINY if name not in NOT_CONNECTED])
def test_neighbours_lead_everywhere(name) -> None:
    """From the first point, whether there is concat or not."""
    space = TINY[name]
    seen = {space[0]}
    front = [space[0]]
    while front:
        front = list({other for point in front for other in space.neighbours(point)} - seen)
        seen |= set(front)
    assert len(seen) == space.size()


@pytest.mark.parametrize("name", WALKED)
def test_neighbours_lead_everywhere_on_a_level(name) -> None:
    space = WALKED[name]
    seen = {space[0]}
    front = list(seen)
    while front:
        fresh = {other for point in front for other in space.neighbours(point) if space.level(other) == 1} - seen
        seen |= fresh
        front = list(fresh)
    assert seen == set(space.points(1))


@pytest.mark.parametrize("name", WALKED)
def test_growing_is_complete_and_adds_one_cell_that_reads_the_last(name) -> None:
    space, rng = WALKED[name], np.random.default_rng(0)
    for level in range(1, space.levels):
        point = space.sample(rng, level)
        grown = space.grow(point, rng, 10**9)
        for other in grown:
            assert len(other.cells) == level + 1
            below = [s.cell for s in other.cells[-1].sources if s.cell is not None]
            assert below == [level]
            assert other.cells[:-1] == point.cells
        names = sorted(space.layers)
        expected = 0
        for picked in itertools.product(*[(None, *space.layers[one]) for one in names]):
            read = sum(layer is not None for layer in picked)
            if read and read + 1 <= space.max_sources and (read == len(names) or not space.every_modality):
                expected += len(space.operations) * len(space.activations)
        assert len(grown) == len(set(grown)) == expected
    assert space.grow(space.sample(rng, space.levels), rng, 10) == []


def test_growing_two_cell_points_gives_all_chains() -> None:
    space = published()
    grown = {other for point in space.points(1) for other in space.grow(point, np.random.default_rng(0), 10**6)}
    assert grown == set(space.points(2))


def test_crossover_takes_parts_of_both() -> None:
    space = FusionSpace({"a": range(8), "b": range(8)}, operations=("concat",), activations=("relu",))
    rng = np.random.default_rng(0)
    one = Architecture.parse("c1 = relu(concat(a.1)); c2 = relu(concat(b.1, c1)); c3 = relu(concat(a.2, b.2, c2))")
    other = Architecture.parse("c1 = relu(concat(a.5)); c2 = relu(concat(b.5, c1)); c3 = relu(concat(a.6, b.6, c2))")
    children = [space.crossover(one, other, rng) for _ in range(30)]
    both = [child for child in children if any(f".{n}" in str(child) for n in (5, 6)) and ".2" in str(child)]
    assert len(both) >= 10


def test_a_space_of_one_point_has_nowhere_to_go() -> None:
    space, rng = FusionSpace({"a": (1,)}, activations=("relu",), max_cells=1), np.random.default_rng(0)
    (point,) = space
    assert space.neighbours(point) == []
    assert space.mutate(point, rng) == point
    assert space.crossover(point, point, rng) == point
    assert space.grow(point, rng, 5) == []


@pytest.mark.parametrize("name", TINY)
def test_encoding_tells_points_apart(name) -> None:
    space = TINY[name]
    codes = {}
    for point in space:
        code = space.encode(point)
        assert code.shape == (space.levels, 3 + len(space.layers))
        assert code.dtype == np.int64
        codes[code.tobytes()] = point
    assert len(codes) == space.size()


def test_encoding_is_as_told() -> None:
    space = FusionSpace({"a": (0, 4), "b": (2,)})
    code = space.encode(Architecture.parse("c1 = tanh(gate(a.4, b.2)); c2 = relu(concat(a.0, c1))"))
    gate, concat = EVERY_OPERATION.index("gate") + 1, EVERY_OPERATION.index("concat") + 1
    assert code.tolist() == [[gate, 2, 2, 5, 3], [concat, 1, 0, 1, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("name", TINY)
def test_encodings_come_back_and_have_numbers_that_may_be_chosen(name) -> None:
    space = TINY[name]
    choices = space.choices()
    assert [len(row) for row in choices] == [3 + len(space.layers)] * space.levels
    for point in space:
        code = space.encode(point)
        assert space.decode(code) == point
        assert code[len(point.cells) :].sum() == 0
        for row in range(len(point.cells)):
            assert all(number in some for number, some in zip(code[row], choices[row], strict=True))


@pytest.mark.parametrize("name", TINY)
def test_whatever_is_chosen_is_a_point_of_the_space_or_none(name) -> None:
    """All points are met that numbers put together at random lead to; few of these lead nowhere."""
    space, rng = TINY[name], np.random.default_rng(0)
    choices, found, draws = space.choices(), [], 3000
    for _ in range(draws):
        code = np.zeros((space.levels, 3 + len(space.layers)), np.int64)
        for row in range(int(rng.integers(1, space.levels + 1))):
            code[row] = [some[int(rng.integers(len(some)))] for some in choices[row]]
        point = space.decode(code)
        assert point is None or point in space
        assert point == space.decode(code)
        found.append(point)
    assert found.count(None) < draws * (0.6 if space.max_sources < 3 else 0.3)
    assert len({*found} - {None}) > 0.7 * min(space.size(), draws / 6)


def test_mending_is_as_told() -> None:
    names = (*EVERY_OPERATION,)
    concat, gate, product = (names.index(name) + 1 for name in ("concat", "gate", "product"))

    def mended(space: FusionSpace, *rows: list[int]) -> str:
        code = np.zeros((space.levels, 3 + len(space.layers)), np.int64)
        for place, row in enumerate(rows):
            code[place] = row
        return str(space.decode(code))

    space = FusionSpace({"a": (0, 4), "b": (2,)}, operations=("gate", "product"), activations=("relu",))
    two = [product, 1, 0, 5, 3]
    assert mended(space, two) == "c1 = relu(product(a.4, b.2))"
    assert mended(space, [gate, 1, 0, 5, 0]) == "c1 = relu(concat(a.4))"  # one source
    assert mended(space, [concat, 1, 0, 5, 3]) == "c1 = relu(gate(a.4, b.2))"  # there is no concat of two
    assert mended(space, [gate, 1, 3, 1, 3], two) == "c1 = relu(gate(a.0, b.2)); c2 = relu(product(a.4, b.2, c1))"
    assert mended(space, [gate, 1, 2, 0, 0], two) == "c1 = relu(product(a.4, b.2))"  # a cell without sources
    assert mended(space, two, [gate, 1, 0, 0, 0]) == "c1 = relu(product(a.4, b.2))"  # a cell over one cell
    assert mended(space, two, two, [gate, 1, 0, 1, 0]) == "c1 = relu(product(a.4, b.2)); c2 = relu(gate(a.0, c1))"
    assert mended(space, [gate, 1, 0, 0, 0]) == "None"
    assert mended(space) == "None"
    narrow = FusionSpace({"a": (0,), "b": (2,)}, operations=("gate",), activations=("relu",), max_sources=2)
    assert mended(narrow, [gate, 1, 2, 1, 0], [gate, 1, 0, 1, 3]) == "c1 = relu(concat(a.0)); c2 = relu(gate(a.0, c1))"
    chains = FusionSpace({"a": (0,), "b": (2,)}, operations=("gate",), activations=("relu",), trees=False)
    assert mended(chains, [gate, 1, 0, 1, 0], [gate, 1, 0, 0, 3], [gate, 1, 0, 1, 0]) == (
        "c1 = relu(concat(a.0)); c2 = relu(gate(b.2, c1)); c3 = relu(gate(a.0, c2))"
    )


def test_an_operation_registered_by_a_plug_in_has_a_code_too(monkeypatch) -> None:
    monkeypatch.setitem(OPERATIONS._entries, "mine", OPERATIONS["mean"])
    space = FusionSpace({"a": (0,), "b": (2,)}, operations=("mean", "mine"), max_cells=1)
    assert len({space.encode(point).tobytes() for point in space}) == space.size() == 2 * 2 + 4


def test_every_operation_of_the_default_space_is_registered() -> None:
    assert set(EVERY_OPERATION) <= set(OPERATIONS)


def test_many_modalities_are_quick() -> None:
    started = time.monotonic()
    space, rng = huge(24), np.random.default_rng(0)
    points = [space.sample(rng) for _ in range(20)]
    assert len(set(points)) == 20
    assert all(point in space for point in points)
    assert len({space.encode(point).tobytes() for point in points}) == 20
    assert len(space.grow(points[0], rng, 10)) == (0 if len(points[0].cells) == 4 else 10)
    small = space.sample(rng, 1)
    assert len(space.grow(small, rng, 10)) == 10
    assert space.neighbours(small)
    assert time.monotonic() - started < 10


def test_operations_of_few_sources_are_left_out_of_wide_cells() -> None:
    """`tensor` combines ten sources at most."""
    space = FusionSpace(
        {f"m{i:02}": (0,) for i in range(13)}, operations=("tensor", "mean"), activations=("relu",),
        every_modality=True, max_cells=1,
    )  # fmt: skip
    assert [point.cells[0].operation for point in space] == ["mean"]
    wide = FusionSpace(
        {f"m{i:02}": (0,) for i in range(13)}, operations=("tensor",), activations=("relu",), max_cells=1
    )
    assert wide.size() == 2**13 - 1 - 78 - 13 - 1, "more than ten sources are too many"
    with pytest.raises(ValueError, match="leave no architecture"):
        FusionSpace({f"m{i:02}": (0,) for i in range(13)}, operations=("tensor",), every_modality=True, max_cells=1)


@pytest.mark.parametrize(
    "text",
    [
        "c1 = relu(concat(a.5, b.2))",  # a layer that is not there
        "c1 = relu(concat(a.0, z.2))",  # a modality that is not there
        "c1 = relu(gate(a.0, b.2))",  # an operation that is not there
        "c1 = sigmoid(concat(a.0, b.2))",  # an activation that is not there
        "c1 = relu(max(a.0))",  # one source by anything but concat
        "c1 = relu(concat(a.0, a.1))",  # two layers of one modality
        "c1 = relu(concat(a.0)); c2 = relu(concat(c1))",  # a cell over one cell alone
        "c1 = relu(concat(a.0)); c2 = relu(concat(a.0)); c3 = relu(concat(c1, c2))",  # twice the same
        "c1 = relu(concat(a.0, b.2)); c2 = relu(concat(b.2, a.0)); c3 = relu(max(a.1, c1, c2))",
        "c1 = relu(concat(a.0)); c2 = relu(concat(a.1, c1)); c3 = relu(max(b.2, c2)); c4 = relu(max(b.2, c3))",
    ],
)
def test_what_is_foreign(text) -> None:
    space = FusionSpace({"a": (0, 1), "b": (2,)}, operations=("concat", "max"))
    assert Architecture.parse("c1 = relu(max(a.0, b.2)); c2 = tanh(concat(a.0, c1))") in space
    assert Architecture.parse(text) not in space


def test_what_is_no_architecture_is_foreign() -> None:
    assert "c1 = relu(concat(a.0))" not in published()
    assert None not in published()


def test_limits_are_kept_by_membership() -> None:
    tree = Architecture.parse("c1 = relu(concat(a.0)); c2 = relu(concat(b.2)); c3 = relu(concat(c1, c2))")
    layers = {"a": (0, 1), "b": (2,)}
    assert tree in FusionSpace(layers)
    assert tree not in FusionSpace(layers, trees=False)
    assert tree not in FusionSpace(layers, max_cells=2)
    assert tree not in FusionSpace(layers, every_modality=True)
    assert tree not in FusionSpace(layers, max_sources=1)


NAMES = [
    "a", "my image", "x.y", "1st", 'say "hi"', "a, b", "a; b", "f(x)", "[1]", "c1", "c2.3", "relu(concat",
    "back\\slash",
    "Bild größer", "изображение", "画像", "صورة", "line\nbreak", "tab\t", " ", "", "trailing ", " leading", "a/b-c_d",
    "-", "=", "c1 = relu(concat(a.1))", "\u2028", "🎧", "e\u0301", "null", '"', "'", "\\", "a.1, b", "_x",
    "٣", "%s {0}",
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.one_of(st.sampled_from(NAMES), st.text(max_size=6)), min_size=1, max_size=4, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_round_trips_with_odd_names(names, seed) -> None:
    rng = np.random.default_rng(seed)
    activations = ("relu", "sigmoid", "tanh", "identity")
    space = FusionSpace(dict.fromkeys(names, (0, 7, 12)), activations=activations, max_cells=4)
    point = space.sample(rng, int(rng.integers(1, 5)))
    assert Architecture.parse(str(point)) == point
    assert Architecture.model_validate_json(point.model_dump_json()) == point
    assert point in space


@pytest.mark.parametrize("name", NAMES)
def test_every_odd_name_comes_back(name) -> None:
    space = FusionSpace({name: (0, 11), "other": (2,)}, operations=("max",), activations=("identity",), max_cells=3)
    seen = {}
    for point in space:
        assert Architecture.parse(str(point)) == point
        seen[str(point)] = point
    assert len(seen) == space.size()


def test_every_point_of_the_small_spaces_can_be_read_back() -> None:
    points = [point for space in TINY.values() for point in itertools.islice(space, 300)]
    assert len(points) > 1000
    assert all(Architecture.parse(str(point)) == point for point in points)
