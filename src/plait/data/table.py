"""Tables: CSV, JSON Lines, Parquet and frames in memory, all brought to one typed form (Arrow)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait.data.cells import columns_of
from plait.data.files import read_file, refuse_duplicates
from plait.data.kinds import is_date_type
from plait.data.plain import is_number, plain_column
from plait.exceptions import InputError, Problems, did_you_mean, one_line

METADATA_KEY = b"plait"
"""Key of the Parquet metadata that may carry column roles and kinds, as JSON: {"roles": {...}, "kinds": {...}}."""


@dataclass(frozen=True)
class Table:
    """Rows with named columns.

    Attributes:
        data: The cells.
        name: What messages call the table.
        folder: Where relative paths of media cells start; None for a table in memory (then the working folder).
        roles: Column roles that the table itself carries (Parquet metadata).
        kinds: Column kinds that the table itself carries.
        orders: Categories in order, of columns that say theirs (ordered categoricals of text, in memory).
    """

    data: pa.Table
    name: str = "TABLE"
    folder: Path | None = None
    roles: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    orders: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.data.num_rows)

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return list(self.data.column_names)

    def column(self, name: str) -> pa.ChunkedArray:
        """All cells of one column."""
        return self.data.column(name)

    def with_column(self, name: str, cells: pa.ChunkedArray | pa.Array) -> Table:
        """The same table with one column replaced."""
        return replace(self, data=self.data.set_column(self.columns.index(name), name, cells))

    def emptied(self, names: Iterable[str]) -> Table:
        """The same table without a single cell in some columns."""
        found = self
        for name in names:
            found = found.with_column(name, pa.nulls(len(self), self.column(name).type))
        return found

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Table:
        """The given rows, in the given order."""
        return replace(self, data=self.data.take(pa.array(np.asarray(rows, dtype=np.int64))))


def read_table(source: Any, name: str | None = None) -> Table:
    """Read a table.

    Args:
        source: A path (CSV, TSV, JSON Lines, Parquet), a pandas or polars frame, an Arrow table, a Hugging Face
            data set, or a dict of columns.
        name: What messages call the table; by default the path.

    Raises:
        InputError: Missing, empty, truncated or unreadable; not what its suffix says; duplicate or empty column names.
    """
    if isinstance(source, Table):
        return source
    table = _from_path(source, name) if isinstance(source, str | Path) else _from_memory(source, name or "TABLE")
    _check_names(table)
    if len(table) == 0:
        raise InputError(f"{table.name} has no rows; a table with a header and at least one row is needed.")
    return replace(table, data=_plain(table), orders=_orders(table))


def concat(tables: Iterable[Table]) -> Table:
    """The rows of several tables under one another; columns that one lacks are empty there.

    A column that is empty in one table has the type that it has in the others. One that is text in one, and numbers,
    truth values or dates in another, becomes text; so do days and times.

    Raises:
        InputError: A column has types that do not go together.
    """
    parts = list(tables)
    for name in dict.fromkeys(name for part in parts for name in part.columns):
        holders = [part for part in parts if name in part.columns]
        if len({part.column(name).type for part in holders}) > 1:
            told = _one_type([part.column(name) for part in holders])
            new = {id(part): cells for part, cells in zip(holders, told, strict=True)}
            parts = [part.with_column(name, new[id(part)]) if id(part) in new else part for part in parts]
    try:
        joined = pa.concat_tables([part.data for part in parts], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(_type_clash(parts, error)) from error
    return replace(parts[0], data=joined)


def _one_type(columns: list[pa.ChunkedArray]) -> list[pa.ChunkedArray]:
    """Columns of several types as far as they go together; the others as they are."""
    filled = [column for column in columns if column.null_count < len(column)]
    types = {column.type for column in filled}
    if len(types) == 1:
        kind = types.pop()
        return [
            column if column.type == kind else pa.chunked_array([pa.nulls(len(column), kind)]) for column in columns
        ]
    days = any(map(pa.types.is_date, types)) and all(pa.types.is_date(kind) or _is_plain_time(kind) for kind in types)
    if days or (any(map(pa.types.is_string, types)) and all(map(_can_be_text, types))):
        return [_as_text(column) for column in columns]
    return columns


def _is_plain_time(kind: pa.DataType) -> bool:
    """Whether cells of a type are points in time without a zone."""
    return bool(pa.types.is_timestamp(kind) and not kind.tz)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells as text; points in time as Python writes them, which does not depend on their unit."""
    if not pa.types.is_timestamp(column.type):
        return column.cast(pa.string())
    return pa.chunked_array([[None if cell is None else str(cell) for cell in column.to_pylist()]], pa.string())


def _can_be_text(kind: pa.DataType) -> bool:
    """Whether cells of a type can be written as text and read again."""
    return pa.types.is_string(kind) or is_number(kind) or pa.types.is_boolean(kind) or is_date_type(kind)


def _type_clash(parts: list[Table], error: Exception) -> str:
    for name in parts[0].columns:
        types = {str(part.column(name).type): part.name for part in parts if name in part.columns}
        if len(types) > 1:
            told = "; ".join(f"{kind} in {where}" for kind, where in types.items())
            return f"Column {name!r} does not hold the same type in all tables: {told}. Give it one type."
    return f"The tables do not fit under one another: {error}"


def _from_memory(source: Any, name: str) -> Table:
    try:
        if hasattr(source, "with_format") and hasattr(source, "features"):  # a Hugging Face data set
            source = source.with_format("arrow")[:]
        if isinstance(source, pa.Table):
            return Table(source, name, None, *_carried(source))
        if hasattr(source, "columns") and hasattr(source, "iloc"):
            _check_frame_names(list(source.columns), name)
            return Table(columns_of({column: source[column] for column in source.columns}, name), name)
        if hasattr(source, "to_arrow"):
            return Table(source.to_arrow(), name)
        if isinstance(source, dict):
            _check_frame_names(list(source), name)
            return Table(columns_of(source, name), name)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{name} cannot be read as a table: {one_line(error)}. Each column must hold one type."
        ) from error
    raise InputError(f"{name} is a {type(source).__name__}; give a path, a frame, an Arrow table or a dict of columns.")


def _check_frame_names(names: list[Any], table: str) -> None:
    odd = [repr(name) for name in names if not isinstance(name, str)]
    if odd:
        raise InputError(f"{table} has column names that are not text: {', '.join(odd[:5])}. Rename them to strings.")
    refuse_duplicates(names, table)


def _from_path(source: str | Path, name: str | None) -> Table:
    told = name or str(source)
    if "://" in str(source):
        raise InputError(f"{told} is an address; plait reads local files: download it and give its path.")
    path = Path(source)
    data = read_file(path, told)
    return Table(data, told, path.resolve().parent, *_carried(data))


def _carried(data: pa.Table) -> tuple[dict[str, str], dict[str, str]]:
    """Roles and kinds from the metadata; broken or foreign metadata says nothing."""
    raw = (data.schema.metadata or {}).get(METADATA_KEY)
    try:
        found = json.loads(raw) if raw else {}
        roles, kinds = found.get("roles", {}), found.get("kinds", {})
        return {str(k): str(v) for k, v in roles.items()}, {str(k): str(v) for k, v in kinds.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}, {}


def _check_names(table: Table) -> None:
    refuse_duplicates(table.columns, table.name)
    if any(not name.strip() for name in table.columns):
        raise InputError(
            f"{table.name} has a column without a name; every column needs one in the header. (pandas writes its row "
            "labels as such a column: write the table with index=False.)"
        )


def _plain(table: Table) -> pa.Table:
    problems = Problems()
    data = table.data
    for index, name in enumerate(table.columns):
        try:
            plain = plain_column(data.column(name))
        except pa.ArrowException as error:
            kind = data.schema.field(index).type
            problems.add(
                f"Column {name!r} of {table.name} holds {kind}, which cannot be read ({one_line(error, 160)})."
            )
            continue
        if plain is not table.data.column(name):
            data = data.set_column(index, name, plain)
    problems.raise_if_any()
    return data.replace_schema_metadata(None)


def _orders(table: Table) -> dict[str, tuple[str, ...]]:
    """Categories of the ordered categoricals of text, from the least on, of a table in memory.

    Of a file they may come in the order in which they first stand there, whatever its schema says.
    """
    found: dict[str, tuple[str, ...]] = {}
    for field_ in table.data.schema if table.folder is None else ():
        if not (pa.types.is_dictionary(field_.type) and field_.type.ordered):
            continue
        chunks = {tuple(chunk.dictionary.to_pylist()) for chunk in table.data.column(field_.name).chunks}
        categories = chunks.pop() if len(chunks) == 1 else ()
        texts = tuple(one.strip() for one in categories if isinstance(one, str) and one.strip())
        if texts and len(set(texts)) == len(categories):
            found[field_.name] = texts
    return found


def require_columns(table: Table, wanted: Iterable[str], what: str) -> None:
    """Check that a table has the columns that a call needs.

    Raises:
        InputError: Names every missing column, and near ones that the table has.
    """
    problems = Problems()
    for name in wanted:
        if name not in table.columns:
            problems.add(f"{table.name} has no column {name!r} ({what}): {did_you_mean(name, table.columns)}.")
    problems.raise_if_any()


def sample_rows(column: pa.ChunkedArray, most: int) -> list[int]:
    """Positions of up to `most` filled cells, spread evenly over the whole column."""
    filled = np.flatnonzero(column.is_valid().to_numpy())
    chosen = np.linspace(0, len(filled) - 1, min(most, len(filled))).astype(np.int64)
    return [int(row) for row in filled[chosen]]
