"""Input columns that may hold the target: what is told, and of what nothing is."""

from __future__ import annotations

import datetime
import time
from typing import Any

import numpy as np
import pytest

from plait.data.infer import Wishes, doubted, infer_schema
from plait.data.schema import Column, Schema
from plait.data.table import read_table

ROWS = 120
RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 3, ROWS)
PRICE = np.round(RNG.normal(100, 20, ROWS), 2)
BASE: dict[str, list[Any]] = {"label": [f"c{code}" for code in LABEL], "price": PRICE.tolist()}


def doubt(target: str, cells: list[Any]) -> str:
    columns = {target: BASE[target], "x": cells}
    column = infer_schema(read_table(columns), Wishes(targets=[target])).columns[1]
    assert column.role == "input"
    return column.doubt


LEAKS = {
    "a copy": ("label", [f"c{code}" for code in LABEL], "they equal the target 'label'"),
    "a copy with blanks": ("label", [f" c{code} " for code in LABEL], "they equal the target 'label'"),
    "a copy with gaps": ("label", [None if i % 4 == 0 else f"c{c}" for i, c in enumerate(LABEL)], "they equal"),
    "renamed": ("label", [int(7 - code) for code in LABEL], "each of their values stands for one value of the target"),
    "finer": (
        "label",
        [f"{'xyz'[code]}{i % 4}" for i, code in enumerate(LABEL)],
        "each of their values goes with one value only of the target 'label'",
    ),
    "numbers": ("price", PRICE.tolist(), "they equal the target 'price'"),
    "in cents": ("price", (100 * PRICE).tolist(), "up to scale and shift they equal the target 'price'"),
    "falling": ("price", (3 - 0.25 * PRICE).tolist(), "up to scale and shift they equal the target"),
}

HONEST = {
    "noise": ("label", RNG.choice(["a", "b"], ROWS).tolist()),
    "mostly": ("label", [f"c{code if i % 40 else 2 - code}" for i, code in enumerate(LABEL)]),
    "numbers that are all distinct": ("label", RNG.normal(size=ROWS).tolist()),
    "near": ("price", (PRICE + 0.01 * RNG.normal(size=ROWS)).tolist()),
    "few rows": ("label", [f"c{c}" if i < 10 else None for i, c in enumerate(LABEL)]),
    "one value": ("label", ["a"] * ROWS),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_column_that_holds_the_target_is_told(case: str) -> None:
    target, cells, expected = LEAKS[case]
    found = doubt(target, cells)
    assert expected in found
    assert found.endswith(": are they known before it is? If not, --ignore x")


@pytest.mark.parametrize("case", HONEST)
def test_an_honest_column_is_not(case: str) -> None:
    assert doubt(*HONEST[case]) == ""


def test_of_a_long_table_all_rows_decide_and_little_time_is_spent() -> None:
    rows = 200_000
    label = np.random.default_rng(1).integers(0, 5, rows)
    almost = label.copy()
    almost[7] = (almost[7] + 1) % 5
    columns = {"y": label, "copy": label, "almost": almost, **{f"n{i}": np.random.rand(rows) for i in range(10)}}
    table = read_table(columns)
    started = time.process_time()
    found = {c.name: c.doubt for c in infer_schema(table, Wishes(targets=["y"])).columns}
    assert time.process_time() - started < 3
    assert "equal the target" in found["copy"]
    assert {name for name, told in found.items() if told} == {"copy"}


def test_times_that_partly_say_their_zone_are_told() -> None:
    day = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    cells = [(day + datetime.timedelta(hours=i)).isoformat() for i in range(30)]
    mixed = [cell.removesuffix("+00:00") if i % 3 == 0 else cell for i, cell in enumerate(cells)]
    for given, expected in ((cells, ""), (mixed, "10 of 30 times do not say their time zone: they are read as UTC")):
        column = infer_schema(read_table({"when": given})).columns[0]
        assert (column.kind, column.doubt) == ("date", expected)
    days = [f"2024-01-{1 + i:02}" for i in range(20)]
    assert infer_schema(read_table({"when": days})).columns[0].doubt == ""


def test_a_schema_of_ones_own_is_doubted_too_and_only_once() -> None:
    label = [["no", "yes"][i % 2] for i in range(40)]
    table = read_table({"copy": label, "x": list(range(40)), "y": label})
    own = Schema(
        columns=(
            Column(name="copy", role="input", kind="categorical", doubt="mine"),
            Column(name="x", role="input", kind="numeric"),
            Column(name="y", role="target", kind="binary"),
        )
    )
    found = doubted(own, table)
    assert [bool(column.doubt) for column in found.columns] == [True, False, False]
    assert found.columns[0].doubt.startswith("mine; and ")
    assert doubted(found, table) == found
