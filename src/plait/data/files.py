"""Reads table files as they are: CSV, JSON Lines and Parquet to Arrow, or one sentence that says why not."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from plait.data.cells import columns_of
from plait.exceptions import InputError, one_line

NULL_WORDS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL")
"""What stands for an empty cell in CSV."""

READ_AS = "plait reads .csv, .tsv, .jsonl (or .ndjson) and .parquet (or .pq)"

_TRUTH = {"true", "false", "True", "False", "TRUE", "FALSE", None}
_INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")
_FIELD_LIMIT = 2**24


def read_file(path: Path, told: str) -> pa.Table:
    """Read a table file by its suffix.

    Args:
        path: The file.
        told: What messages call it.

    Raises:
        InputError: Missing, empty, truncated, unreadable, not what its suffix says, or with duplicate column names.
    """
    try:
        if not path.exists():
            raise InputError(f"There is no table {told}; give the path of an existing file. {READ_AS}.")
        if path.is_dir():
            raise InputError(f"{told} is a folder; give the path of one table. {READ_AS}.")
        if not path.is_file():
            raise InputError(f"{told} is not an ordinary file; give the path of one. {READ_AS}.")
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise InputError(f"{told}: the suffix {path.suffix!r} says nothing to plait. {READ_AS}.")
        if path.stat().st_size == 0:
            raise InputError(f"{told} is empty (0 bytes); a table with a header and at least one row is needed.")
        return reader(path, told)
    except OSError as error:
        raise InputError(f"{told} cannot be read ({error.strerror or one_line(error)}).") from error
    except MemoryError as error:
        raise InputError(
            f"{told} does not fit into memory, or is damaged and claims to be larger than it is."
        ) from error


def refuse_duplicates(names: list[str], told: str) -> None:
    """Raise an `InputError` if a name stands more than once."""
    if len(set(names)) < len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise InputError(f"{told} has more than one column called {', '.join(map(repr, twice[:5]))}: rename them.")


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
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_FIELD_LIMIT),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=list(NULL_WORDS),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(_csv_problem(error, told, len(names))) from error
    if data.column_names != names:
        raise InputError(
            f"{told} has a header that cannot be told apart into columns; quote its names, or simplify them."
        )
    if len(data) and _is_unclosed(path, data.column(len(names) - 1)[len(data) - 1].as_py()):
        raise InputError(
            f"{told} ends within a quoted cell: is it cut off, or does a quotation mark stand alone? Text with "
            "quotation marks must be quoted, and they doubled."
        )
    return pa.table({name: _typed(data.column(name)) for name in names})


def _is_unclosed(path: Path, last: str | None) -> bool:
    """Whether the quote that opens a file's last cell is never closed: Arrow then takes the rest of the file for it."""
    words = NULL_WORDS if last is None else (last.replace('"', '""'),)
    longest = max(len(word.encode()) for word in words)
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - longest - 4))
        tail = file.read()
    opened = any(tail.endswith(b'"' + word.encode()) for word in words)
    return opened and not any(tail.rstrip(b"\r\n").endswith(b'"' + word.encode() + b'"') for word in words)


def _csv_problem(error: Exception, told: str, columns: int) -> str:
    text = one_line(error)
    if "UTF8" in text or isinstance(error, UnicodeDecodeError):
        return f"{told} is not UTF-8 text ({text}); save it again as UTF-8."
    return (
        f"{told} is not readable as CSV: {text}. Every row needs {columns} values, as its header has; text that holds "
        "commas or quotes must be quoted."
    )


def _csv_header(path: Path, told: str, delimiter: str) -> list[str]:
    if problem := _text_problem(path, told):
        raise InputError(problem)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next((row for row in csv.reader(file, delimiter=delimiter) if row), [])
    except UnicodeDecodeError as error:
        raise InputError(f"{told} is not UTF-8 text ({error}); save it again as UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"{told} has no readable header ({error}); its first line must name the columns.") from error
    if not names:
        raise InputError(f"{told} has no rows and no header, only blank lines; its first line must name the columns.")
    if len(names) == 1:
        other = next((sign for sign in (";", "\t", "|", ",") if sign != delimiter and sign in names[0]), None)
        if other:
            sign = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}[other]
            raise InputError(
                f"{told} is separated by {sign}; plait expects {'tabs' if delimiter == chr(9) else 'commas'}: save it "
                "again" + {"\t": ", or name it .tsv.", ",": ", or name it .csv."}.get(other, ".")
            )
    refuse_duplicates(names, told)
    return names


def _typed(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text as whole numbers, numbers or truth values where every cell allows it.

    What a number would not give back stays text: 007, 0x1F, whole numbers of more than 64 bits.
    """
    trimmed = pc.utf8_trim_whitespace(text)
    trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    if trimmed.null_count == len(text):
        return trimmed
    for kind, lossy in ((pa.int64(), r"^[+-]?0[\dxX]"), (pa.float64(), r"^[+-]?(0[0-9]+|\d{16,})$")):
        try:
            numbers = pc.cast(trimmed, kind)
        except pa.ArrowInvalid:
            continue
        return text if pc.any(pc.match_substring_regex(trimmed, lossy)).as_py() else numbers
    words = pc.unique(trimmed)
    if len(words) <= len(_TRUTH) and set(words.to_pylist()) <= _TRUTH:
        return pc.equal(pc.utf8_lower(trimmed), "true")
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
    return columns_of({name: [row.get(name) for row in rows] for name in names}, told)


def _json_row(line: str, number: int, told: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        refuse_duplicates([key for key, _ in pairs], f"{told}, line {number},")
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
            refuse_duplicates(list(file.schema_arrow.names), told)
            data = file.read(use_threads=False)
        data.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{told} is not readable as Parquet: {one_line(error, 200)}. Is it cut off, or another format?"
        ) from error
    # pandas keeps a frame's row labels in such columns; they are no cells of the table.
    return data.select([name for name in data.column_names if not _INDEX_OF_PANDAS.fullmatch(name)])


_READERS: dict[str, Callable[[Path, str], pa.Table]] = {
    ".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_jsonl, ".ndjson": _read_jsonl,
    ".parquet": _read_parquet, ".pq": _read_parquet,
}  # fmt: skip
