"""Dates: what a cell must be like to be one, and the numbers that a model reads of it."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

DATE_PARTS = ("days", "month", "weekday", "hour")
DATE_PATTERN = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:.*)?$"
"""How a date written as text begins (ISO 8601); `is_date` says whether it is one."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FURTHEST = 4_000_000  # days from 1970, about 11,000 years: beyond, calendars mean nothing


def is_date(text: str) -> bool:
    """Whether a text is a date, with or without a time of day, by ISO 8601.

    Example:
        >>> is_date("2024-02-29"), is_date("2023-02-29"), is_date("2024-02-29T12:30:00+01:00")
        (True, False, True)
    """
    return bool(re.match(DATE_PATTERN, text)) and _seconds_of(text) is not None


def date_parts(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers of dates.

    Args:
        column: Dates, timestamps, or text and whole numbers that spell dates by ISO 8601. Without a time zone, UTC.

    Returns:
        (parts, bad): array [rows, 4] of days since 1970, month 1..12, weekday 0 (Monday)..6, hour 0..24, NaN where a
        cell is empty or no date; and array [rows], whether a cell is filled and no date.
    """
    filled = column.is_valid().to_numpy()
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        seconds = np.where(filled, _whole_seconds(column), np.nan)
    else:
        encoded = pc.dictionary_encode(column.combine_chunks())
        found = [_seconds_of(cell) for cell in encoded.dictionary.to_pylist()]
        blank = np.array([isinstance(cell, str) and not cell.strip() for cell in encoded.dictionary.to_pylist()], bool)
        values = np.array([*(np.nan if value is None else value for value in found), np.nan])
        codes = pc.fill_null(encoded.indices, len(found)).to_numpy()
        seconds = values[codes]
        filled &= ~np.append(blank, True)[codes]
    far = ~(np.abs(seconds) < _FURTHEST * 86_400.0)
    return _parts(np.where(far, np.nan, seconds)), filled & far


def _whole_seconds(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Seconds since 1970, rounded down; 0 where a cell is empty."""
    if pa.types.is_date32(column.type):
        return np.asarray(pc.fill_null(column.cast(pa.int32()), 0).to_numpy() * 86_400.0)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[getattr(column.type, "unit", "ms")]
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy() // per_second, dtype=np.float64)


def _seconds_of(cell: Any) -> float | None:
    """Whole seconds since 1970 (UTC) of a date written as text, rounded down; None if it is none."""
    try:
        stamp = datetime.datetime.fromisoformat(str(cell).strip())
    except ValueError:
        return None
    since = (stamp if stamp.tzinfo else stamp.replace(tzinfo=datetime.UTC)) - _EPOCH
    return float(since // datetime.timedelta(seconds=1))  # exact; far from 1970 a float has no room for microseconds


def _parts(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    empty = np.isnan(seconds)
    whole = np.where(empty, 0, np.floor(seconds)).astype(np.int64)
    days, rest = np.divmod(whole, 86_400)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    parts = np.stack(
        [(days + rest / 86_400), months % 12 + 1, (days + 3) % 7, rest // 60 / 60], axis=1
    )  # 1970-01-01 was a Thursday
    parts[empty] = np.nan
    return parts
