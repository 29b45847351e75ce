"""Makes the paths in media columns absolute, and refuses those that lead where they must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.data.kinds import media_fields
from plait.data.media import resolve_path
from plait.data.schema import MEDIA_KINDS, Schema
from plait.data.table import Table
from plait.exceptions import BadCell


def resolve_media(table: Table, schema: Schema, allow_outside: bool) -> tuple[Table, dict[int, str]]:
    """Media paths made absolute, relative to the table's folder.

    Args:
        table: The table; columns of the schema that it lacks are passed over.
        schema: Roles and kinds.
        allow_outside: Whether a path may lead out of the table's folder.

    Returns:
        The table, and reasons by row for paths that are refused (their cells are emptied).
    """
    bad: dict[int, str] = {}
    for column in schema.named("input"):
        name = column.name
        if column.kind not in MEDIA_KINDS or name not in table.columns:
            continue
        cells = table.column(name)
        if pa.types.is_large_binary(cells.type) or pa.types.is_null(cells.type):
            continue
        resolve = _resolved_structs if pa.types.is_struct(cells.type) else _resolved_paths
        found, refused = resolve(cells, table.folder, allow_outside)
        table = table.with_column(name, found)
        for row, reason in refused.items():
            bad[row] = f"{bad[row]}; {name}: {reason}" if row in bad else f"{name}: {reason}"
    return table, bad


Resolved = tuple[pa.ChunkedArray, dict[int, str]]
"""A column with its paths made absolute, and reasons by row for those refused."""


def _resolved_paths(cells: pa.ChunkedArray, folder: Path | None, allow_outside: bool) -> Resolved:
    bad: dict[int, str] = {}
    found: list[str | None] = []
    for row, cell in enumerate(cells.to_pylist()):
        text = "" if cell is None else str(cell).strip()
        try:
            found.append(resolve_path(text, folder, allow_outside) if text else None)
        except BadCell as error:
            bad[row] = str(error)
            found.append(None)
    return pa.chunked_array([pa.array(found, pa.string())]), bad


def _resolved_structs(cells: pa.ChunkedArray, folder: Path | None, allow_outside: bool) -> Resolved:
    """Structs of `bytes` and `path`, the path kept only where there are no bytes."""
    data, bad = _field(cells, "bytes", pa.large_binary())
    paths, odd = _field(cells, "path", pa.string())
    alone = pc.equal(pc.fill_null(pc.binary_length(data), 0), 0)
    paths, refused = _resolved_paths(pc.if_else(alone, paths, pa.scalar(None, pa.string())), folder, allow_outside)
    filled = ~alone.to_numpy() | paths.is_valid().to_numpy()
    bad = {row: reason for row, reason in {**odd, **bad}.items() if not filled[row]} | refused
    pieces = [
        pa.StructArray.from_arrays([piece, paths.slice(start, len(piece)).combine_chunks()], ["bytes", "path"])
        for piece, start in zip(data.chunks, _starts(data), strict=True)
    ]
    return pa.chunked_array(pieces, pa.struct({"bytes": pa.large_binary(), "path": pa.string()})), bad


def _field(cells: pa.ChunkedArray, name: str, kind: pa.DataType) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """One field of structs, all empty where it is not of the type it should be, and reasons by row for that."""
    fields = {cells.type.field(index).name: cells.type.field(index).type for index in range(cells.type.num_fields)}
    if name in media_fields(cells.type):
        return pc.struct_field(cells, name).cast(kind), {}
    found = pc.struct_field(cells, name) if name in fields else pa.chunked_array([pa.nulls(len(cells))])
    reason = f"`{name}` holds {found.type}, not {'bytes' if name == 'bytes' else 'text'}"
    bad = dict.fromkeys(np.flatnonzero(found.is_valid().to_numpy()).tolist(), reason)
    return pa.chunked_array([pa.nulls(len(chunk), kind) for chunk in cells.chunks], kind), bad


def _starts(column: pa.ChunkedArray) -> list[int]:
    return [0, *np.cumsum([len(chunk) for chunk in column.chunks])[:-1].tolist()] if column.num_chunks else []
