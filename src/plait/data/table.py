"""Tables: CSV, JSON Lines, Parquet and frames in memory, all brought to one typed form (Arrow)."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.exceptions import InputError, Problems, did_you_mean

NULL_WORDS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL")
"""What stands for an empty cell in CSV."""

METADATA_KEY = b"plait"
"""Key of the Parquet metadata that may carry column roles and kinds, as JSON: {"roles": {...}, "kinds": {...}}."""

_READ_AS = "plait reads .csv, .tsv, .jsonl (or .ndjson) and .parquet (or .pq)"


@dataclass(frozen=True)
class Table:
    """Rows with named columns.

    Attributes:
        data: The cells.
        name: What messages call the table.
        folder: Where relative paths of media cells start; None for a table in memory (then the working folder).
        roles: Column roles that the table itself carries (Parquet metadata).
        kinds: Column kinds that the table itself carries.
    """

    data: pa.Table
    name: str = "TABLE"
    folder: Path | None = None
    roles: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

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
    table = _from_path(Path(source), name) if isinstance(source, str | Path) else _from_memory(source, name or "TABLE")
    _check_names(table)
    if len(table) == 0:
        raise InputError(f"{table.name} has no rows; a table with a header and at least one row is needed.")
    return replace(table, data=_plain_types(table.data))


def concat(tables: Iterable[Table]) -> Table:
    """The rows of several tables under one another; columns that one lacks are empty there.

    Raises:
        InputError: A column has types that do not go together.
    """
    parts = list(tables)
    try:
        joined = pa.concat_tables([part.data for part in parts], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(_type_clash([part for part in parts], error)) from error
    return replace(parts[0], data=joined)


def _type_clash(parts: list[Table], error: Exception) -> str:
    for name in parts[0].columns:
        types = {str(part.column(name).type): part.name for part in parts if name in part.columns}
        if len(types) > 1:
            told = "; ".join(f"{kind} in {where}" for kind, where in types.items())
            return f"Column {name!r} does not hold the same type in all tables: {told}. Give it one type."
    return f"The tables do not fit under one another: {error}"


def _from_memory(source: Any, name: str) -> Table:
    if hasattr(source, "with_format") and hasattr(source, "features"):  # a Hugging Face data set
        source = source.with_format("arrow")[:]
    try:
        if isinstance(source, pa.Table):
            return Table(source, name, None, *_carried(source))
        if hasattr(source, "columns") and hasattr(source, "iloc"):
            _check_frame_names(list(source.columns), name)
            return Table(pa.Table.from_pandas(source, preserve_index=False).replace_schema_metadata(None), name)
        if hasattr(source, "to_arrow"):
            return Table(source.to_arrow(), name)
        if isinstance(source, dict):
            return Table(pa.table({key: pa.array(value) for key, value in source.items()}), name)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
        raise InputError(
            f"{name} cannot be read as a table: {' '.join(str(error).split())[:300]}. Each column must hold one type."
        ) from error
    raise InputError(f"{name} is a {type(source).__name__}; give a path, a frame, an Arrow table or a dict of columns.")


def _check_frame_names(names: list[Any], table: str) -> None:
    odd = [repr(name) for name in names if not isinstance(name, str)]
    if odd:
        raise InputError(f"{table} has column names that are not text: {', '.join(odd[:5])}. Rename them to strings.")


def _from_path(path: Path, name: str | None) -> Table:
    told = name or str(path)
    if "://" in str(path):
        raise InputError(f"{told} is an address; plait reads local files: download it and give its path.")
    if not path.exists():
        raise InputError(f"There is no table {told}; give the path of an existing file. {_READ_AS}.")
    if path.is_dir():
        raise InputError(f"{told} is a folder; give the path of one table. {_READ_AS}.")
    readers = {
        ".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_jsonl, ".ndjson": _read_jsonl,
        ".parquet": _read_parquet, ".pq": _read_parquet,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        raise InputError(f"{told}: the suffix {path.suffix!r} says nothing to plait. {_READ_AS}.")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{told} is empty (0 bytes); a table with a header and at least one row is needed.")
        data = readers[path.suffix.lower()](path, told)
    except OSError as error:
        if isinstance(error, PermissionError | IsADirectoryError | FileNotFoundError):
            raise InputError(f"{told} cannot be read ({error.strerror}).") from error
        raise InputError(f"{told} cannot be read: {' '.join(str(error).split())[:300]}.") from error
    return Table(data, told, path.resolve().parent, *_carried(data))


def _carried(data: pa.Table) -> tuple[dict[str, str], dict[str, str]]:
    """Roles and kinds from the metadata; broken or foreign metadata says nothing."""
    raw = (data.schema.metadata or {}).get(METADATA_KEY)
    try:
        found = json.loads(raw) if raw else {}
        roles, kinds = found.get("roles", {}), found.get("kinds", {})
        return {str(k): str(v) for k, v in roles.items()}, {str(k): str(v) for k, v in kinds.items()}
    except (ValueError, AttributeError):
        return {}, {}


def _text_problem(path: Path, told: str) -> str | None:
    """Why a file is not UTF-8 text, in words, judged from its first bytes."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] == b"PAR1":
        return f"{told} is a Parquet file: rename it to .parquet."
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"{told} is UTF-16 text; plait reads UTF-8: save it again as UTF-8."
    if b"\0" in head:
        return f"{told} is binary, not text; plait expects UTF-8 text with one row a line."
    return None


def _read_csv(path: Path, told: str) -> pa.Table:
    from pyarrow import csv as arrow_csv

    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    names = _csv_header(path, told, delimiter)
    try:
        data = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=1 << 24),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=list(NULL_WORDS),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InputError(
            f"{told} is not readable as CSV: {' '.join(str(error).split())[:300]}. Every row needs "
            f"{len(names)} values, as its header has; text that holds commas or quotes must be quoted."
        ) from error
    return pa.table({name: _typed(data.column(name)) for name in names})


def _csv_header(path: Path, told: str, delimiter: str) -> list[str]:
    if problem := _text_problem(path, told):
        raise InputError(problem)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{told} is not UTF-8 text ({error}); save it again as UTF-8.") from error
    if len(names) == 1:
        other = next((sign for sign in (";", "\t", "|", ",") if sign != delimiter and sign in names[0]), None)
        if other:
            sign = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}[other]
            raise InputError(
                f"{told} is separated by {sign}; plait expects {'tabs' if delimiter == chr(9) else 'commas'}: "
                "save it again" + (", or name it .tsv." if other == "\t" else ".")
            )
    _refuse_duplicates(names, told)
    return names


def _typed(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text as whole numbers, numbers or truth values where every cell allows it."""
    if text.null_count == len(text):
        return text
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(pc.utf8_trim_whitespace(text), kind)
        except pa.ArrowInvalid:
            continue
    if set(pc.unique(text).to_pylist()[:4]) <= {"true", "false", "True", "False", "TRUE", "FALSE", None}:
        return pc.equal(pc.utf8_lower(text), "true")
    return text


def _read_jsonl(path: Path, told: str) -> pa.Table:
    if problem := _text_problem(path, told):
        raise InputError(problem)
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    rows.append(_json_row(line, number, told))
    except UnicodeDecodeError as error:
        raise InputError(f"{told} is not UTF-8 text ({error}); save it again as UTF-8.") from error
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, pa.Array] = {}
    problems = Problems()
    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            problems.add(f"Column {name!r} of {told} mixes types ({' '.join(str(error).split())[:160]}). Give it one.")
    problems.raise_if_any()
    return pa.table(columns)


def _json_row(line: str, number: int, told: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_duplicates([key for key, _ in pairs], f"{told}, line {number},")
        return dict(pairs)

    try:
        row = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{told}, line {number} is not JSON ({error}). JSON Lines has one object a line; is the file cut off?"
        ) from error
    if not isinstance(row, dict):
        raise InputError(f"{told}, line {number} holds a {type(row).__name__}; JSON Lines has one object a line.")
    return row


def _read_parquet(path: Path, told: str) -> pa.Table:
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            _refuse_duplicates(list(file.schema_arrow.names), told)
            return file.read(use_threads=False)
    except (pa.ArrowInvalid, pa.ArrowException) as error:
        raise InputError(
            f"{told} is not readable as Parquet: {' '.join(str(error).split())[:200]}. Is it cut off, or another format?"
        ) from error


def _check_names(table: Table) -> None:
    _refuse_duplicates(table.columns, table.name)
    if any(not name.strip() for name in table.columns):
        raise InputError(f"{table.name} has a column without a name; every column needs one in the header.")


def _refuse_duplicates(names: list[str], told: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{told} has more than one column called {', '.join(map(repr, twice[:5]))}: rename them.")


def _plain_types(data: pa.Table) -> pa.Table:
    """The same cells without dictionaries, views, decimals and time zones' storage quirks."""
    for index, column in enumerate(data.schema):
        plain = _plain_type(column.type)
        if plain != column.type:
            data = data.set_column(index, column.name, data.column(index).cast(plain))
    return data.replace_schema_metadata(None)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or kind == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return pa.float64()
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    return kind


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
