"""Paths in media columns: made absolute, or refused where they lead out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from plait.data.media import cell_bytes
from plait.data.resolve import resolve_media
from plait.data.schema import Column, Schema
from plait.data.table import Table

BYTES_AND_PATH = pa.struct({"bytes": pa.binary(), "path": pa.large_string()})


def resolved(
    cells: Any, folder: Path | None, allow_outside: bool = False, kind: str = "image"
) -> tuple[list[Any], dict[int, str]]:
    column = cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])
    schema = Schema(columns=(Column(name="c", role="input", kind=kind),))
    table, bad = resolve_media(Table(pa.table({"c": column}), "T", folder), schema, allow_outside)
    assert len(table) == len(column)
    return table.column("c").to_pylist(), bad


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a file, beside one that is not of it."""
    (tmp_path / "table" / "deep").mkdir(parents=True)
    (tmp_path / "table" / "deep" / "in.png").write_bytes(b"in")
    (tmp_path / "table-not").mkdir()
    (tmp_path / "table-not" / "out.png").write_bytes(b"out")
    (tmp_path / "table" / "escape").symlink_to(tmp_path / "table-not")
    (tmp_path / "table" / "link.png").symlink_to("deep/in.png")
    return tmp_path / "table"


def test_paths_within_the_folder(home: Path) -> None:
    cells = ["deep/in.png", f" {home}/deep/in.png ", "deep/../deep/in.png", "link.png", None, "", "  ", "none.png"]
    found, bad = resolved(cells, home)
    assert found == [f"{home}/deep/in.png"] * 4 + [None] * 3 + [f"{home}/none.png"]
    assert bad == {}


@pytest.mark.parametrize("cell", ["../table-not/out.png", "escape/out.png", "/etc/passwd", "deep/../../x", ".."])
def test_paths_that_lead_out(cell: str, home: Path) -> None:
    found, bad = resolved([cell, "deep/in.png"], home)
    assert found == [None, f"{home}/deep/in.png"]
    expected = f"c: {cell!r} leaves the table's folder; move the file there, or allow it with --allow-outside"
    assert bad == {0: expected}
    found, bad = resolved([cell], home, allow_outside=True)
    assert bad == {}
    assert Path(found[0]).is_absolute()


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("https://x.org/a.png", "is an address; plait reads local files only: download it and give its path"),
        ("file:///etc/passwd", "is an address"),
        ("data:image/png;base64,AAAA", "is an address"),
        ("a\0.png", "the path holds a null character"),
    ],
)
def test_what_is_no_path(cell: str, expected: str, home: Path) -> None:
    for outside in (False, True):
        found, bad = resolved([cell], home, outside)
        assert found == [None]
        assert expected in bad[0]


def test_a_table_in_memory_starts_where_the_process_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert resolved(["deep/in.png"], None)[0] == [f"{home}/deep/in.png"]
    assert 0 in resolved(["../x.png"], None)[1]


def test_structs_use_their_path_only_where_there_are_no_bytes(home: Path) -> None:
    rows = [
        {"bytes": b"x", "path": "/etc/passwd"},
        {"bytes": None, "path": "deep/in.png"},
        {"bytes": b"", "path": "../out.png"},
        {"bytes": None, "path": None},
        None,
    ]
    column = pa.chunked_array([pa.array(rows[:2], BYTES_AND_PATH), pa.array(rows[2:], BYTES_AND_PATH)])
    found, bad = resolved(column, home)
    assert found[0] == {"bytes": b"x", "path": None}
    assert found[1] == {"bytes": None, "path": f"{home}/deep/in.png"}
    assert list(bad) == [2]
    assert "leaves the table's folder" in bad[2]
    assert [cell_bytes(cell) for cell in found] == [b"x", b"in", None, None, None]


def test_structs_with_one_field(home: Path) -> None:
    found, bad = resolved(pa.chunked_array([pa.array([{"path": "deep/in.png"}, {"path": None}])]), home)
    assert [cell_bytes(cell) for cell in found] == [b"in", None]
    assert bad == {}


def test_text_in_the_place_of_bytes_is_never_a_path(home: Path) -> None:
    found, bad = resolved([{"bytes": "/etc/passwd"}, {"bytes": None}], home)
    assert [cell_bytes(cell) for cell in found] == [None, None]
    assert bad == {0: "c: `bytes` holds string, not bytes"}
    found, bad = resolved([{"bytes": "/etc/passwd", "path": "deep/in.png"}, {"bytes": "x", "path": None}], home)
    assert [cell_bytes(cell) for cell in found] == [b"in", None]
    assert bad == {1: "c: `bytes` holds string, not bytes"}
    assert resolved([{"path": 3}], home)[1] == {0: "c: `path` holds int64, not text"}


def test_columns_of_other_types(home: Path) -> None:
    assert resolved(pa.chunked_array([pa.array([b"x", None], pa.large_binary())]), home)[0] == [b"x", None]
    assert resolved([None, None], home)[0] == [None, None]
    assert resolved([5, None], home)[0] == [f"{home}/5", None]
    assert resolved(pa.chunked_array([], BYTES_AND_PATH), home)[0] == []


def test_columns_that_are_no_media_and_missing_ones_are_left_alone(home: Path) -> None:
    assert resolved(["../x"], home, kind="categorical")[0] == ["../x"]
    schema = Schema(columns=(Column(name="gone", role="input", kind="image"),))
    table = Table(pa.table({"c": [1]}), "T", home)
    assert resolve_media(table, schema, False) == (table, {})


def test_all_reasons_of_a_row_are_told(home: Path) -> None:
    schema = Schema(columns=tuple(Column(name=name, role="input", kind="image") for name in "ab"))
    table = Table(pa.table({"a": ["../x", "deep/in.png"], "b": ["http://y", "../z"]}), "T", home)
    _, bad = resolve_media(table, schema, False)
    assert bad[0].startswith("a: '../x' leaves")
    assert "; b: 'http://y' is an address" in bad[0]
    assert bad[1].startswith("b: '../z' leaves")
