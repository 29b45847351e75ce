"""Table files: what is read from CSV, JSON Lines and Parquet, and what is said of files that cannot be read."""

from __future__ import annotations

import csv
import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from plait.data.table import Table, read_table
from plait.exceptions import InputError


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(table: Table, name: str) -> list[Any]:
    return list(table.column(name).to_pylist())


def refusal(path: Any) -> str:
    with pytest.raises(InputError) as told:
        read_table(path)
    assert len(told.value.problems) == 1
    return str(told.value)


def parquet_bytes(**columns: Any) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


WHOLE_PARQUET = parquet_bytes(a=list(range(100)), text=["word"] * 100)
BAD = {
    "empty": ("t.csv", b"", "is empty (0 bytes); a table with a header and at least one row is needed"),
    "header only": ("t.csv", b"a,b\n", "has no rows; a table with a header and at least one row is needed"),
    "blank lines only": ("t.csv", b"\n\n\n", "has no rows and no header, only blank lines"),
    "cut off": ("t.csv", b"a,b\n1,x\n2", "Expected 2 columns, got 1: 2. Every row needs 2 values"),
    "quote left open": ("t.csv", b'a,b\n1,"x\n2,y\n', "ends within a quoted cell: is it cut off"),
    "quote left open at the end": ("t.csv", b'a,b\n1,x\n2,"y', "ends within a quoted cell"),
    "quote and no more": ("t.csv", b'a,b\n1,x\n2,"', "ends within a quoted cell"),
    "doubled quote at the end": ("t.csv", b'a,b\n1,x\n2,"y""', "ends within a quoted cell"),
    "row too long": ("t.csv", b"a,b\n1,x\n2,y,z\n", "Every row needs 2 values, as its header has"),
    "binary": ("t.csv", b"a,b\n\x00\x01\x02\x00", "is binary, not text; plait expects UTF-8 text"),
    "parquet in disguise": ("t.csv", WHOLE_PARQUET, "is a Parquet file: rename it to .parquet"),
    "utf-16": ("t.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16 text; plait reads UTF-8: save it again as UTF-8"),
    "utf-16 be": ("t.csv", b"\xfe\xff" + "a,b\n1,2\n".encode("utf-16-be"), "is UTF-16 text"),
    "latin-1 header": ("t.csv", "naïve,b\n1,2\n".encode("latin-1"), "is not UTF-8 text"),
    "latin-1 cell": ("t.csv", "a,b\n1,naïve\n".encode("latin-1"), "save it again as UTF-8"),
    "semicolons": ("t.csv", b"a;b\n1;2\n", "is separated by semicolons; plait expects commas: save it again."),
    "tabs": ("t.csv", b"a\tb\n1\t2\n", "is separated by tabs; plait expects commas: save it again, or name it .tsv."),
    "bars": ("t.csv", b"a|b\n1|2\n", "is separated by bars; plait expects commas"),
    "commas in tsv": (
        "t.tsv",
        b"a,b\n1,2\n",
        "separated by commas; plait expects tabs: save it again, or name it .csv.",
    ),
    "twice": ("t.csv", b"a,b,a,b\n1,2,3,4\n", "more than one column called 'a', 'b': rename them"),
    "no name": ("t.csv", b",b\n1,2\n", "has a column without a name; every column needs one in the header"),
    "blank name": ("t.csv", b"a, \n1,2\n", "write the table with index=False"),
    "endless header": ("t.csv", b'"a,b\n' + b"1,2\n" * 50_000, "has no readable header"),
    "not json": ("t.jsonl", b'{"a": 1}\n{"a": 2, "b', "line 2 is not JSON"),
    "array": ("t.jsonl", b'[{"a": 1}]\n', "line 1 holds a list; JSON Lines has one object a line"),
    "number": ("t.jsonl", b'{"a": 1}\n3\n', "line 2 holds a int; JSON Lines has one object a line"),
    "key twice": ("t.jsonl", b'{"a": 1, "a": 2}\n', "line 1, has more than one column called 'a'"),
    "inner key twice": ("t.jsonl", b'{"a": {"path": "x", "path": "y"}}\n', "more than one column called 'path'"),
    "mixed": ("t.jsonl", b'{"a": 1}\n{"a": "x"}\n', "Column 'a' of "),
    "empty name": ("t.jsonl", b'{"": 1}\n', "has a column without a name"),
    "half a character": ("t.jsonl", b'{"a": "\\ud800"}\n', "Column 'a' of "),
    "half a character's name": ("t.jsonl", b'{"\\ud800": 1}\n', "has a column whose name, '\\ud800', is no text"),
    "huge number": ("t.jsonl", b'{"a": 123456789012345678901234567890}\n', "holds a cell that no table can"),
    "deep": ("t.jsonl", b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}\n", "line 1 is not JSON"),
    "utf-16 jsonl": ("t.jsonl", '{"a": 1}\n'.encode("utf-16"), "is UTF-16 text"),
    "latin-1 jsonl": ("t.jsonl", '{"a": "ï"}\n'.encode("latin-1"), "is not UTF-8 text"),
    "empty objects": ("t.jsonl", b"{}\n{}\n", "has no rows"),
    "only blank lines": ("t.jsonl", b"\n\n", "has no rows"),
    "cut parquet": ("t.parquet", WHOLE_PARQUET[:-20], "is not readable as Parquet"),
    "half a parquet": ("t.parquet", WHOLE_PARQUET[: len(WHOLE_PARQUET) // 2], "Is it cut off, or another format?"),
    "no parquet": ("t.parquet", b"a,b\n1,2\n", "is not readable as Parquet"),
    "parquet without rows": ("t.parquet", parquet_bytes(a=pa.array([], pa.int64())), "has no rows"),
    "parquet name": ("t.parquet", parquet_bytes(**{" ": [1]}), "has a column without a name"),
    "excel": ("t.xlsx", b"PK", "the suffix '.xlsx' says nothing to plait. plait reads .csv, .tsv, .jsonl"),
    "no suffix": ("table", b"a\n1\n", "the suffix '' says nothing to plait"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_words(case: str, tmp_path: Path) -> None:
    name, content, expected = BAD[case]
    path = written(tmp_path, name, content)
    message = refusal(path)
    assert expected in message
    assert str(path) in message


def test_mixed_types_are_told_for_all_columns_together(tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl", '{"a": 1, "b": [1], "c": 1}\n{"a": "x", "b": {"k": 1}, "c": 2.5}\n')
    with pytest.raises(InputError) as told:
        read_table(path)
    assert [problem[:12] for problem in told.value.problems] == ["Column 'a' o", "Column 'b' o"]
    assert all("mixes types" in problem and "Give it one" in problem for problem in told.value.problems)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert f"There is no table {tmp_path}/x.csv; give the path of an existing file" in refusal(tmp_path / "x.csv")
    assert "is a folder; give the path of one table" in refusal(tmp_path)
    assert "is a folder" in refusal("")
    assert "https://x.org/t.csv is an address" in refusal("https://x.org/t.csv")
    assert "s3://bucket/t.parquet is an address; plait reads local files: download it" in refusal(
        "s3://bucket/t.parquet"
    )
    assert "There is no table" in refusal("a\0b.csv")
    assert "cannot be read (File name too long)" in refusal("x" * 5000 + ".csv")
    (tmp_path / "d.csv").mkdir()
    assert "is a folder" in refusal(tmp_path / "d.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is not an ordinary file" in refusal(tmp_path / "pipe.csv")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_file_without_permission(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, name, WHOLE_PARQUET)
    path.chmod(0)
    assert "cannot be read (Permission denied)" in refusal(path)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_an_error_of_the_system_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, name, WHOLE_PARQUET)

    def denied(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    monkeypatch.setattr(parquet, "ParquetFile", denied)
    assert refusal(path) == f"{path} cannot be read (Permission denied)."


def test_csv_types_go_by_the_whole_column(tmp_path: Path) -> None:
    rows = "\n".join(f"{i},{i / 2},true,{i}" for i in range(70_000))
    table = read_table(written(tmp_path, "t.csv", f"whole,number,truth,last\n{rows}\n7,1e3,FALSE,x\n"))
    assert [str(table.column(name).type) for name in table.columns] == ["int64", "double", "bool", "string"]
    assert cells(table, "last")[-2:] == ["69999", "x"]
    assert cells(table, "truth")[-1] is False


def test_csv_empty_cells(tmp_path: Path) -> None:
    text = 'i,f,t,b,none\n1,NA,a,true,\n , nan,NULL,,\n3,2.5,"",false,\n'
    table = read_table(written(tmp_path, "t.csv", text))
    assert cells(table, "i") == [1, None, 3]
    assert str(table.column("i").type) == "int64"
    assert cells(table, "f") == [None, None, 2.5]
    assert cells(table, "t") == ["a", None, None]
    assert cells(table, "b") == [True, None, False]
    assert cells(table, "none") == [None, None, None]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["007", "12"], ["007", "12"]),
        (["0x1F", "2"], ["0x1F", "2"]),
        (["-012", "3"], ["-012", "3"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["0", "-0", "10"], [0, 0, 10]),
        (["0.5", "00.5"], [0.5, 0.5]),
        (["1e3", "2"], [1000.0, 2.0]),
        (["inf", "2"], [float("inf"), 2.0]),
        (["1_000", "2"], ["1_000", "2"]),
        (["true", "false", "True", "False", "TRUE", "maybe"], ["true", "false", "True", "False", "TRUE", "maybe"]),
        (["true", "yes"], ["true", "yes"]),
        (["TRUE", "False"], [True, False]),
        (["3", " 4 "], [3, 4]),
        ([" a", "b "], [" a", "b "]),
    ],
)
def test_csv_numbers_that_a_number_would_not_give_back_stay_text(
    texts: list[str], expected: list[Any], tmp_path: Path
) -> None:
    table = read_table(written(tmp_path, "t.csv", "c,d\n" + "".join(f"{text},1\n" for text in texts)))
    assert cells(table, "c") == expected


def test_csv_quotes_line_ends_and_marks(tmp_path: Path) -> None:
    text = '\ufeff"a","b c"\r\n"x, ""y""","two\nlines"\r\n\u2028,é\r\n'
    table = read_table(written(tmp_path, "t.csv", text))
    assert table.columns == ["a", "b c"]
    assert cells(table, "a") == ['x, "y"', "\u2028"]
    assert cells(table, "b c") == ["two\nlines", "é"]
    assert cells(read_table(written(tmp_path, "m.csv", "a,b\r1,2\r3,4\r")), "b") == [2, 4]
    assert cells(read_table(written(tmp_path, "t.TSV", "a\tb\n1\tx, y\n")), "b") == ["x, y"]
    assert cells(read_table(written(tmp_path, "s.csv", "\n\na,b\n1,2\n")), "b") == [2]


@pytest.mark.parametrize("last", ['""', '"x"', 'x"', 'x"y', '"NA"', "NA", "", '"x ""y"""', '"two\nlines"', '""""'])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_csv_that_ends_well(last: str, end: str, tmp_path: Path) -> None:
    assert cells(read_table(written(tmp_path, "t.csv", f"a,b\n1,{last}{end}")), "a") == [1]


CSV_CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CSV_CELL, CSV_CELL), min_size=1, max_size=6))
def test_csv_text_comes_back(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([("a", "b"), *((f"x{a}", f"y{b}") for a, b in rows)])
    table = read_table(written(tmp_path, "t.csv", stream.getvalue()))
    assert list(zip(cells(table, "a"), cells(table, "b"), strict=True)) == [(f"x{a}", f"y{b}") for a, b in rows]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.none() | st.floats(allow_nan=False), min_size=1, max_size=8))
def test_csv_numbers_come_back_to_the_bit(values: list[float | None], tmp_path: Path) -> None:
    lines = ["number,row", *(f"{'' if value is None else repr(value)},{row}" for row, value in enumerate(values))]
    assert cells(read_table(written(tmp_path, "t.csv", "\n".join(lines) + "\n")), "number") == values


JSON_COLUMNS = {
    "whole": st.integers(-(2**63), 2**63 - 1), "number": st.floats(allow_nan=False, allow_infinity=False),
    "text": st.text(st.characters(exclude_categories=["Cs"])), "truth": st.booleans(),
    "vector": st.lists(st.floats(allow_nan=False, width=32), max_size=3),
}  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries({}, optional=JSON_COLUMNS), min_size=1, max_size=6))
def test_json_lines_come_back(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl", "\n".join(json.dumps(row) for row in rows))
    names = {name for row in rows for name in row}
    if not names:
        assert "has no rows" in refusal(path)
        return
    table = read_table(path)
    assert set(table.columns) == names
    for name in names:
        assert cells(table, name) == [row.get(name) for row in rows]


def test_json_lines_numbers_and_empty_cells(tmp_path: Path) -> None:
    text = '\ufeff{"a": 1, "n": NaN, "d": {"bytes": null, "path": "x.png"}}\n\n{"b": [], "a": 2.5}\n{"a": null}\n'
    table = read_table(written(tmp_path, "t.ndjson", text))
    assert table.columns == ["a", "n", "d", "b"]
    assert cells(table, "a") == [1.0, 2.5, None]
    assert cells(table, "n") == [None, None, None]
    assert cells(table, "d")[0] == {"bytes": None, "path": "x.png"}


def test_parquet_of_many_types(tmp_path: Path) -> None:
    columns = {
        "dictionary": pa.array(["x", "y", None]).dictionary_encode(),
        "large": pa.array(["x", "y", None], pa.large_string()),
        "view": pa.array(["x", "y", None], pa.string_view()),
        "bytes": pa.array([b"x", b"", None], pa.binary()),
        "fixed": pa.array([b"xx", b"yy", None], pa.binary(2)),
        "decimal": pa.array([Decimal("1.25"), None, Decimal("3")], pa.decimal128(10, 2)),
        "half": pa.array(np.array([1.5, 2.5, 3.5], np.float16)),
        "nan": pa.array([1.0, float("nan"), None]),
        "duration": pa.array([1500, None, 0], pa.duration("ms")),
        "clock": pa.array([3600, None, 0], pa.time32("s")),
        "halves": pa.array([[Decimal("1.5")], None, []], pa.list_(pa.decimal128(5, 1))),
        "small": pa.array([1, None, 3], pa.int8()),
    }
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table(columns), path)
    table = read_table(path)
    found = {name: cells(table, name) for name in table.columns}
    assert found["dictionary"] == found["large"] == found["view"] == ["x", "y", None]
    assert found["bytes"] == [b"x", b"", None]
    assert found["fixed"] == [b"xx", b"yy", None]
    assert found["decimal"] == [1.25, None, 3.0]
    assert found["half"] == [1.5, 2.5, 3.5]
    assert found["nan"] == [1.0, None, None]
    assert found["duration"] == [1.5, None, 0.0]
    assert found["clock"] == [3600.0, None, 0.0]
    assert found["halves"] == [[1.5], None, []]
    assert found["small"] == [1, None, 3]
    plain = {"string", "large_binary", "double", "int8", "large_list<item: double>"}
    assert {str(table.column(name).type) for name in table.columns} <= plain


def test_row_labels_of_pandas_are_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=["x", "y", "z"])
    frame.to_parquet(tmp_path / "t.parquet")
    assert "__index_level_0__" in parquet.read_schema(tmp_path / "t.parquet").names
    assert read_table(tmp_path / "t.parquet").columns == ["a"]


def test_parquet_with_broken_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": ["wwwwwwww", "x"]}), path, use_dictionary=False, compression="none")
    path.write_bytes(path.read_bytes().replace(b"wwwwwwww", b"\xff\xfe\xff\xfewwww"))
    assert "is not readable as Parquet" in refusal(path)
    assert "UTF8" in refusal(path)


def test_parquet_with_the_same_name_twice(tmp_path: Path) -> None:
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "t.parquet")
    assert "more than one column called 'a': rename them" in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "said", [b"not json", b"[1]", b'{"roles": 3}', b"\xff", b'{"roles": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
)
def test_broken_metadata_says_nothing(said: bytes, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1]}).replace_schema_metadata({b"plait": said}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.roles == {}
    assert table.kinds == {}


def test_metadata_carries_roles_and_kinds(tmp_path: Path) -> None:
    said = json.dumps({"roles": {"a": "target"}, "kinds": {"a": "multiclass"}})
    parquet.write_table(pa.table({"a": [1]}).replace_schema_metadata({"plait": said}), tmp_path / "t.pq")
    table = read_table(tmp_path / "t.pq")
    assert table.roles == {"a": "target"}
    assert table.kinds == {"a": "multiclass"}
    assert table.folder == tmp_path
    assert table.data.schema.metadata is None


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(WHOLE_PARQUET) - 1), value=st.binary(min_size=1, max_size=4), cut=st.booleans())
def test_a_damaged_parquet_file_is_read_or_refused(place: int, value: bytes, cut: bool, tmp_path: Path) -> None:
    data = WHOLE_PARQUET[:place] + value + (b"" if cut else WHOLE_PARQUET[place + len(value) :])
    try:
        read_table(written(tmp_path, "t.parquet", data))
    except InputError as error:
        assert str(tmp_path) in str(error)  # noqa: PT017 - either end is fine


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60), suffix=st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))
def test_any_bytes_are_read_or_refused(data: bytes, suffix: str, tmp_path: Path) -> None:
    try:
        read_table(written(tmp_path, "t" + suffix, data))
    except InputError as error:
        assert str(tmp_path) in str(error)  # noqa: PT017 - either end is fine
