"""Brings columns of Python values (JSON Lines, dicts, frames) to Arrow, or says which cells do not go together."""

from __future__ import annotations

import datetime
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from plait.exceptions import InputError, Problems, one_line

WORDS: Final[dict[type, str]] = {
    bool: "truth values", int: "numbers", float: "numbers", str: "text", bytes: "bytes", dict: "objects",
    list: "lists", tuple: "lists",
}  # fmt: skip
"""What messages call the types of cells."""


def columns_of(columns: Mapping[str, Iterable[Any]], told: str) -> pa.Table:
    """A table of columns of Python values.

    Args:
        columns: Cells by column name.
        told: What messages call the table.

    Raises:
        InputError: Columns that mix types, hold what no table can, or are not of one length; all of them together.
    """
    problems = Problems()
    found = {}
    for name, cells in columns.items():
        try:
            name.encode()
            found[name] = column_of(cells, f"Column {name!r} of {told}")
        except UnicodeEncodeError as error:
            problems.add(f"{told} has a column whose name, {name!r}, is no text ({one_line(error, 160)}): rename it.")
        except InputError as error:
            problems.collect(error)
    lengths = {name: len(cells) for name, cells in found.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{length:,} in {name!r}" for name, length in list(lengths.items())[:8])
        problems.add(f"The columns of {told} are not of one length: {listed}. Give every row a cell, if only None.")
    problems.raise_if_any()
    return pa.table(found)


def column_of(cells: Any, told: str) -> pa.Array | pa.ChunkedArray:
    """One column of Python values, a NumPy array, a pandas series or an Arrow array.

    Text that is blank is an empty cell where all other cells are numbers or truth values. Images of Pillow become PNG
    bytes, NumPy arrays nested lists.

    Raises:
        InputError: The cells cannot stand in one column; names the first row of each type.
    """
    if isinstance(cells, pa.Array | pa.ChunkedArray):
        return cells
    if isinstance(cells, str | bytes) or not isinstance(cells, Iterable):
        raise InputError(f"{told} is {cells!r:.40}; give a list of cells.")
    try:
        cells = _without_frames(cells)
        if isinstance(cells, list):
            _refuse_mixed_zones(cells, told)
            cells = [_plain_cell(cell) for cell in cells]
        return pa.array(cells, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError) as error:
        return _mended(list(cells), told, error)
    except (pa.ArrowException, OverflowError, RecursionError) as error:
        raise InputError(f"{told} holds a cell that no table can ({one_line(error, 160)}).") from error


def _without_frames(cells: Any) -> Any:
    """Types that pandas alone has, as what they mean: intervals as text, periods as their first day, categories."""
    kind = str(getattr(cells, "dtype", ""))
    if kind.startswith("period"):
        return cells.dt.to_timestamp()
    if kind.startswith("interval"):
        return cells.astype("string")
    if kind == "category":
        if cells.cat.ordered and all(isinstance(one, str) for one in cells.cat.categories):
            return cells  # Arrow keeps the order
        return _without_frames(cells.astype(cells.cat.categories.dtype))
    if isinstance(cells, np.ndarray) and cells.ndim > 1:
        return cells.tolist()
    return list(cells) if kind in ("", "object") and not isinstance(cells, list) else cells


def _refuse_mixed_zones(cells: Sequence[Any], told: str) -> None:
    """Raise an `InputError` where some points in time have a time zone and some have none: Arrow would shift them."""
    times = [(row, cell) for row, cell in enumerate(cells) if isinstance(cell, datetime.datetime) and cell == cell]
    if len({cell.tzinfo is None for _, cell in times}) > 1:
        first = {cell.tzinfo is None: row for row, cell in reversed(times)}
        raise InputError(
            f"{told} mixes times with a time zone (row {first[False] + 1}) and without (row {first[True] + 1}): give "
            "all of them one, or none."
        )


def _plain_cell(cell: Any) -> Any:
    if isinstance(cell, np.ndarray):
        return cell.tolist()
    if type(cell).__module__.startswith("PIL.") and hasattr(cell, "save"):
        png = io.BytesIO()
        cell.save(png, "PNG")
        return png.getvalue()
    return cell


def _mended(cells: Sequence[Any], told: str, error: Exception) -> pa.Array:
    """The cells with blank text as empty cells, if that is all that was wrong."""
    filled = [None if isinstance(cell, str) and not cell.strip() else cell for cell in cells]
    kinds = _kinds(filled)
    if len(_kinds(cells)) > 1 and set(kinds) in ({"numbers"}, {"truth values"}):
        return column_of(filled, told)
    if len(kinds) > 1:
        listed = " and ".join(f"{kind} (row {row + 1}: {cells[row]!r:.30})" for kind, row in list(kinds.items())[:3])
        raise InputError(f"{told} mixes types: {listed}. Give it one type.") from error
    raise InputError(f"{told} holds cells that no table can ({one_line(error, 160)}).") from error


def _kinds(cells: Sequence[Any]) -> dict[str, int]:
    """The kinds of filled cells, in words, and the first row of each."""
    found: dict[str, int] = {}
    for row, cell in enumerate(cells):
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            continue
        kind = type(cell.item() if isinstance(cell, np.generic) else cell)
        found.setdefault(WORDS.get(kind, f"cells of type {kind.__name__}"), row)
    return found
