"""Arrow's many types brought to a few, with the same cells."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from plait.data.plain import is_list, is_number, plain_column, plain_type

NAN = float("nan")
CASES: dict[str, tuple[pa.Array, pa.DataType, list[Any]]] = {
    "whole": (pa.array([1, None], pa.uint16()), pa.uint16(), [1, None]),
    "nan": (pa.array([NAN, 1.0], pa.float32()), pa.float32(), [None, 1.0]),
    "infinite": (pa.array([float("inf")]), pa.float64(), [float("inf")]),
    "text": (pa.array(["x", ""], pa.large_string()), pa.string(), ["x", ""]),
    "bytes": (pa.array([b"x"], pa.binary_view()), pa.large_binary(), [b"x"]),
    "dictionary": (pa.array(["x", None, "x"]).dictionary_encode(), pa.string(), ["x", None, "x"]),
    "dictionary of decimals": (pa.array([Decimal("1.5")]).dictionary_encode(), pa.float64(), [1.5]),
    "runs": (pc.run_end_encode(pa.array([2.0, 2.0, NAN])), pa.float64(), [2.0, 2.0, None]),
    "runs of text": (pc.run_end_encode(pa.array(["a", "a"], pa.large_string())), pa.string(), ["a", "a"]),
    "fixed": (pa.array([[1.5], None], pa.list_(pa.float32(), 1)), pa.list_(pa.float32(), 1), [[1.5], None]),
    "json": (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"])), pa.string(), ["{}"]),
    "tensor": (
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))
        ),
        pa.list_(pa.float32(), 2),
        [[1.0, 2.0]],
    ),
    "list view": (pa.array([[1, 2], None], pa.list_view(pa.int8())), pa.large_list(pa.int8()), [[1, 2], None]),
    "list of text": (
        pa.array([["x"], None], pa.list_(pa.large_string())), pa.large_list(pa.string()), [["x"], None],
    ),
    "list of halves": (pa.array([[1.5], []], pa.list_(pa.float16())), pa.large_list(pa.float64()), [[1.5], []]),
    "list of lists": (
        pa.array([[[Decimal("1.5")]]], pa.list_(pa.list_(pa.decimal128(3, 1)))),
        pa.large_list(pa.large_list(pa.float64())), [[[1.5]]],
    ),
    "seconds": (pa.array([90], pa.duration("s")), pa.float64(), [90.0]),
    "nanoseconds": (pa.array([1_500_000_000, None], pa.duration("ns")), pa.float64(), [1.5, None]),
    "noon": (pa.array([datetime.time(12)], pa.time64("us")), pa.float64(), [43200.0]),
    "day": (pa.array([datetime.date(2024, 1, 1)]), pa.date32(), [datetime.date(2024, 1, 1)]),
    "nothing": (pa.nulls(2), pa.null(), [None, None]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_column_becomes_plain_and_keeps_its_cells(case: str) -> None:
    cells, kind, expected = CASES[case]
    for column in (pa.chunked_array([cells]), pa.chunked_array([cells, cells.slice(0, 1)])):
        plain = plain_column(column)
        plain.validate(full=True)
        assert plain.type == kind
        assert plain.to_pylist()[: len(expected)] == expected
        assert len(plain) == len(column)


@pytest.mark.parametrize("case", [case for case in CASES if "runs" not in case and "view" not in case])
def test_a_column_without_chunks(case: str) -> None:
    cells, kind, _ = CASES[case]
    assert plain_column(pa.chunked_array([], cells.type)).type == kind


def test_plain_columns_are_left_alone() -> None:
    column = pa.chunked_array([["a", "b"]])
    assert plain_column(column) is column
    assert plain_type(pa.timestamp("ns", "UTC")) == pa.timestamp("ns", "UTC")


def test_words_for_types() -> None:
    assert is_list(pa.list_(pa.int8()))
    assert is_list(pa.list_(pa.int8(), 3))
    assert not is_list(pa.string())
    assert is_number(pa.int8())
    assert is_number(pa.float32())
    assert not is_number(pa.bool_())
