"""Makes the paths in media columns absolute, and refuses those that lead where they must not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

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
    for modality in schema.modalities:
        name = modality.columns[0]
        if modality.kind not in MEDIA_KINDS or name not in table.columns:
            continue
        cells = table.column(name)
        if pa.types.is_large_binary(cells.type) or pa.types.is_null(cells.type):
            continue
        resolved: list[Any] = []
        for row, cell in enumerate(cells.to_pylist()):
            try:
                resolved.append(_resolved(cell, table, allow_outside))
            except BadCell as error:
                bad[row] = f"{name}: {error}"
                resolved.append(None)
        kind = cells.type if pa.types.is_struct(cells.type) else pa.string()
        table = table.with_column(name, pa.chunked_array([pa.array(resolved, kind)]))
    return table, bad


def _resolved(cell: Any, table: Table, allow_outside: bool) -> Any:
    if cell is None or isinstance(cell, bytes):
        return cell
    if isinstance(cell, dict):
        if cell.get("bytes") or not cell.get("path"):
            return cell
        return {**cell, "path": resolve_path(str(cell["path"]), table.folder, allow_outside)}
    text = str(cell).strip()
    return resolve_path(text, table.folder, allow_outside) if text else None
