"""Finds input columns that may hold the target itself: told as doubt, never dropped, since they may be honest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.data.kinds import can_hold, is_date_type
from plait.data.plain import is_number
from plait.data.readers.tabular import category_name
from plait.data.table import Table

SAMPLE: Final = 2_000
"""Rows that are looked at first; only what holds for them is looked for in all."""

FEWEST_ROWS: Final = 20
"""In fewer rows with both cells, agreement may be chance."""

ROWS_PER_VALUE: Final = 5
"""A column of categories has so many rows for each of its values; one of nearly distinct cells determines anything."""

STRAIGHT: Final = 1e-9


def leak(table: Table, name: str, targets: Sequence[str]) -> str:
    """What speaks for a column holding a target: half a sentence; empty where nothing does.

    Args:
        table: The table.
        name: An input column.
        targets: The target columns.
    """
    column = table.column(name)
    if not can_hold("categorical", column.type):
        return ""
    for target in targets:
        cells = table.column(target)
        if not can_hold("categorical", cells.type):
            continue
        step = max(1, len(table) // SAMPLE)
        if step > 1:
            some = pa.array(np.arange(0, len(table), step))
            if not _agreement(column.take(some), cells.take(some)):
                continue
        if found := _agreement(column, cells):
            return f"{found} {target!r}: are they known before it is? If not, --ignore {name}"
    return ""


def _agreement(column: pa.ChunkedArray, target: pa.ChunkedArray) -> str:
    """How a column agrees with a target in all rows that have both, in words; empty if it does not."""
    both = pc.and_(column.is_valid(), target.is_valid())
    column, target = column.filter(both), target.filter(both)
    if len(column) < FEWEST_ROWS:
        return ""
    one, other = _named(column), _named(target)
    distinct, classes = len(one[1]), len(other[1])
    if classes < 2 or distinct < 2:
        return ""
    if one[1] == other[1] and bool((one[0] == other[0]).all()):
        return "they equal the target"
    numbers = [_numbers(cells) for cells in (column, target)]
    if numbers[0] is not None and numbers[1] is not None and distinct > 2 and _straight(numbers[0], numbers[1]):
        return "up to scale and shift they equal the target"
    pairs = len(np.unique(one[0] * classes + other[0]))
    if pairs == distinct == classes and classes * 2 <= len(column):
        return "each of their values stands for one value of the target"
    if pairs == distinct and distinct * ROWS_PER_VALUE <= len(column):
        return "each of their values goes with one value only of the target"
    return ""


def _named(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Codes [rows] of the cells' names, and the names, sorted."""
    if is_date_type(column.type):
        column = column.cast(pa.string())
    encoded = pc.dictionary_encode(column.combine_chunks())
    texts = [category_name(cell) or "" for cell in encoded.dictionary.to_pylist()]
    names = sorted(set(texts))
    place = {text: number for number, text in enumerate(names)}
    codes = np.array([place[text] for text in texts], np.int64)
    return codes[encoded.indices.to_numpy()], names


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    if not is_number(column.type):
        return None
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _straight(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether one column is the other times a number plus a number, to rounding."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return False
    left, right = one - one.mean(), other - other.mean()
    scale = np.abs(left).max() or 1.0
    slope = float((left / scale) @ right) / float((left / scale) @ (left / scale))
    return bool(np.abs(right - slope * left / scale).max() <= STRAIGHT * np.abs(right).max())
