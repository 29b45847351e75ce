"""Digests: equal where the content is, different where it is not, and the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.digest import column_digests, combine, key_of, modality_digests
from plait.data.resolve import resolve_media
from plait.data.schema import Column, Modality, Schema
from plait.data.table import Table

FLOATS = st.floats(allow_nan=False)
VALUES: dict[str, tuple[st.SearchStrategy[Any], pa.DataType]] = {
    "whole": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "unsigned": (st.integers(0, 2**64 - 1), pa.uint64()),
    "number": (FLOATS, pa.float64()),
    "truth": (st.booleans(), pa.bool_()),
    "text": (st.text(st.characters(exclude_categories=["Cs"]), max_size=4), pa.string()),
    "bytes": (st.binary(max_size=3), pa.large_binary()),
    "day": (st.dates(), pa.date32()),
    "moment": (st.datetimes(), pa.timestamp("us")),
    "vector": (st.lists(FLOATS, max_size=3), pa.list_(pa.float64())),
    "pair": (st.lists(st.integers(0, 2) | st.none(), min_size=2, max_size=2), pa.list_(pa.int8(), 2)),
    "words": (st.lists(st.none() | st.sampled_from(["", "a", "b"]), max_size=3), pa.large_list(pa.string())),
    "series": (st.lists(st.lists(st.integers(0, 2), max_size=2), max_size=3), pa.list_(pa.list_(pa.int64()))),
    "struct": (
        st.fixed_dictionaries({"a": st.none() | st.integers(0, 2), "b": st.sampled_from(["", "x"])}),
        pa.struct({"a": pa.int8(), "b": pa.string()}),
    ),
}


def same(first: Any, second: Any) -> bool:
    """Whether two cells are equal; an empty list is not an empty cell."""
    return bool(first == second and (first is None) == (second is None))


@pytest.mark.parametrize("kind", VALUES)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_digests_are_equal_where_cells_are(kind: str, data: st.DataObject) -> None:
    values, arrow = VALUES[kind]
    cells = data.draw(st.lists(st.none() | values, min_size=1, max_size=8))
    digests = column_digests(pa.chunked_array([pa.array(cells, arrow)]))
    assert digests.dtype == np.uint64
    assert digests.shape == (len(cells),)
    for first in range(len(cells)):
        for second in range(first):
            assert (digests[first] == digests[second]) == same(cells[first], cells[second])
    pieces = [pa.array([None, *cells], arrow).slice(1, 1), *(pa.array([cell], arrow) for cell in cells[1:])]
    np.testing.assert_array_equal(column_digests(pa.chunked_array(pieces, arrow)), digests)


@pytest.mark.parametrize("kind", VALUES)
def test_a_column_without_rows(kind: str) -> None:
    assert column_digests(pa.chunked_array([], VALUES[kind][1])).shape == (0,)
    assert column_digests(pa.chunked_array([pa.array([], VALUES[kind][1])])).shape == (0,)


def test_both_zeros_are_one() -> None:
    digests = column_digests(pa.chunked_array([pa.array([0.0, -0.0, 1.0])]))
    assert digests[0] == digests[1] != digests[2]


def test_no_two_of_many_are_alike() -> None:
    whole = column_digests(pa.chunked_array([pa.array(np.arange(200_000))]))
    vectors = column_digests(pa.chunked_array([pa.FixedSizeListArray.from_arrays(np.arange(400_000), 2)]))
    assert len(np.unique(np.concatenate([whole, vectors]))) == 400_000
    swapped = column_digests(pa.chunked_array([pa.array([[1, 2], [2, 1], [1, 2, 0], [0, 1, 2], [], [0]])]))
    assert len(np.unique(swapped)) == 6


def test_media_go_by_their_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"pixels")
    schema = Schema(columns=(Column(name="c", role="input", kind="image"),))
    modality = schema.modalities[0]
    forms = [
        pa.array(["a.png", "b.png", None]),
        pa.array([b"pixels", b"pixels", None], pa.large_binary()),
        pa.array([{"bytes": b"pixels", "path": "x"}, {"bytes": None, "path": "a.png"}, None]),
    ]
    found = []
    for form in forms:
        table, bad = resolve_media(Table(pa.table({"c": form}), "T", tmp_path), schema, False)
        assert bad == {}
        found.append(modality_digests(table, modality).tolist())
    assert found[0] == found[1] == found[2]
    assert found[0][0] == found[0][1] != found[0][2]
    gone, _ = resolve_media(Table(pa.table({"c": ["no.png", "none.png"]}), "T", tmp_path), schema, False)
    assert len(np.unique(modality_digests(gone, modality))) == 2


def test_rows_of_several_columns_and_their_order() -> None:
    table = Table(pa.table({"a": [1, 2, 1], "b": [2, 1, 2]}))
    both = modality_digests(table, Modality(name="tabular", kind="tabular", columns=("a", "b")))
    assert both[0] == both[2] != both[1]
    turned = modality_digests(table, Modality(name="tabular", kind="tabular", columns=("b", "a")))
    assert both[0] == turned[1]
    assert both[0] != turned[0]
    assert combine([]).tolist() == []


MADE = {
    "number": [1.5, None], "text": ["é", ""], "vector": [[1.0, 2.0], [3.0]], "struct": [{"a": 1}, {"a": None}],
    "bytes": [b"x", None], "words": [["a"], [None]], "truth": [True, None],
}  # fmt: skip


def test_the_same_in_another_process() -> None:
    code = (
        "import pyarrow as pa; from plait.data.digest import *\n"
        f"columns = [pa.chunked_array([pa.array(cells)]) for cells in {MADE!r}.values()]\n"
        "print([column_digests(column).tolist() for column in columns], key_of(['a', b'b']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    here = [column_digests(pa.chunked_array([pa.array(cells)])).tolist() for cells in MADE.values()]
    assert result.stdout.strip() == f"{here} {key_of(['a', b'b'])}"


def test_keys_hold_their_parts_apart() -> None:
    keys = [key_of(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], [b"abc", ""], [])]
    assert len(set(keys)) == 5
    assert all(len(key) == 40 for key in keys)
    assert key_of(["abc"]) == key_of([b"abc"])
    assert key_of([np.array([1, 2], np.uint64)]) != key_of([np.array([2, 1], np.uint64)])


def test_many_rows_are_digested_quickly() -> None:
    rng = np.random.default_rng(0)
    table = Table(
        pa.table(
            {"v": pa.FixedSizeListArray.from_arrays(rng.normal(size=64 * 50_000), 64), "n": rng.normal(size=50_000)}
        )
    )
    start = time.process_time()
    modality_digests(table, Modality(name="tabular", kind="tabular", columns=("v", "n")))
    assert time.process_time() - start < 1.0  # 0.1 s where this was written; through text it took 4 s
