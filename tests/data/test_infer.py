"""What plait takes columns for, and what it says of wishes that cannot be met."""

from __future__ import annotations

import datetime
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from made import png, wav
from plait.data.infer import MANY_CLASSES, Wishes, infer_schema
from plait.data.schema import Column, Schema
from plait.data.table import Table, read_table
from plait.exceptions import InputError

IMAGE = png(np.zeros((3, 3)))
SOUND = wav(np.zeros(100))
ROWS = 40
DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=row) for row in range(ROWS)]
LINES = [f"This is line {row} of a text." for row in range(ROWS)]
CHINESE = [
    "这是一个没有空格的很长的句子它描述了一家餐馆的服务和食物质量非常好我们还会再来因为价格便宜而且环境舒适" + str(row)
    for row in range(ROWS)
]
SUMS = [f"{row:064x}" for row in range(ROWS)]
HALF = [None, ""] * (ROWS // 4)

KINDS: dict[str, tuple[Any, str | None, str]] = {
    "image bytes": ([IMAGE, None] * 20, "image", "bytes that begin like image files"),
    "sound bytes": ([SOUND] * ROWS, "audio", "bytes that begin like audio files"),
    "video bytes": ([b"\x00\x00\x00\x18ftypmp42"] * ROWS, "video", "bytes that begin like video files"),
    "webp": ([b"RIFF\0\0\0\0WEBPVP8 "] * ROWS, "image", "bytes that begin like image files"),
    "other bytes": ([b"\x00\x01"] * ROWS, None, "bytes that begin like no image, sound or video"),
    "empty bytes": ([b"", None] * 20, None, "bytes that begin like no image"),
    "image paths": ([f"a/{row}.PNG" for row in range(ROWS)], "image", "paths of image files"),
    "sound paths": ([f"{row}.wav" for row in range(20)] + HALF, "audio", "paths of audio files"),
    "video paths": ([f"{row}.mp4" for row in range(ROWS)], "video", "paths of video files"),
    "addresses": (["https://x.org/a.png"] * ROWS, "image", "paths of image files"),
    "structs": ([{"bytes": IMAGE, "path": None}, None] * 20, "image", "bytes that begin like image"),
    "structs of paths": ([{"bytes": None, "path": "x.ogg"}] * ROWS, "audio", "paths of audio files"),
    "structs of sounds": ([{"path": "x", "bytes": SOUND}] * ROWS, "audio", "bytes that begin like audio"),
    "other structs": ([{"a": 1, "b": 2}] * ROWS, None, "ignored: a struct of a, b; media structs have `bytes`"),
    "structs of text": (
        [{"bytes": "x"}] * ROWS,
        None,
        "ignored: a struct of bytes; media structs have `bytes` (bytes)",
    ),
    "empty structs": ([{"bytes": None, "path": ""}] * ROWS, None, "ignored: structs without media in them"),
    "text": (LINES, "text", "text of about 7 words"),
    "text of one long word": (CHINESE, "text", "text of about 1 words"),
    "categories": (["red", "green", None, " red"] * 10, "categorical", "2 distinct short strings"),
    "ids": (
        [f"r{row}" for row in range(ROWS)],
        None,
        "ignored: looks like an id (40 distinct strings without spaces in 40",
    ),
    "checksums": (SUMS, None, "ignored: looks like an id (40 distinct strings without spaces in 40 rows)"),
    "ids and repeats": ([f"r{row}" for row in range(37)] + ["r1"] * 3, None, "looks like an id (37 distinct"),
    "few ids": ([f"r{row // 2}" for row in range(ROWS)], "categorical", "20 distinct short strings"),
    "whole numbers": (list(range(ROWS)), "numeric", "numbers"),
    "numbers": ([0.5, None] * 20, "numeric", "numbers"),
    "truths": ([True, False] * 20, "categorical", "truth values"),
    "dates": (DAYS, "date", "dates"),
    "times": (pa.array(range(ROWS), pa.timestamp("ns", "UTC")), "date", "dates"),
    "far times": (pa.array([2**62] * ROWS, pa.timestamp("s", "Nowhere/Land")), "date", "dates"),
    "clocks": ([datetime.time(row % 24) for row in range(ROWS)], "numeric", "numbers"),
    "dates as text": ([str(day) for day in DAYS[:30]] + [None, " "] * 5, "date", "dates written as text (ISO 8601)"),
    "times as text": ([f"{day}T12:00:00Z" for day in DAYS], "date", "dates written as text"),
    "dates but one": ([str(day) for day in DAYS[:-1]] + ["soon"], None, "looks like an id"),
    "other dates": (["31.12.2024", "30.12.2024"] * 20, "categorical", "2 distinct"),
    "vectors": ([[1.0, 2.0], None, [3.0, 4.0], []] * 10, "vector", "lists of 2 numbers in every row"),
    "whole vectors": ([[1, 2, 3]] * ROWS, "vector", "lists of 3 numbers"),
    "fixed vectors": (pa.array([[1, 2], None] * 20, pa.list_(pa.int8(), 2)), "vector", "lists of 2 numbers"),
    "ragged": ([[1.0], [2.0, 3.0], None] * 10 + [[1.0]] * 10, "series", "lists of numbers of 2 different lengths"),
    "lists of lists": ([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]] * 20, "series", "lists of lists of numbers"),
    "lists of words": ([["a"], ["b"]] * 20, None, "ignored: lists of string, not of numbers"),
    "lists of lists of words": ([[["a"]], [["b"]]] * 20, None, "ignored: lists of list"),
    "empty lists": ([[], None] * 20, None, "ignored: every list is empty"),
    "nothing": ([None] * ROWS, None, "ignored: every cell is empty"),
    "blanks": (["", "  ", None, ""] * 10, None, "ignored: every cell is empty"),
    "maps": (pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int8())), None, "no use for cells of type map"),
}


@pytest.mark.parametrize("case", KINDS)
def test_the_kind_of_an_input(case: str) -> None:
    cells, kind, reason = KINDS[case]
    found = infer_schema(read_table({"c": cells})).columns[0]
    assert found.kind == kind
    assert found.role == ("ignored" if kind is None else "input")
    assert reason in found.reason


def test_files_without_suffix_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "one").write_bytes(IMAGE)
    table = Table(pa.table({"c": ["media/one"] * 30, "other": ["and/or"] * 30, "out": ["../one"] * 30}), "T", tmp_path)
    kinds = {column.name: column.kind for column in infer_schema(table).columns}
    assert kinds == {"c": "image", "other": "categorical", "out": "categorical"}


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([IMAGE, SOUND], "audio"), ([IMAGE, b"?"], "image"), ([IMAGE, b"?", b"!"], None), (["a.wav", "b.png"], "audio"),
        (["x", "b.png"], "image"), (["x", "y", "b.png"], "categorical"),
        ([{"path": "x"}, {"path": "b.png"}], "image"), ([{"path": "x"}, {"path": "y"}, {"path": "b.png"}], None),
    ],
)  # fmt: skip
def test_half_of_the_cells_decide_and_draws_go_by_name(cells: list[Any], kind: str | None) -> None:
    for made in (cells, cells[::-1], cells * 100):
        assert infer_schema(read_table({"c": made})).columns[0].kind == kind


def test_the_sample_reaches_the_end_of_the_column() -> None:
    cells = ["x"] * 499 + [f"{row}.png" for row in range(501)]
    assert infer_schema(read_table({"c": cells})).columns[0].kind == "image"


def test_dates_as_text_go_by_every_cell_not_by_the_sample() -> None:
    cells = [str(DAYS[row % ROWS]) for row in range(2000)]
    assert infer_schema(read_table({"c": cells})).columns[0].kind == "date"
    for row in (1, 2, 3):
        assert infer_schema(read_table({"c": [*cells[:row], "soon", *cells[row:]]})).columns[0].kind == "categorical"


MANY = list(range(MANY_CLASSES + 1))
TARGETS: dict[str, tuple[Any, str | None, str]] = {
    "two words": (["yes", "no"], "binary", "2 classes"),
    "one word": (["yes", "yes"], "binary", "1 class"),
    "two words with blanks": (["yes", "no", " yes", "", None, "  "], "binary", "2 classes"),
    "three words": (["a", "b", "c"], "multiclass", "3 classes"),
    "truths": ([True, False], "binary", "2 classes"),
    "digits": (list(range(10)), "multiclass", "10 classes"),
    "many digits": (MANY[:-1], "multiclass", f"{MANY_CLASSES} classes"),
    "counts": (MANY, "regression", f"numbers with {MANY_CLASSES + 1} distinct values"),
    "whole floats": ([0.0, 1.0, None, 2.0], "multiclass", "3 classes"),
    "whole floats with NaN": (np.array([0.0, np.nan, 1.0]), "binary", "2 classes"),
    "floats": ([0.5, 1.0], "regression", "numbers with 2 distinct values"),
    "infinite": ([1.0, float("inf")], "regression", "numbers with 2 distinct values"),
    "many words": ([f"w{row}" for row in range(200)], "multiclass", "200 classes"),
    "dates": (DAYS, None, "cells of type date32[day]"),
    "vectors": ([[1.0], [2.0]], None, "cells of type list<"),
    "bytes": ([b"x", b"y"], None, "cells of type large_binary"),
    "nothing": ([None, None], None, "cells of type null"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_the_kind_of_a_target(case: str) -> None:
    cells, kind, reason = TARGETS[case]
    found = infer_schema(read_table({"c": cells}), Wishes(targets=["c"])).columns[0]
    assert (found.role, found.kind) == ("target", kind)
    assert reason in found.reason


def table(**more: Any) -> Table:
    columns = {
        "size": [1.0, 2.0], "ward": ["a", "b"], "label": ["x", "y"], "price": [0.5, 1.5], "who": [1, 2],
        "view": [[1.0], [2.0]], "photo": [IMAGE, IMAGE], "words": [["a"], ["b"]],
    }  # fmt: skip
    return read_table(columns | more)


def roles(schema: Schema) -> dict[str, str]:
    return {column.name: column.role for column in schema.columns}


def test_wishes_give_roles() -> None:
    wishes = Wishes(targets=["label", "price"], group="who", ignored=["size"], kinds={"price": "regression"})
    schema = infer_schema(table(), wishes)
    assert roles(schema) == {
        "size": "ignored", "ward": "input", "label": "target", "price": "target", "who": "group", "view": "input",
        "photo": "input", "words": "ignored",
    }  # fmt: skip
    assert schema.columns[0].reason == "said so by the caller"


def test_named_inputs_leave_all_others_out() -> None:
    schema = infer_schema(table(), Wishes(targets=["label"], inputs=["view"]))
    assert [column.name for column in schema.named("input")] == ["view"]
    assert schema.columns[0] == Column(name="size", role="ignored", reason="not among the named inputs")


def test_a_named_input_is_one_even_if_it_looks_like_an_id_or_is_empty() -> None:
    made = read_table({"id": [f"r{row}" for row in range(ROWS)], "none": [None] * ROWS, "label": [1, 2] * 20})
    schema = infer_schema(made, Wishes(targets=["label"], inputs=["id", "none"]))
    assert [(column.role, column.kind) for column in schema.columns[:2]] == [("input", "categorical")] * 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [("who", "categorical"), ("ward", "text"), ("view", "series"), ("size", "categorical"), ("photo", "audio")],
)
def test_kinds_can_be_overridden(name: str, kind: str) -> None:
    schema = infer_schema(table(), Wishes(kinds={name: kind}))
    assert schema.kind_of(name) == kind
    assert "said so by the caller" in next(column.reason for column in schema.columns if column.name == name)


def test_an_id_becomes_an_input_by_its_kind() -> None:
    made = read_table({"id": [f"r{row}" for row in range(ROWS)]})
    assert infer_schema(made, Wishes(kinds={"id": "categorical"})).columns[0].role == "input"


def mistakes(wishes: Wishes, made: Table | None = None) -> tuple[str, ...]:
    with pytest.raises(InputError) as told:
        infer_schema(made or table(), wishes)
    return told.value.problems


WRONG: dict[str, tuple[Wishes, str]] = {
    "target": (Wishes(targets=["labl"]), "TABLE has no column 'labl' (target): did you mean label? (known: "),
    "group": (Wishes(group="whom"), "TABLE has no column 'whom' (group): did you mean who?"),
    "split": (Wishes(split="part"), "TABLE has no column 'part' (split): "),
    "ignored": (Wishes(ignored=["sise"]), "TABLE has no column 'sise' (ignored): did you mean size?"),
    "input": (Wishes(inputs=["sise"]), "TABLE has no column 'sise' (input): did you mean size?"),
    "kind of nothing": (Wishes(kinds={"sise": "numeric"}), "TABLE has no column 'sise' (--kind): did you mean size?"),
    "target twice": (
        Wishes(targets=["label", "label"]),
        "Column 'label' is given twice as target: a column has one role",
    ),
    "ignored twice": (Wishes(ignored=["size", "size"]), "Column 'size' is given twice as ignored"),
    "target and group": (Wishes(targets=["who"], group="who"), "Column 'who' is given as target and as group"),
    "input and ignored": (Wishes(inputs=["size"], ignored=["size"]), "Column 'size' is given as ignored and as input"),
    "group and split": (Wishes(group="who", split="who"), "Column 'who' is given as group and as split"),
    "kind": (
        Wishes(kinds={"size": "numbr"}),
        "Column 'size': there is no kind 'numbr' of an input; did you mean numeric?",
    ),
    "target's kind": (
        Wishes(targets=["label"], kinds={"label": "numeric"}),
        "Column 'label': there is no kind 'numeric' of a target; known: binary, multiclass, multilabel, ordinal, regr",
    ),
    "vector of text": (
        Wishes(kinds={"ward": "vector"}),
        "Column 'ward' cannot be of kind vector: its cells are string; expected lists of numbers.",
    ),
    "image of numbers": (
        Wishes(kinds={"size": "image"}),
        "Column 'size' cannot be of kind image: its cells are double; expected paths, bytes, or structs of both",
    ),
    "numbers of lists": (Wishes(kinds={"view": "numeric"}), "cannot be of kind numeric: its cells are list<"),
    "categories of bytes": (Wishes(kinds={"photo": "categorical"}), "expected text, numbers, truth values or dates."),
    "regression of lists": (Wishes(targets=["view"], kinds={"view": "regression"}), "expected numbers."),
    "group of lists": (Wishes(group="view"), "Column 'view' (group) holds cells of type list<"),
    "split of bytes": (
        Wishes(split="photo"),
        "Column 'photo' (split) holds cells of type large_binary; expected text,",
    ),
    "input of words": (Wishes(inputs=["words"]), "Column 'words' (input) holds cells of type list<"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wish_that_cannot_be_met(case: str) -> None:
    wishes, expected = WRONG[case]
    problems = mistakes(wishes)
    assert len(problems) == 1
    assert expected in problems[0]


def test_all_mistakes_are_told_together() -> None:
    wishes = Wishes(
        targets=["labl", "price", "price"], group="whom", split="photo", ignored=["sise"], inputs=["words"],
        kinds={"ward": "vector", "view": "vektor"},
    )  # fmt: skip
    assert len(mistakes(wishes)) == 8


def test_a_column_called_tabular() -> None:
    made = read_table({"tabular": [[1.0], [2.0]], "size": [1, 2]})
    assert (
        "A column is called 'tabular', which is the name of all table columns together" in mistakes(Wishes(), made)[0]
    )
    assert infer_schema(read_table({"tabular": [1, 2], "size": [1, 2]})).modalities[0].columns == ("tabular", "size")


def carried(**said: Any) -> Table:
    data = table().data.replace_schema_metadata({b"plait": json.dumps(said).encode()})
    sink = io.BytesIO()
    parquet.write_table(data, sink)
    return read_table(parquet.read_table(io.BytesIO(sink.getvalue())))


def test_roles_and_kinds_that_the_table_carries() -> None:
    made = carried(roles={"label": "target", "who": "group", "size": "ignored"}, kinds={"price": "categorical"})
    schema = infer_schema(made)
    assert roles(schema)["label"] == "target"
    assert schema.group == "who"
    assert schema.kind_of("price") == "categorical"
    assert schema.columns[0] == Column(name="size", role="ignored", reason="the table's metadata")


def test_the_caller_goes_before_the_table_and_a_replaced_target_is_no_input() -> None:
    made = carried(roles={"label": "target", "who": "group", "size": "split"}, kinds={"ward": "text"})
    schema = infer_schema(made, Wishes(targets=["price"], group="ward", kinds={"view": "series"}))
    assert roles(schema) == {
        "size": "split", "ward": "group", "label": "ignored", "price": "target", "who": "ignored", "view": "input",
        "photo": "input", "words": "ignored",
    }  # fmt: skip
    assert "a target column by the table's metadata, but another one was named" in schema.columns[2].reason
    assert schema.kind_of("view") == "series"
    assert roles(infer_schema(made, Wishes(targets=["price"], inputs=["label"])))["label"] == "input"
    assert roles(infer_schema(made, Wishes(targets=["label", "who"])))["who"] == "target"


def test_broken_roles_and_kinds_say_nothing() -> None:
    made = carried(
        roles={"label": "guess", "nowhere": "target", "who": "group", "ward": "group"},
        kinds={"size": "vector", "view": "numbr", "label": "image"},
    )
    schema = infer_schema(made)
    assert roles(schema)["label"] == "input"
    assert [column.name for column in schema.named("group")] == ["who"]
    assert roles(schema)["ward"] == "ignored"
    assert schema.kind_of("size") == "numeric"
    assert schema.kind_of("view") == "vector"


def test_many_rows_are_told_from_a_sample() -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"n{index}": rng.normal(size=200_000) for index in range(5)}
    columns["word"] = pd.Categorical.from_codes(rng.integers(0, 3, 200_000), ["a", "b", "c"])
    columns["id"] = np.char.add("r", np.arange(200_000).astype(str))
    made = read_table(pd.DataFrame(columns))
    start = time.process_time()
    schema = infer_schema(made, Wishes(targets=["n0"]))
    assert time.process_time() - start < 2.0
    assert roles(schema)["id"] == "ignored"
    assert schema.kind_of("n0") == "regression"


SPOILED = {
    "a mark for nothing": ([*"1234567891", "?"] * 3, "91% of them are numbers: is '?' to be an empty cell?"),
    "money": ([f"${n},000" for n in range(9)] * 4, "look like numbers: write '$0,000' with digits and a point alone"),
    "comma": ([f"{n},5" for n in range(9)] * 4, "look like numbers: write '0,5' with digits and a point alone"),
    "words": ([*"abcdefgh", "1"] * 4, ""),
    "codes": ([f"0{n}" for n in range(9)] * 4, ""),
}


@pytest.mark.parametrize("case", SPOILED)
def test_text_that_was_to_be_numbers_is_told(case: str) -> None:
    cells, expected = SPOILED[case]
    column = infer_schema(read_table({"a": cells})).columns[0]
    assert column.kind == "categorical"
    assert column.doubt.endswith(expected)
    assert bool(column.doubt) == bool(expected)
    assert column.told == (f"{column.reason}, though {column.doubt}" if expected else column.reason)


def test_whole_numbers_that_count_the_rows_are_told() -> None:
    found = infer_schema(
        read_table({"a": list(range(7, 37)), "b": [*range(29), 40], "c": [float(n) for n in range(30)]})
    )
    assert ["count the rows" in column.doubt for column in found.columns] == [True, False, False]
