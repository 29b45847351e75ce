"""Vectors: lists of numbers of the training rows' length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.readers import VectorReader, load_reader
from plait.data.schema import Column
from plait.data.table import Table, read_table

COLUMNS = (Column(name="c", role="input", kind="vector"),)


def column(cells: Any, kind: pa.DataType | None = None) -> Table:
    return read_table(pa.table({"c": pa.array(cells, kind)}))


@pytest.mark.parametrize(
    ("cells", "width"),
    [
        ([[1.0, 2.0], None, [3.0, 4.0], [1.0]], 2), ([[], [], [], [1.0, 2.0, 3.0]], 3), ([[], None], 1), ([None], 1),
        (["x"], 1), ([[["x"]]], 1), ([[1, 2]], 2),
    ],
)  # fmt: skip
def test_the_width_is_the_most_frequent_length(cells: list[Any], width: int) -> None:
    assert VectorReader.fit(column(cells), COLUMNS).width == width


def test_rows_of_that_length_are_counted_and_travel_with_it() -> None:
    reader = VectorReader.fit(column([[1.0, 2.0, 0.0], None, [3.0, 4.0, 0.0], [1.0]]), COLUMNS)
    assert reader.rows == 2
    assert load_reader(reader.model_dump()) == reader
    assert VectorReader.fit(column([[1.0, 2.0]] * 2), COLUMNS).rows is None, "as many as numbers decide nothing"
    assert VectorReader.fit(column([None]), COLUMNS).rows == 0


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([[1.0, 2.0], None], None),
        ([[], None], None),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], None),
        ([[1.0, 2.0, 3.0]] * 2 + [[1.0, 2.0]], "the vectors here have 3 numbers, and it reads 2"),
    ],
)
def test_vectors_of_another_length_do_not_suit_it(cells: list[Any], told: str | None) -> None:
    assert VectorReader(width=2).misfit(column(cells), COLUMNS) == told


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float64(), 2), pa.list_(pa.int8()),
        pa.list_view(pa.int64()), pa.list_(pa.float16()), pa.list_(pa.uint64()),
    ],
    ids=str,
)  # fmt: skip
def test_lists_of_every_type(kind: pa.DataType) -> None:
    reader = VectorReader(width=2)
    reading = reader.read(column([[1, 2], None, [3, 4]], kind))
    assert reading.values.tolist() == [[1, 2], [0, 0], [3, 4]]
    assert reading.values.dtype == np.float32
    assert reading.present.tolist() == [True, False, True]
    assert reading.bad == {}


def test_bad_and_absent_vectors() -> None:
    cells = [
        [1.0, 2.0],
        [],
        None,
        [1.0],
        [1.0, float("nan")],
        [float("inf"), 0.0],
        [1e300, 0.0],
        [None, 1.0],
        [0.0, 1.0],
    ]
    reading = VectorReader(width=2).read(column(cells))
    assert reading.present.tolist() == [True, *[False] * 7, True]
    assert reading.bad[3] == "a vector of 1 numbers; 2 were expected"
    assert {row: reading.bad[row] for row in (4, 5, 6, 7)} == dict.fromkeys(
        (4, 5, 6, 7), "the vector holds NaN, infinite or empty numbers"
    )
    assert len(reading.bad) == 5
    assert not reading.values[1:8].any()
    assert reading.values[8].tolist() == [0.0, 1.0]


def test_whole_numbers_too_large_for_a_float_are_rounded() -> None:
    found = VectorReader(width=1).read(column([[2**62 + 1]])).values
    assert found.tolist() == [[2.0**62]]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["x", None], "not a list of numbers but string"), ([[["x"]], None], "not a list of numbers but list<"),
        ([1.5, None], "not a list of numbers but double"), ([["a"], None], "not a list of numbers but list<"),
        ([b"x", None], "not a list of numbers but large_binary"),
    ],
)  # fmt: skip
def test_cells_of_another_type_are_bad(cells: list[Any], reason: str) -> None:
    reading = VectorReader(width=2).read(column(cells))
    assert list(reading.bad) == [0]
    assert reading.bad[0].startswith(reason)
    assert not reading.present.any()


@pytest.mark.parametrize("cells", [[None, None], [[], []]])
def test_a_column_without_any_vector_is_absent(cells: list[Any]) -> None:
    reading = VectorReader(width=2).read(column(cells))
    assert reading.bad == {}
    assert not reading.present.any()


def test_slices_and_chunks() -> None:
    array = pa.array([[9.0, 9.0], [1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float64(), 2))
    chunked = pa.chunked_array([array.slice(1, 2), array.slice(3)])
    reading = VectorReader(width=2).read(Table(pa.table({"c": chunked})))
    assert reading.values.tolist() == [[1, 2], [0, 0], [3, 4]]


FLOATS = st.floats(width=32)


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | FLOATS, max_size=3), min_size=1, max_size=8))
def test_a_row_is_read_the_same_alone(cells: list[Any]) -> None:
    kind = pa.list_(pa.float64())
    reader = VectorReader.fit(column(cells, kind), COLUMNS)
    assert load_reader(reader.model_dump()) == reader
    together = reader.read(column(cells, kind))
    for row, cell in enumerate(cells):
        alone = reader.read(column([cell], kind))
        np.testing.assert_array_equal(alone.values[0], together.values[row])
        assert alone.present[0] == together.present[row]
        assert alone.bad.get(0) == together.bad.get(row)
        fine = bool(cell) and len(cell) == reader.width and all(v is not None and np.isfinite(v) for v in cell)
        assert together.present[row] == fine
        if fine:
            assert together.values[row].tolist() == cell
