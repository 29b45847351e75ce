"""Architectures: one canonical form, the tree law, JSON, hashing, reading."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plait.exceptions import InputError
from plait.fusion import OPERATIONS, Architecture, Cell, Source
from plait.fusion.architecture import concat_of

ACTIVATIONS = ("relu", "sigmoid", "tanh", "identity")


def state(name: str) -> Source:
    modality, layer = name.split(".")
    return Source(modality=modality, layer=int(layer))


def cell(*sources: Source | str | int, activation: str = "relu") -> Cell:
    made = [s if isinstance(s, Source) else Source(cell=s) if isinstance(s, int) else state(s) for s in sources]
    return Cell(sources=tuple(made), activation=activation)


@st.composite
def trees(draw) -> Architecture:
    """Random trees of up to five cells."""
    size = draw(st.integers(1, 5))
    reads: dict[int, list[int]] = {number: [] for number in range(1, size + 1)}
    for number in range(1, size):
        reads[draw(st.integers(number + 1, size))].append(number)
    cells = []
    for number in range(1, size + 1):
        least = 0 if reads[number] else 1
        names = draw(st.lists(st.sampled_from(["image.0", "image.2", "sound.1", "text.0"]), min_size=least, max_size=3))
        cells.append(cell(*names, *reads[number], activation=draw(st.sampled_from(ACTIVATIONS))))
    return Architecture(cells=tuple(cells))


def shuffled(architecture: Architecture, seed: int) -> Architecture:
    """The same program with sources, and cells as far as they may, in another order."""
    rng = np.random.default_rng(seed)
    size = len(architecture.cells)
    left, order = set(range(1, size + 1)), []
    while left:
        ready = [
            n for n in sorted(left) if all(s.cell not in left for s in architecture.cells[n - 1].sources if s.cell)
        ]
        order.append(int(rng.choice(ready)))
        left.remove(order[-1])
    place = {number: index for index, number in enumerate(order, 1)}
    cells = []
    for number in order:
        one = architecture.cells[number - 1]
        sources = [Source(cell=place[s.cell]) if s.cell else s for s in one.sources]
        mixed = tuple(sources[i] for i in rng.permutation(len(sources)))
        cells.append(one.model_copy(update={"sources": mixed}))
    return Architecture(cells=tuple(cells))


@given(trees(), st.integers(0, 2**32 - 1))
def test_the_order_of_sources_and_cells_does_not_matter(architecture, seed) -> None:
    other = shuffled(architecture, seed)
    assert other == architecture
    assert hash(other) == hash(architecture)
    assert str(other) == str(architecture)
    assert other.model_dump_json() == architecture.model_dump_json()


@given(trees())
def test_round_trip_through_json(architecture) -> None:
    for dumped in (architecture.model_dump_json(), architecture.model_dump_json(exclude_defaults=True)):
        again = Architecture.model_validate_json(dumped)
        assert again == architecture
        assert hash(again) == hash(architecture)
    assert (
        Architecture.model_validate(json.loads(json.dumps(architecture.model_dump(exclude_none=True)))) == architecture
    )


@given(trees())
def test_canonical_form_is_its_own_and_keeps_the_tree(architecture) -> None:
    assert Architecture(cells=architecture.cells) == architecture
    read = [s.cell for one in architecture.cells for s in one.sources if s.cell]
    assert sorted(read) == list(range(1, len(architecture.cells)))
    for number, one in enumerate(architecture.cells, 1):
        assert all(s.cell < number for s in one.sources if s.cell)
        kinds = [s.cell is not None for s in one.sources]
        assert kinds == sorted(kinds)  # modalities first


def test_sources_are_sorted() -> None:
    one = Architecture(cells=(cell("sound.4", "image.10", "image.2"),))
    assert str(one) == "c1 = relu(concat(image.2, image.10, sound.4))"


def test_cells_are_sorted_by_what_they_hold() -> None:
    one = Architecture(cells=(cell("b.0"), cell("a.1"), cell(2, 1, "z.0", activation="identity")))
    assert str(one) == "c1 = relu(concat(a.1)); c2 = relu(concat(b.0)); c3 = concat(z.0, c1, c2)"
    deep = Architecture(cells=(cell("b.0"), cell("a.1"), cell(1), cell(3, 2)))
    assert str(deep) == (
        "c1 = relu(concat(a.1)); c2 = relu(concat(b.0)); c3 = relu(concat(c2)); c4 = relu(concat(c1, c3))"
    )


def test_a_chain_keeps_its_order() -> None:
    chain = (cell("a.0", "b.0"), cell("a.1", 1, activation="sigmoid"), cell("b.2", 2, activation="tanh"))
    assert str(Architecture(cells=chain)) == (
        "c1 = relu(concat(a.0, b.0)); c2 = sigmoid(concat(a.1, c1)); c3 = tanh(concat(b.2, c2))"
    )


def test_different_programs_are_different() -> None:
    several = [
        Architecture(cells=(cell("a.0", "b.0"),)),
        Architecture(cells=(cell("a.0", "b.1"),)),
        Architecture(cells=(cell("a.0", "b.0", activation="tanh"),)),
        Architecture(cells=(cell("a.0"), cell("b.0", 1))),
        Architecture(cells=(cell("b.0"), cell("a.0", 1))),
    ]
    assert len(set(several)) == len({str(one) for one in several}) == 5


def test_modalities_and_size() -> None:
    one = Architecture(cells=(cell("b.0", "c.3"), cell("a.1", 1)))
    assert one.modalities == ("a", "b", "c")
    assert one.size == 4
    assert state("b.3").state == ("b", 3)
    assert Source(cell=2).state is None


def test_frozen() -> None:
    one = concat_of({"a": 0})
    with pytest.raises(ValidationError, match="frozen"):
        one.cells = ()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ((), "at least one cell"),
        ((Cell(sources=()),), "every cell at least one source"),
        ((cell("a.0"), cell("b.0")), "every cell but the last is read by exactly one later cell"),
        ((cell("a.0"), cell(1), cell(1, 2)), "exactly one later cell"),
        ((cell("a.0"), cell(1, 1)), "exactly one later cell"),
        ((cell("a.0"), cell("a.0", 3)), "exactly one later cell"),
        ((cell("a.0", 1),), "exactly one later cell"),
        ((cell("a.0", 2), cell("a.0", 1), cell("a.0")), "cell 1 reads itself or a later cell"),
        ((cell("a.0", 1), cell("a.0", 2), cell("a.0")), "cell 1 reads itself or a later cell"),
    ],
)
def test_what_is_no_tree(cells, message) -> None:
    with pytest.raises(ValidationError, match=message):
        Architecture(cells=cells)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"modality": "a"},
        {"layer": 1},
        {"modality": "a", "layer": 1, "cell": 1},
        {"modality": "a", "cell": 1},
        {"layer": 1, "cell": 1},
    ],
)
def test_a_source_is_one_thing(given) -> None:
    with pytest.raises(ValidationError, match="either a modality with a layer, or a cell"):
        Source(**given)


@pytest.mark.parametrize("given", [{"modality": "a", "layer": -1}, {"cell": 0}, {"cell": -2}])
def test_numbers_out_of_range(given) -> None:
    with pytest.raises(ValidationError, match="layers are numbered from 0, cells from 1"):
        Source(**given)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValidationError, match="there is no operation 'shuffle'; "):
        Cell(sources=(state("a.0"),), operation="shuffle")
    with pytest.raises(ValidationError, match="there is no operation 'low_rank'; did you mean low-rank"):
        Cell(sources=(state("a.0"),), operation="low_rank")
    with pytest.raises(ValidationError, match="window"):
        Source(modality="a", layer=1, window=3)


def test_concat_of() -> None:
    assert str(concat_of({"b": 1, "a": 2}, depth=3)) == (
        "c1 = relu(concat(a.2, b.1)); c2 = relu(concat(c1)); c3 = relu(concat(c2))"
    )


@given(trees())
def test_round_trip_through_text(architecture) -> None:
    assert Architecture.parse(str(architecture)) == architecture


@given(trees(), st.sampled_from(sorted(OPERATIONS)))
def test_every_operation_is_told_apart(architecture, operation) -> None:
    one = architecture.cells[0].model_copy(update={"operation": operation})
    other = Architecture(cells=(one, *architecture.cells[1:]))
    assert Architecture.parse(str(other)) == other
    assert (other == architecture) == (operation == "concat")
    assert (str(other) == str(architecture)) == (operation == "concat")


def test_cells_of_different_operations_are_sorted() -> None:
    text = "c1 = relu(gate(a.0)); c2 = relu(concat(b.0)); c3 = relu(concat(c1, c2))"
    assert str(Architecture.parse(text)) == "c1 = relu(concat(b.0)); c2 = relu(gate(a.0)); c3 = relu(concat(c1, c2))"


def test_names_that_need_quotes_have_them() -> None:
    told = {
        "image": "image.1",
        "my image": "my image.1",
        "Bild größer": "Bild größer.1",
        "画像": "画像.1",
        "c1": "c1.1",
        "x.y": '"x.y".1',
        "a, c1": '"a, c1".1',
        'say "hi"': '"say \\"hi\\"".1',
        "3d": '"3d".1',
        "two\nlines": '"two\\nlines".1',
        "": '"".1',
    }
    for name, text in told.items():
        assert str(Source(modality=name, layer=1)) == text
        other = "c1 = concat(z.0); c2 = relu(max("
        found = Architecture.parse(f"{other}{text}, c1))")
        assert found.modalities == tuple(sorted((name, "z")))


def test_an_operation_combines_no_more_sources_than_it_can() -> None:
    sources = tuple(Source(modality=f"m{i}", layer=0) for i in range(11))
    assert Cell(sources=sources[:10], operation="tensor").operation == "tensor"
    with pytest.raises(ValidationError, match="tensor combines 10 sources at most, not 11"):
        Cell(sources=sources, operation="tensor")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one cell"),
        ("image.2", "'image.2' is not understood"),
        ("c1 = relu(concat(image.2)", "is not understood"),
        ("c1 = relu(concat(image.2)) ; c2 = relu(concat(c1))", "is not understood"),
        ("c1 = relu(concat(image))", "is not understood"),
        ("c1 = relu(concat())", "is not understood"),
        ("c1 = relux(concat(a.1))", "is not understood"),
        ("c1 = relu(concat(a.1)); nonsense", "'nonsense' is not understood"),
        ("c1 = relu(concat(a.1))\n", "is not understood"),
        ("c1 = relu(conkat(a.1))", "architecture (there is no operation 'conkat'; did you mean concat?"),
        ("c1 = relu(concat(a.1)); c2 = relu(concat(b.1))", "read by exactly one later cell"),
        ("c1 = relu(concat(c1))", "exactly one later cell"),
        ("c1 = relu(concat(c0))", "cells from 1"),
        ('c1 = relu(concat("\\x".1))', "Invalid"),
        ("c2 = relu(concat(a.1)); c1 = tanh(concat(b.1)); c3 = relu(max(c1, c2))", "cells are numbered in order"),
        ("c1 = relu(concat(" + "a " * 20_000, "is not understood"),
    ],
)
def test_what_is_no_text_of_an_architecture(text, message) -> None:
    with pytest.raises(InputError, match=r"is no architecture \(.*write it as in 'c1 = relu") as told:
        Architecture.parse(text)
    assert message in str(told.value)
