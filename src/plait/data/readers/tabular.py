"""Reads table columns: numbers, categories and dates, together one modality."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from plait.data.readers._base import READERS, Reader, Reading
from plait.data.schema import Column
from plait.data.table import Table

MAX_CATEGORIES = 1_000
DATE_PARTS = ("days", "month", "weekday", "hour")


class Field(BaseModel):
    """One column of the modality: its values stand at `start` .. `start + width` of the row's array."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["numeric", "categorical", "date"]
    start: int
    width: int
    categories: tuple[str, ...] = ()


@READERS.register("tabular")
class TabularReader(Reader):
    """Numbers [values]: a number as it is, a date as four numbers, a category as its code; NaN where a cell is empty.

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
            fields.append(
                Field(name=column.name, kind=column.kind, start=start, width=width, categories=categories)  # type: ignore[arg-type]
            )
            start += width
        return cls(fields=tuple(fields))

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
        for row in reading.bad:
            reading.present[row] = False
            reading.values[row] = 0
        return reading


def _read_field(field: Field, column: pa.ChunkedArray) -> tuple[NDArray[np.float32], dict[int, str]]:
    if field.kind == "categorical":
        return _codes(column, field.categories), {}
    return _numbers(column) if field.kind == "numeric" else _dates(column)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells as text, empty text as null; 3.0 and 3 and "3" are the same."""
    if pa.types.is_floating(column.type):
        filled = column.drop_null()
        if len(filled) == 0 or pc.all(pc.equal(pc.floor(filled), filled)).as_py():
            column = pc.cast(column, pa.int64(), safe=False)
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _categories(column: pa.ChunkedArray) -> tuple[str, ...]:
    counts = sorted(
        ((entry["values"], entry["counts"]) for entry in pc.value_counts(_as_text(column).drop_null()).to_pylist()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    return tuple(sorted(value for value, _ in counts[:MAX_CATEGORIES]))


def _codes(column: pa.ChunkedArray, categories: tuple[str, ...]) -> NDArray[np.float32]:
    text = _as_text(column)
    found = pc.index_in(text, value_set=pa.array(categories, pa.string()))
    codes = pc.fill_null(found, -1).to_numpy().astype(np.float32) + 1
    codes[pc.is_null(text).to_numpy()] = np.nan
    return codes[:, None]


def _numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], dict[int, str]]:
    bad: dict[int, str] = {}
    try:
        numeric = pc.cast(pc.cast(column, pa.int8()) if pa.types.is_boolean(column.type) else column, pa.float64())
        values = numeric.to_numpy(zero_copy_only=False) if numeric.null_count == 0 else _with_nan(numeric)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = np.array([_number(cell, row, bad) for row, cell in enumerate(column.to_pylist())])
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    for row in np.flatnonzero(np.isinf(narrow)):
        bad[int(row)] = f"{values[row]!r} is not a finite number of ordinary size"
    return narrow[:, None], bad


def _with_nan(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy(), dtype=np.float64)


def _number(cell: Any, row: int, bad: dict[int, str]) -> float:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return float("nan")
    try:
        return float(cell)
    except (TypeError, ValueError):
        bad[row] = f"{str(cell)[:40]!r} is not a number"
        return float("nan")


def _dates(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], dict[int, str]]:
    import pandas as pd

    raw = pd.Series(column.to_pylist(), dtype=object)
    stamps = pd.to_datetime(raw, errors="coerce", utc=True, format="ISO8601" if raw.map(type).eq(str).any() else None)
    filled = raw.notna() & raw.map(lambda cell: cell != "")
    bad = {int(row): f"{raw[row]!r} is not a date" for row in np.flatnonzero(filled & stamps.isna())}
    days = (stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    hours = stamps.dt.hour + stamps.dt.minute / 60
    parts = np.stack([days, stamps.dt.month, stamps.dt.weekday, hours], axis=1)
    return parts.astype(np.float32), bad
