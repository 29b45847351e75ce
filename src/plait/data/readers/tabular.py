"""Reads table columns: numbers, categories and dates, together one modality."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from plait.data.dates import DATE_PARTS, date_parts
from plait.data.files import NULL_WORDS
from plait.data.kinds import CELLS, can_hold, is_date_type
from plait.data.plain import is_number
from plait.data.readers._base import READERS, Features, Reader, Reading
from plait.data.schema import Column
from plait.data.table import Table

MAX_CATEGORIES = 1_000
ONE_HOT = 64
"""Categories of a column, at most, that classical models see one by one."""
_TRUTH = {"true": 1.0, "false": 0.0}
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Field(BaseModel):
    """One column of the modality: its values stand at `start` .. `start + width` of the row's array.

    `again` says that the column stands before as numbers and here as categories: whole numbers of few values may be
    both (rooms of a house, its zip code). `skewed` says of positive numbers that their logarithm is less skewed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["numeric", "categorical", "date"]
    start: int
    width: int
    categories: tuple[str, ...] = ()
    again: bool = False
    skewed: bool = False


@READERS.register("tabular")
class TabularReader(Reader):
    """Numbers [values]: a number as it is, a date as four numbers, a category as its code; NaN where a cell is empty.

    Whole numbers of which few values come again and again stand there twice, as numbers and as categories.

    Category codes are 1..n in order of the training rows' categories sorted by name; 0 is a category never seen there
    (or beyond the 1,000 most frequent). Dates give days since 1970, month 1..12, weekday 0..6, hour 0..24.
    """

    kind: Literal["tabular"] = "tabular"
    fields: tuple[Field, ...]

    @classmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Collect the categories of the training rows."""
        fields: list[Field] = []
        start = 0
        for column in columns:
            width = len(DATE_PARTS) if column.kind == "date" else 1
            categories = _categories(cells.column(column.name)) if column.kind == "categorical" else ()
            skewed, coded = _looked_at(cells.column(column.name)) if column.kind == "numeric" else (False, ())
            made = Field(name=column.name, kind=column.kind, start=start, width=width, categories=categories)
            fields.append(made.model_copy(update={"skewed": skewed}))
            start += width
            if coded:
                twin = {"kind": "categorical", "start": start, "categories": coded, "again": True}
                fields.append(made.model_copy(update=twin))
                start += 1
        return cls(fields=tuple(fields))

    def misfit(self, cells: Table, columns: tuple[Column, ...]) -> str | None:
        """Columns that it lacks, that are not here, or of another kind."""
        own, here = {f.name: f.kind for f in self.fields if not f.again}, {c.name: c.kind for c in columns}
        told = []
        if missing := [repr(name) for name in own if name not in here]:
            told.append(f"it reads {', '.join(missing)}, which is no input here")
        if unknown := [repr(name) for name in here if name not in own]:
            told.append(f"it does not read {', '.join(unknown)}, which --ignore leaves out")
        told += [
            f"{name!r} is {here[name]} here and was {kind} there, which --kind says"
            for name, kind in own.items()
            if name in here and here[name] != kind
        ]
        return "; ".join(told) or None

    @property
    def shape(self) -> tuple[int, ...]:
        """(values,)."""
        return (sum(field.width for field in self.fields),)

    @property
    def dtype(self) -> np.dtype[Any]:
        """32-bit floating point."""
        return np.dtype(np.float32)

    def read(self, cells: Table) -> Reading:
        """Read column by column; a row without any filled cell is absent."""
        reading = self.empty(len(cells))
        for field in self.fields:
            values, bad = _read_field(field, cells.column(field.name))
            reading.values[:, field.start : field.start + field.width] = values
            for row, reason in bad.items():
                reading.bad.setdefault(row, f"column {field.name!r}: {reason}")
        reading.present = ~np.isnan(reading.values).all(axis=1)
        reading.present[list(reading.bad)] = False
        reading.values[~reading.present] = 0
        return reading

    def features(self, values: NDArray[Any]) -> Features:
        """Numbers with NaN in empty cells, and a mark for each; a category as 0 or 1 for each of up to 64.

        Beside skewed numbers stand their logarithms.

        Of a column with more categories stands the code, which trees can cut; an empty cell or a category never seen
        has a place of its own among the 0s and 1s.
        """
        parts: list[NDArray[Any]] = []
        for field in self.fields:
            part = values[:, field.start : field.start + field.width]
            if field.kind == "categorical" and len(field.categories) <= ONE_HOT:
                empty = len(field.categories) + 1
                parts.append(np.where(np.isnan(part), empty, part) == np.arange(empty + 1))
            else:
                parts += [part, np.isnan(part[:, :1])]
            if field.skewed:
                parts.append(np.log(np.maximum(part, np.float32(1e-30))))
        return np.concatenate(parts, axis=1, dtype=np.float32)


def _read_field(field: Field, column: pa.ChunkedArray) -> tuple[NDArray[np.float32], dict[int, str]]:
    if not can_hold("categorical", column.type):
        filled = np.flatnonzero(column.is_valid().to_numpy())
        reason = f"a cell of type {column.type}; {CELLS[field.kind]} were expected"
        return np.full((len(column), field.width), np.nan, np.float32), {int(row): reason for row in filled}
    if field.kind == "categorical":
        return _codes(column, field.categories), {}
    return _numbers(column) if field.kind == "numeric" else _dates(column)


def _names(column: pa.ChunkedArray) -> tuple[list[str | None], NDArray[np.int64]]:
    """Names of a column's distinct cells, and where among them each row's name stands (the last is None, for empty)."""
    if is_date_type(column.type):
        column = column.cast(pa.string())
    encoded = pc.dictionary_encode(column.combine_chunks())
    names = [category_name(cell) for cell in encoded.dictionary.to_pylist()]
    return [*names, None], pc.fill_null(encoded.indices, len(names)).to_numpy().astype(np.int64)


def category_name(cell: str | float | bool | None) -> str | None:
    """The name of the category that a cell stands for, None if it is empty; it depends on the cell alone.

    Example:
        >>> [category_name(cell) for cell in (3, 3.0, "3", " 3.0 ", "03", True, "True", 2.5, " ", None)]
        ['3', '3', '3', '3', '03', 'true', 'true', '2.5', None, None]
    """
    if isinstance(cell, str):
        text = cell.strip()
        if _WHOLE.fullmatch(text):
            return text.removeprefix("+") if text != "-0" else "0"
        if _NUMBER.fullmatch(text):
            return category_name(float(text))
        return (text.lower() if text.lower() in ("true", "false") else text) or None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return None if cell is None else str(cell)


def _categories(column: pa.ChunkedArray) -> tuple[str, ...]:
    """The most frequent categories, at most 1,000, sorted by name."""
    if not can_hold("categorical", column.type):
        return ()
    names, places = _names(column)
    counts: Counter[str] = Counter()
    for name, count in zip(names, np.bincount(places, minlength=len(names)).tolist(), strict=True):
        if name is not None:
            counts[name] += count
    often = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(sorted(name for name, _ in often[:MAX_CATEGORIES]))


def _looked_at(column: pa.ChunkedArray) -> tuple[bool, tuple[str, ...]]:
    """Whether the logarithm of training numbers is less skewed, and which whole numbers are categories, too.

    Such are numbers of two rows or more, where there are `ONE_HOT` of them at most and most rows have one; then, if
    there is room, numbers of a single row.
    """
    values, _ = _numbers(column)
    known = values[np.isfinite(values)].astype(np.float64)
    if len(known) < 2 or np.ptp(known) == 0:
        return False, ()
    skewed = bool(known.min() > 0 and abs(_skewness(np.log(known))) < abs(_skewness(known)) - 0.5)
    if (known != np.floor(known)).any():
        return skewed, ()
    found, counts = np.unique(known, return_counts=True)
    often = counts >= 2
    fits = len(found) >= 3 and often.sum() <= ONE_HOT and 2 * counts[often].sum() > len(known)
    # Frequent ones first: layer 0 has places for the first codes alone.
    parts = (found[often], found[~often]) if len(found) <= ONE_HOT else (found[often],)
    return skewed, tuple(name for part in parts for name in sorted(str(int(value)) for value in part)) if fits else ()


def _skewness(values: NDArray[np.float64]) -> float:
    centred = values - values.mean()
    deviation = float(centred.std())
    return float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0


def _codes(column: pa.ChunkedArray, categories: tuple[str, ...]) -> NDArray[np.float32]:
    code = {name: place for place, name in enumerate(categories, 1)}
    names, places = _names(column)
    codes = np.array([np.nan if name is None else code.get(name, 0) for name in names], np.float32)
    return codes[places][:, None]


def _numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], dict[int, str]]:
    bad: dict[int, str] = {}
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if is_number(column.type) or pa.types.is_null(column.type):
        numbers = pc.cast(column, pa.float64(), safe=False)
        values = np.asarray(pc.fill_null(numbers, float("nan")).to_numpy(), dtype=np.float64)
    else:
        values = np.array([_number(cell, row, bad) for row, cell in enumerate(column.to_pylist())], np.float64)
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    for row in np.flatnonzero(np.isinf(narrow)):
        bad[int(row)] = f"{float(values[row])!r} is not a finite number of ordinary size"
    return narrow[:, None], bad


def _number(cell: Any, row: int, bad: dict[int, str]) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip() in NULL_WORDS):
        return float("nan")
    if isinstance(cell, str) and cell.strip().lower() in _TRUTH:  # as a whole column of them would be read
        return _TRUTH[cell.strip().lower()]
    try:
        if "_" not in str(cell):  # Python reads 1_000 as a number; in a table it is none
            return float(cell)
    except (TypeError, ValueError):
        pass
    bad[row] = f"{str(cell)[:40]!r} is not a number"
    return float("nan")


def _dates(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], dict[int, str]]:
    if not can_hold("date", column.type):
        column = column.cast(pa.string())
    parts, wrong = date_parts(column)
    cells = {int(row): str(column[int(row)]) for row in np.flatnonzero(wrong)}
    bad = {row: f"{cell[:40]!r} is not a date such as 2024-01-31 or 2024-01-31T12:00" for row, cell in cells.items()}
    return parts.astype(np.float32), bad
