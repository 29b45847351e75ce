"""Which Arrow types a kind can use."""

from __future__ import annotations

import pyarrow as pa
import pytest

from plait.data.kinds import CELLS, can_hold, is_date_type, media_fields
from plait.data.schema import INPUT_KINDS, TASK_KINDS

PLAIN = {"int64", "double", "bool", "string"}
DATES = {"date32[day]", "timestamp[us]"}
MEDIA = {"string", "large_binary", "struct<bytes: large_binary, path: string>", "struct<path: string>"}
TYPES = [
    pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.large_binary(), pa.date32(), pa.timestamp("us"),
    pa.list_(pa.float32()), pa.list_(pa.int8(), 3), pa.list_(pa.list_(pa.float64())), pa.list_(pa.string()),
    pa.list_(pa.int64()),
    pa.struct({"bytes": pa.large_binary(), "path": pa.string()}), pa.struct({"path": pa.string()}),
    pa.struct({"a": pa.int8()}), pa.map_(pa.string(), pa.int8()), pa.list_(pa.list_(pa.list_(pa.int8()))),
]  # fmt: skip
LISTS = {"list<item: float>", "list<item: int64>", "fixed_size_list<item: int8>[3]"}
USABLE = {
    "image": MEDIA, "audio": MEDIA, "video": MEDIA, "vector": LISTS,
    "series": LISTS | {"list<item: list<item: double>>"}, "text": {"string"}, "molecule": {"string"},
    "numeric": PLAIN, "regression": PLAIN, "ordinal": PLAIN, "categorical": PLAIN | DATES,
    "binary": PLAIN | DATES, "multiclass": PLAIN | DATES, "date": DATES | {"string", "int64"},
    "multilabel": {"string", "list<item: string>", "list<item: int64>", "fixed_size_list<item: int8>[3]"},
}  # fmt: skip


def test_every_kind_is_spoken_for() -> None:
    assert set(CELLS) == set(USABLE) == {*INPUT_KINDS, *TASK_KINDS}


@pytest.mark.parametrize("kind", USABLE)
def test_what_a_kind_can_hold(kind: str) -> None:
    assert {str(cells) for cells in TYPES if can_hold(kind, cells)} == {
        str(cells) for cells in TYPES if _name(cells) in USABLE[kind]
    }
    assert can_hold(kind, pa.null())


def _name(cells: pa.DataType) -> str:
    return str(cells).replace("list<element:", "list<item:").replace("<element:", "<item:")


def test_the_names_above_are_those_of_arrow() -> None:
    assert set().union(*USABLE.values()) <= {_name(cells) for cells in TYPES}


@pytest.mark.parametrize(
    ("fields", "usable"),
    [
        ({"bytes": pa.binary(), "path": pa.large_string()}, {"bytes", "path"}),
        ({"bytes": pa.string(), "path": pa.string()}, {"path"}),
        ({"bytes": pa.binary_view(), "path": pa.int64()}, {"bytes"}),
        ({"bytes": pa.null(), "path": pa.null()}, set()),
        ({"a": pa.binary()}, set()),
        ({}, set()),
    ],
)
def test_fields_of_a_media_struct(fields: dict[str, pa.DataType], usable: set[str]) -> None:
    assert media_fields(pa.struct(fields)) == usable


def test_clocks_and_durations_are_no_dates() -> None:
    assert is_date_type(pa.date64())
    assert not is_date_type(pa.time32("s"))
    assert not is_date_type(pa.duration("s"))
