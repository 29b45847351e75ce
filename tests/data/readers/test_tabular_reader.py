"""Numbers, categories and dates: what they become, whatever type the table gave them, whoever stands beside them."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from plait.data.dates import DATE_PARTS
from plait.data.readers import TabularReader, load_reader
from plait.data.readers.tabular import MAX_CATEGORIES, Field, category_name
from plait.data.schema import Column
from plait.data.table import Table, read_table
from plait.exceptions import InputError


def fitted(kind: str, cells: Any) -> TabularReader:
    return TabularReader.fit(column(cells), (Column(name="c", role="input", kind=kind),))


def column(cells: Any) -> Table:
    return read_table({"c": cells, "row": list(range(len(cells)))})


def numbers(reader: TabularReader, cells: Any) -> list[float | None]:
    """The first number of every row; None where it is NaN or the row is absent."""
    reading = reader.read(column(cells))
    assert reading.bad == {}
    values = reading.values[:, 0]
    return [None if np.isnan(v) or not there else float(v) for v, there in zip(values, reading.present, strict=True)]


def test_other_columns_do_not_suit_it() -> None:
    def columns(**kinds: str) -> tuple[Column, ...]:
        return tuple(Column(name=name, role="input", kind=kind) for name, kind in kinds.items())

    cells = read_table({name: [1.0, 2.0] for name in "abc"})
    reader = TabularReader.fit(cells, columns(a="numeric", b="numeric"))
    assert reader.misfit(cells, columns(b="numeric", a="numeric")) is None
    assert reader.misfit(cells, columns(a="numeric")) == "it reads 'b', which is no input here"
    told = reader.misfit(cells, columns(a="categorical", b="numeric", c="numeric"))
    assert told == (
        "it does not read 'c', which --ignore leaves out; "
        "'a' is categorical here and was numeric there, which --kind says"
    )


def test_several_columns_side_by_side() -> None:
    table = read_table({"n": [1.5, None, None], "c": ["b", "a", None], "d": [datetime.date(2024, 1, 31), None, None]})
    reader = TabularReader.fit(
        table,
        (
            Column(name="n", role="input", kind="numeric"), Column(name="c", role="input", kind="categorical"),
            Column(name="d", role="input", kind="date"),
        ),
    )  # fmt: skip
    assert reader.fields == (
        Field(name="n", kind="numeric", start=0, width=1),
        Field(name="c", kind="categorical", start=1, width=1, categories=("a", "b")),
        Field(name="d", kind="date", start=2, width=4),
    )
    assert reader.shape == (6,)
    assert len(DATE_PARTS) == 4
    reading = reader.read(table)
    np.testing.assert_array_equal(reading.values[0], [1.5, 2, 19_753, 1, 2, 0])
    np.testing.assert_array_equal(reading.values[1], [np.nan, 1, *[np.nan] * 4])
    assert reading.values[2].tolist() == [0] * 6  # an absent row is zeros
    assert reading.present.tolist() == [True, True, False]
    assert load_reader(reader.model_dump()) == reader == TabularReader.model_validate_json(reader.model_dump_json())


@pytest.mark.parametrize(
    "cells",
    [[3, 4], [3.0, 4.0], ["3", "4"], ["3.0", "4.0"], [" 3 ", "+4"], np.array([3, 4], np.uint8), ["3.00", "4e0"]],
    ids=str,
)
def test_three_is_three_however_it_is_written(cells: Any) -> None:
    assert numbers(fitted("categorical", [4, 3]), cells) == [1, 2]
    assert numbers(fitted("categorical", cells), [3, 4, 5]) == [1, 2, 0]


@pytest.mark.parametrize("cells", [[True, False], ["true", "False"], ["TRUE", "FALSE"]], ids=str)
def test_true_is_true_however_it_is_written(cells: Any) -> None:
    assert numbers(fitted("categorical", [False, True]), cells) == [2, 1]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("007", "007"), ("0.50", "0.5"), (0.5, "0.5"), ("-0", "0"), (-0.0, "0"), ("1e3", "1000"), (1e22, str(10**22)),
        ("1_0", "1_0"), ("12345678901234567890", "12345678901234567890"), (2**63 - 1, str(2**63 - 1)), ("٣", "٣"),
        ("inf", "inf"), (float("inf"), "inf"), ("1e999", "inf"), ("x", "x"), (" x\n", "x"), ("", None), (None, None),
        ("Truer", "Truer"), (True, "true"), (".5", "0.5"), ("5.", "5"),
    ],
)  # fmt: skip
def test_category_names(cell: Any, name: str | None) -> None:
    assert category_name(cell) == name


def test_categories_never_seen_and_empty_cells() -> None:
    reader = fitted("categorical", ["b", None, "a", " ", "b"])
    assert reader.fields[0].categories == ("a", "b")
    assert numbers(reader, ["b", "c", None, "", "a ", "  "]) == [2, 0, None, None, 1, None]
    assert numbers(reader, [None, None]) == [None, None]
    assert numbers(fitted("categorical", [None, None]), ["a", None]) == [0, None]


def test_the_rarest_of_too_many_categories_are_as_never_seen() -> None:
    cells = [f"k{number:04}" for number in range(MAX_CATEGORIES)] * 2 + ["a0", "k0000"]
    reader = fitted("categorical", cells)
    assert len(reader.fields[0].categories) == MAX_CATEGORIES
    assert numbers(reader, ["a0", "k0000", f"k{MAX_CATEGORIES - 1:04}"]) == [0, 1, MAX_CATEGORIES]


def test_counts_of_one_category_written_in_several_ways_are_added() -> None:
    cells = [f"k{number:04}" for number in range(MAX_CATEGORIES)] * 2 + ["3", "3.0", " 3"]
    assert "3" in fitted("categorical", cells).fields[0].categories


def test_dates_as_categories() -> None:
    days = [datetime.date(2024, 1, 2), datetime.date(2024, 1, 1)]
    reader = fitted("categorical", days)
    assert reader.fields[0].categories == ("2024-01-01", "2024-01-02")
    assert numbers(reader, days) == [2, 1]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1, None], [1, None]),
        ([True, False], [1, 0]),
        ([2**60, -1], [2.0**60, -1]),
        (["1.5", " 2 ", "", None, "nan", "NA"], [1.5, 2, None, None, None, None]),
        ([float("nan"), 1e-50], [None, 0]),
        ([None, None], [None, None]),
    ],
)
def test_numbers(cells: list[Any], expected: list[float | None]) -> None:
    assert numbers(fitted("numeric", [1.0]), cells) == expected


@pytest.mark.parametrize(
    ("kind", "cells", "reason"),
    [
        ("numeric", [1.0, float("inf")], "inf is not a finite number of ordinary size"),
        ("numeric", [1.0, -1e300], "-1e+300 is not a finite number of ordinary size"),
        ("numeric", ["1", "inf"], "inf is not a finite number"),
        ("numeric", ["1", "x" * 99], f"'{'x' * 40}' is not a number"),
        ("numeric", ["1", "1_000"], "'1_000' is not a number"),
        ("numeric", [None, datetime.date(2024, 1, 1)], "'2024-01-01' is not a number"),
        ("numeric", [None, [1.0]], "a cell of type list<"),
        ("categorical", [None, [1.0]], "; text, numbers, truth values or dates were expected"),
        (
            "categorical",
            [None, b"x"],
            "a cell of type large_binary; text, numbers, truth",
        ),
        ("date", ["2024-01-01", "tomorrow"], "'tomorrow' is not a date such as 2024-01-31 or 2024-01-31T12:00"),
        ("date", [20240101, 20241301], "'20241301' is not a date"),
        ("date", [None, 1.5], "'1.5' is not a date"),
        ("date", [None, True], "'true' is not a date"),
        ("date", [None, {"a": 1}], "a cell of type struct<a: int64>; dates, or text such as 2024-01-31 were expected"),
    ],
)
def test_bad_cells(kind: str, cells: list[Any], reason: str) -> None:
    reading = fitted(kind, [None]).read(column(cells))
    assert list(reading.bad) == [1]
    assert reason in reading.bad[1]
    assert reading.bad[1].startswith("column 'c': ")
    assert not reading.present[1]
    assert not reading.values[1].any()
    assert reading.present[0] == (cells[0] is not None)


def test_fitting_on_cells_of_another_type_reads_nothing_into_them() -> None:
    assert fitted("categorical", [[1.0], [2.0]]).fields[0].categories == ()


def coded(numbers: list[float]) -> tuple[str, ...]:
    """The categories that numbers are taken for, beside being numbers; none where they are not."""
    fields = fitted("numeric", numbers).fields
    assert [field.kind for field in fields] in (["numeric"], ["numeric", "categorical"])
    return fields[-1].categories if len(fields) == 2 else ()


def test_whole_numbers_that_come_again_are_categories_too() -> None:
    assert coded([5, 7, 7, 8, 8]) == ("7", "8", "5"), "those of a single row, too, behind the others"
    assert coded([7, 7, 8, 8.5, 9, 9]) == (), "not all are whole"
    assert coded([1, 2, 3, 4, 5, 5]) == (), "most rows have a number of their own"
    assert coded([1, 1, 2, 2]) == (), "two values say no more than the number"
    many = [*range(40), *range(40), *range(100, 130)]
    assert coded(many) == tuple(sorted(map(str, range(40)))), "70 are too many: those of one row are left out"


TEXTS = st.sampled_from(
    ["3", "3.0", "03", "0x1F", "x", " x ", "true", "False", "TRUE", "1e3", "1000", "", " ", "NA", "2024-01-01", "-0",
     "0", "0.5", "True", "20240101", ".5", "99999999999999999999", "1e20", "+3", "5.", "-1.50", "yes", "1_0"]
)  # fmt: skip


def csv_table(folder: Path, cells: list[str]) -> Table:
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("c", "row"), *((cell, str(row)) for row, cell in enumerate(cells))])
    return read_table(folder / "t.csv")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["categorical", "numeric", "date"]),
    train=st.lists(TEXTS, min_size=1, max_size=6),
    cells=st.lists(TEXTS, min_size=1, max_size=6),
)
@example(kind="categorical", train=["true", "maybe"], cells=["TRUE", "x"])
@example(kind="categorical", train=["3.0", "x"], cells=["3", "x"])
def test_a_row_of_a_csv_file_is_read_the_same_in_any_company(
    kind: str, train: list[str], cells: list[str], tmp_path: Path
) -> None:
    """The company decides the column's type: a number beside words is text. What is read of it must not change."""
    reader = TabularReader.fit(csv_table(tmp_path, train), (Column(name="c", role="input", kind=kind),))
    together = reader.read(csv_table(tmp_path, cells))
    for row, cell in enumerate(cells):
        alone = reader.read(csv_table(tmp_path, [cell]))
        np.testing.assert_array_equal(alone.values[0], together.values[row])
        assert alone.present[0] == together.present[row]
        assert (0 in alone.bad) == (row in together.bad)
    if kind == "categorical":  # and every training cell has its category
        reading = reader.read(csv_table(tmp_path, train))
        assert (reading.values[reading.present] > 0).all()


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_come_back(cells: list[float | None]) -> None:
    assume(any(cell is not None for cell in cells))
    assert numbers(fitted("numeric", cells), cells) == cells


def test_unknown_readers_and_states() -> None:
    with pytest.raises(InputError, match=r"There is no modality kind called 'tabulr': did you mean tabular\?"):
        load_reader({"kind": "tabulr"})
    with pytest.raises(ValueError, match="fields"):
        load_reader({"kind": "tabular"})


def test_cells_in_several_chunks() -> None:
    chunked = pa.chunked_array([["a", "b"], ["b", None], []], pa.string())
    table = Table(pa.table({"c": chunked}))
    reader = TabularReader.fit(table, (Column(name="c", role="input", kind="categorical"),))
    np.testing.assert_array_equal(reader.read(table).values[:, 0], [1, 2, 2, 0])
    assert reader.read(table).present.tolist() == [True, True, True, False]
