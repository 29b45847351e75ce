"""Tables in memory, and what is done with tables."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from plait.data.infer import infer_schema
from plait.data.table import Table, concat, read_table, require_columns, sample_rows
from plait.exceptions import InputError


def refusal(source: Any) -> str:
    with pytest.raises(InputError) as told:
        read_table(source)
    return str(told.value)


def cells(table: Table, name: str) -> list[Any]:
    return list(table.column(name).to_pylist())


def test_a_pandas_frame() -> None:
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], "Int64"),
            "number": [1.5, np.nan, 3.0],
            "text": ["x", None, "z"],
            "category": pd.Categorical(["a", "b", None]),
            "vector": [np.array([1.0, 2.0]), None, np.array([3.0, 4.0])],
            "date": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
        },
        index=[7, 7, 8],
    )
    table = read_table(frame)
    assert table.columns == list(frame.columns)
    assert cells(table, "whole") == [1, None, 3]
    assert str(table.column("whole").type) == "int64"
    assert cells(table, "number") == [1.5, None, 3.0]
    assert cells(table, "text") == ["x", None, "z"]
    assert cells(table, "category") == ["a", "b", None]
    assert cells(table, "vector") == [[1.0, 2.0], None, [3.0, 4.0]]
    assert [cell and cell.day for cell in cells(table, "date")] == [1, None, 3]
    assert table.folder is None
    assert table.name == "TABLE"


def test_a_polars_frame() -> None:
    polars = pytest.importorskip("polars")
    table = read_table(polars.DataFrame({"a": [1, None], "b": ["x", "y"]}))
    assert cells(table, "a") == [1, None]
    assert str(table.column("b").type) == "string"


def test_other_sources() -> None:
    assert cells(read_table({"a": [1, 2], "b": np.array([1.0, np.nan])}), "b") == [1.0, None]
    arrow = pa.table({"a": [1]}).replace_schema_metadata({"plait": '{"roles": {"a": "target"}}'})
    assert read_table(arrow, "--test").roles == {"a": "target"}
    assert read_table(arrow, "--test").name == "--test"
    table = read_table(arrow)
    assert read_table(table) is table


class DataSet:
    """As much of a Hugging Face data set as is needed."""

    def __init__(self, data: Any) -> None:
        self.features, self.data = {}, data

    def with_format(self, kind: str) -> DataSet:
        assert kind == "arrow"
        return self

    def __getitem__(self, key: slice) -> Any:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


def test_a_hugging_face_data_set() -> None:
    assert cells(read_table(DataSet(pa.table({"a": [1, 2]}))), "a") == [1, 2]
    assert "not subscriptable" in refusal(DataSet(TypeError("'IterableDataset' object is not subscriptable")))


BAD: dict[str, tuple[Any, str]] = {
    "frame twice": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column called 'a': rename them"),
    "frame numbers": (pd.DataFrame([[1, 2]]), "column names that are not text: 0, 1. Rename them to strings"),
    "frame of levels": (
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        "column names that are not text: ('a', 'b')",
    ),
    "frame mixed": (
        pd.DataFrame({"a": [1, "x"]}, dtype=object),
        "'a' of TABLE mixes types: numbers (row 1: 1) and text (row 2: 'x'). Give it one type.",
    ),
    "frame of objects": (pd.DataFrame({"a": [object()]}), "Column 'a' of TABLE holds cells that no table can"),
    "frame huge": (
        pd.DataFrame({"a": [2**100, 1]}, dtype=object),
        "Column 'a' of TABLE holds a cell that no table can",
    ),
    "frame complex": (pd.DataFrame({"a": [1j]}), "Column 'a' of TABLE holds a cell that no table can"),
    "frame empty": (pd.DataFrame({"a": []}), "has no rows; a table with a header and at least one row is needed"),
    "frame of nothing": (pd.DataFrame(), "has no rows"),
    "frame without name": (pd.DataFrame({"": [1]}), "has a column without a name"),
    "dict lengths": ({"a": [1], "b": [1, 2]}, "The columns of TABLE are not of one length: 1 in 'a', 2 in 'b'"),
    "dict numbers": ({1: [1]}, "column names that are not text: 1"),
    "dict of numbers": ({"a": 3}, "Column 'a' of TABLE is 3; give a list of cells"),
    "dict surrogate": ({"a": ["\ud800"]}, "surrogates not allowed"),
    "arrow twice": (pa.Table.from_arrays([pa.array([1])] * 2, ["a", "a"]), "more than one column called 'a'"),
    "list": ([[1, 2]], "TABLE is a list; give a path, a frame, an Arrow table or a dict of columns"),
    "none": (None, "TABLE is a NoneType; give a path"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_source_is_refused_in_words(case: str) -> None:
    source, expected = BAD[case]
    assert expected in refusal(source)
    assert "TABLE" in refusal(source)


def test_cells_of_no_plain_type_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(column: pa.ChunkedArray) -> pa.ChunkedArray:
        raise pa.ArrowNotImplementedError("no such cast")

    monkeypatch.setattr("plait.data.table.plain_column", refuse)
    with pytest.raises(InputError) as told:
        read_table({"a": [1], "b": ["x"]})
    assert told.value.problems == (
        "Column 'a' of TABLE holds int64, which cannot be read (no such cast).",
        "Column 'b' of TABLE holds string, which cannot be read (no such cast).",
    )


def test_take_and_with_column() -> None:
    table = read_table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert table.take([2, 0]).data.to_pydict() == {"a": [3, 1], "b": ["z", "x"]}
    assert table.take(np.array([], np.int64)).data.num_rows == 0
    changed = table.with_column("a", pa.chunked_array([["p", "q", "r"]]))
    assert changed.data.to_pydict() == {"a": ["p", "q", "r"], "b": ["x", "y", "z"]}
    assert cells(table, "a") == [1, 2, 3]


def test_concat_brings_types_together() -> None:
    first = read_table({"a": [1, 2], "b": ["x", "y"], "c": [None, None]}, "train.csv")
    second = read_table({"b": ["z"], "a": [2.5], "c": [1]}, "test.csv")
    joined = concat([first, second])
    assert joined.data.to_pydict() == {"a": [1.0, 2.0, 2.5], "b": ["x", "y", "z"], "c": [None, None, 1]}
    assert joined.name == "train.csv"
    assert concat([first, read_table({"a": [3]})]).data.to_pydict()["b"] == ["x", "y", None]


def test_concat_gives_empty_columns_the_type_of_the_others_and_writes_as_text_what_is_text_elsewhere() -> None:
    empty = pa.table({"n": pa.array([None], pa.string()), "t": pa.array([None], pa.float64())})
    for order in (1, -1):
        joined = concat([read_table({"n": [1, 2], "t": ["x", "y"]}), read_table(empty)][::order])
        assert [joined.column(name).type for name in "nt"] == [pa.int64(), pa.string()]
    day, moment = datetime.date(2024, 1, 31), datetime.datetime(2024, 1, 31, 12)
    for first, second, expected in (
        ([1, None], ["x"], ["1", None, "x"]),
        ([0.1], ["x"], ["0.1", "x"]),
        ([True], ["x"], ["true", "x"]),
        ([day], ["2024-02-01"], ["2024-01-31", "2024-02-01"]),
        ([day], [moment], ["2024-01-31", "2024-01-31 12:00:00"]),
        ([moment], ["2024-02-01"], ["2024-01-31 12:00:00", "2024-02-01"]),
        ([moment.replace(tzinfo=datetime.UTC)], ["x"], ["2024-01-31 12:00:00+00:00", "x"]),
    ):
        assert concat([read_table({"a": first}), read_table({"a": second})]).column("a").to_pylist() == expected


def test_points_in_time_of_two_units_stay_points_in_time() -> None:
    moment = datetime.datetime(2024, 1, 31, 12)
    tables = [Table(pa.table({"a": pa.array([moment], pa.timestamp(unit))})) for unit in ("us", "ns")]
    column = concat(tables).column("a")
    assert pa.types.is_timestamp(column.type)
    assert len(column.unique()) == 1


@pytest.mark.parametrize(
    ("cells", "kind"), [([[1.0]], "list"), ([datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)], "timestamp")]
)
def test_concat_tells_types_that_do_not_fit(cells: list[Any], kind: str) -> None:
    plain = 1 if kind == "list" else datetime.datetime(2024, 1, 1)
    with pytest.raises(InputError, match=rf"Column 'b' does not hold the same type in all tables: .*{kind}.* in test"):
        concat([read_table({"a": [1], "b": [plain]}, "train.csv"), read_table({"a": [1], "b": cells}, "test.csv")])


def test_missing_columns_are_told_together() -> None:
    with pytest.raises(InputError) as told:
        require_columns(read_table({"size": [1], "ward": ["x"]}), ["sise", "ward", "price"], "input")
    assert told.value.problems == (
        "TABLE has no column 'sise' (input): did you mean size? (known: size, ward).",
        "TABLE has no column 'price' (input): known: size, ward.",
    )


@pytest.mark.parametrize("rows", [1, 7, 10, 11, 999])
def test_a_sample_spreads_over_the_filled_cells(rows: int) -> None:
    column = pa.chunked_array([pa.array([None, *range(rows), None])])
    found = sample_rows(column, 10)
    assert len(found) == len(set(found)) == min(rows, 10)
    assert found[0] == 1
    assert found[-1] == rows or rows == 1
    assert sample_rows(pa.chunked_array([pa.nulls(3)]), 10) == []


def test_paths_start_where_the_table_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    assert read_table("t.csv").folder == tmp_path.resolve()
    assert read_table("t.csv").name == "t.csv"


def test_columns_of_a_frame_that_pandas_alone_has_are_read_as_what_they_mean() -> None:
    frame = pd.DataFrame(
        {
            "cut": pd.cut(pd.Series([1.0, 2.0, 3.0]), 2),
            "month": pd.period_range("2020-01", periods=3, freq="M"),
            "word": pd.Categorical(["a", None, "b"]),
            "matrix": [np.zeros((2, 3)), None, np.ones((1, 3))],
            "picture": [Image.new("L", (4, 4)), None, Image.new("L", (2, 2))],
        }
    )
    kinds = {column.name: column.kind for column in infer_schema(read_table(frame)).columns}
    assert kinds == {
        "cut": "categorical", "month": "date", "word": "categorical", "matrix": "series", "picture": "image",
    }  # fmt: skip
    assert read_table(frame).column("cut")[0].as_py() == "(0.998, 2.0]"
    assert read_table({"a": np.eye(2)}).column("a").to_pylist() == [[1.0, 0.0], [0.0, 1.0]]


def test_blank_text_among_numbers_is_an_empty_cell() -> None:
    assert read_table({"a": [1, "", 2.5, "  "]}).column("a").to_pylist() == [1.0, None, 2.5, None]
    assert read_table({"a": [True, ""]}).column("a").to_pylist() == [True, None]
    assert "numbers (row 2: 1) and text (row 3: 'x')" in refusal({"a": ["", 1, "x"]})


def test_times_with_and_without_a_zone_are_not_mixed() -> None:
    noon = datetime.datetime(2024, 1, 1, 12)
    cells = [None, noon, noon.replace(tzinfo=datetime.UTC)]
    with pytest.raises(
        InputError, match=r"'when' of TABLE mixes times with a time zone \(row 3\) and without \(row 2\)"
    ):
        read_table({"when": cells})
    with pytest.raises(InputError, match="mixes times with a time zone"):
        read_table(pd.DataFrame({"when": pd.Series(cells, dtype=object)}))
    east = datetime.timezone(datetime.timedelta(hours=2))
    both = read_table({"when": [noon.replace(tzinfo=datetime.UTC), noon.replace(hour=14, tzinfo=east)]}).column("when")
    assert len(both.unique()) == 1  # the same point in time


def test_labels_of_mixed_types_are_refused() -> None:
    with pytest.raises(InputError, match=r"'y' of TABLE mixes types: numbers \(row 1: 1\) and text \(row 2: '1'\)"):
        read_table(pd.DataFrame({"y": pd.Series([1, "1", "a"], dtype=object)}))
