"""Infers the schema of a table: what each column holds, what it is for, and why plait thinks so."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.data.media import cell_bytes, is_url, kind_of_bytes, kind_of_path, resolve_path
from plait.data.schema import INPUT_KINDS, ROLES, TABULAR, TASK_KINDS, Column, Schema
from plait.data.table import Table
from plait.exceptions import BadCell, Problems, did_you_mean

SAMPLE = 500
"""How many cells of a column are looked at to tell its kind."""

MANY_CLASSES = 50
"""Whole numbers with more distinct values than this are a regression target."""


@dataclass(frozen=True)
class Wishes:
    """What the caller said about columns; everything else is inferred.

    Attributes:
        targets: Columns to learn.
        group: Column whose values a split must keep together.
        split: Column that names each row's part: train, validation or test.
        ignored: Columns to leave out.
        inputs: If any are named, only these are inputs.
        kinds: Kinds by column, instead of the inferred ones.
    """

    targets: Sequence[str] = ()
    group: str | None = None
    split: str | None = None
    ignored: Sequence[str] = ()
    inputs: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)


def infer_schema(table: Table, wishes: Wishes | None = None) -> Schema:
    """Role and kind of every column, from the caller's wishes, the table's own metadata, and its cells.

    Raises:
        InputError: All mistakes of the wishes together: unknown columns, kinds, clashing roles.
    """
    wishes = wishes or Wishes()
    roles, said = _roles(table, wishes)
    kinds = {**table.kinds, **wishes.kinds}
    columns = []
    for name in table.columns:
        role = roles.get(name, "input")
        if role == "input" and wishes.inputs and name not in wishes.inputs:
            columns.append(Column(name=name, role="ignored", reason="not among the named inputs"))
        elif role == "input":
            columns.append(_input_column(table, name, kinds.get(name), asked=name in wishes.inputs))
        elif role == "target":
            columns.append(_target_column(table, name, kinds.get(name)))
        else:
            columns.append(Column(name=name, role=role, reason=said.get(name, "said so by the caller")))  # type: ignore[arg-type]
    schema = Schema(columns=tuple(columns))
    _check_names(schema)
    return schema


def _check_names(schema: Schema) -> None:
    problems = Problems()
    names = [modality.name for modality in schema.modalities]
    if names.count(TABULAR) > 1:
        problems.add(f"A column is called {TABULAR!r}, which is the name of all table columns together: rename it.")
    problems.raise_if_any()


def _roles(table: Table, wishes: Wishes) -> tuple[dict[str, str], dict[str, str]]:
    """Roles by column; the caller's word goes before the table's metadata."""
    problems = Problems()
    roles: dict[str, str] = {}
    said: dict[str, str] = {}
    for name, role in table.roles.items():
        replaced = (role == "target" and wishes.targets) or (role == "group" and wishes.group)
        if name in table.columns and role in ROLES and not replaced and not (role == "split" and wishes.split):
            roles[name], said[name] = role, "the table's metadata"
    given = [
        *((name, "target") for name in wishes.targets),
        *((name, "ignored") for name in wishes.ignored),
        *((name, "input") for name in wishes.inputs),
    ]
    given += [(wishes.group, "group")] if wishes.group else []
    given += [(wishes.split, "split")] if wishes.split else []
    own: dict[str, str] = {}
    for name, role in given:
        if name not in table.columns:
            problems.add(f"{table.name} has no column {name!r} ({role}): {did_you_mean(name, table.columns)}.")
        elif name in own:
            clash = "twice as target" if own[name] == role == "target" else f"as {own[name]} and as {role}"
            problems.add(f"Column {name!r} is given {clash}: a column has one role, give it once.")
        else:
            own[name] = role
    for name, kind in wishes.kinds.items():
        _check_kind(table, name, kind, own.get(name, roles.get(name, "input")), problems)
    problems.raise_if_any()
    return {**roles, **own}, {name: said[name] for name in said if name not in own}


def _check_kind(table: Table, name: str, kind: str, role: str, problems: Problems) -> None:
    known = TASK_KINDS if role == "target" else INPUT_KINDS
    if name not in table.columns:
        problems.add(f"{table.name} has no column {name!r} (--kind): {did_you_mean(name, table.columns)}.")
    if kind not in known:
        what = "a target" if role == "target" else "an input"
        problems.add(f"Column {name!r}: there is no kind {kind!r} of {what}; {did_you_mean(kind, known)}.")


def _input_column(table: Table, name: str, kind: str | None, asked: bool) -> Column:
    if kind in INPUT_KINDS:
        return Column(name=name, role="input", kind=kind, reason="said so by the caller or the table's metadata")
    found, reason = _input_kind(table, name)
    if found is None and not asked:
        return Column(name=name, role="ignored", reason=reason)
    return Column(name=name, role="input", kind=found or "categorical", reason=reason)


def _sample(table: Table, name: str) -> list[Any]:
    """Up to `SAMPLE` filled cells, spread over the whole column."""
    filled = table.column(name).drop_null()
    step = max(1, len(filled) // SAMPLE)
    return filled.take(pa.array(range(0, len(filled), step))).to_pylist()[:SAMPLE] if len(filled) else []


def _input_kind(table: Table, name: str) -> tuple[str | None, str]:
    """The kind of an input column and the reason; None for a column best ignored."""
    cells = _sample(table, name)
    if not cells:
        return None, "ignored: every cell is empty"
    kind = table.column(name).type
    rules: list[tuple[Callable[[pa.DataType], bool], Callable[[], tuple[str | None, str]]]] = [
        (pa.types.is_boolean, lambda: ("categorical", "truth values")),
        (_is_number, lambda: ("numeric", "numbers")),
        (lambda t: pa.types.is_temporal(t), lambda: ("date", "dates")),
        (lambda t: pa.types.is_large_binary(t), lambda: _kind_of_media(cells)),
        (pa.types.is_struct, lambda: _kind_of_struct(cells)),
        (_is_list, lambda: _kind_of_lists(table, name)),
        (pa.types.is_string, lambda: _kind_of_text(table, name, cells)),
    ]
    for applies, decide in rules:
        if applies(kind):
            return decide()
    return None, f"ignored: plait has no use for cells of type {kind}"


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _kind_of_media(cells: list[Any]) -> tuple[str | None, str]:
    kinds = [kind_of_bytes(cell) for cell in cells[:50] if cell]
    found = max(set(kinds), key=kinds.count, default=None)
    if found is None:
        return None, "ignored: bytes that begin like no image, sound or video plait knows"
    return found, f"bytes that begin like {found} files"


def _kind_of_struct(cells: list[Any]) -> tuple[str | None, str]:
    if not {"bytes", "path"} & set(cells[0]):
        return None, f"ignored: a struct of {', '.join(cells[0])}; media structs have `bytes` and `path`"
    if any(cell.get("bytes") for cell in cells):
        return _kind_of_media([cell["bytes"] for cell in cells if cell.get("bytes")])
    kinds = [kind_of_path(cell["path"]) for cell in cells if cell.get("path")]
    found = max(set(kinds), key=kinds.count, default=None)
    return (found, f"paths of {found} files") if found else (None, "ignored: structs without media in them")


def _kind_of_lists(table: Table, name: str) -> tuple[str | None, str]:
    column = table.column(name)
    inner = column.type.value_type
    if _is_list(inner):
        return "series", "lists of lists of numbers"
    if not _is_number(inner):
        return None, f"ignored: lists of {inner}, not of numbers"
    lengths = pc.unique(pc.list_value_length(column).drop_null())
    if len(lengths) == 1:
        return "vector", f"lists of {lengths[0].as_py()} numbers in every row"
    return "series", f"lists of numbers of {len(lengths)} different lengths"


def _kind_of_text(table: Table, name: str, cells: list[str]) -> tuple[str | None, str]:
    filled = [cell for cell in cells if cell.strip()]
    if not filled:
        return None, "ignored: every cell is empty"
    media = [_kind_of_media_text(cell, table) for cell in filled]
    found = max(set(media), key=media.count)
    if found is not None and media.count(found) >= 0.5 * len(media):
        return found, f"paths of {found} files"
    if all(_is_date(cell) for cell in filled):
        return "date", "dates written as text (ISO 8601)"
    words = [len(cell.split()) for cell in filled]
    lengths = [len(cell) for cell in filled]
    if np.mean(words) >= 3 or np.mean(lengths) >= 40:
        return "text", f"text of about {np.mean(words):.0f} words"
    distinct = len(pc.unique(table.column(name)))
    count = len(table) - table.column(name).null_count
    if count >= 20 and distinct > 0.9 * count:
        return None, f"ignored: looks like an id ({distinct:,} distinct short strings in {count:,} rows)"
    return "categorical", f"{distinct:,} distinct short strings"


def _kind_of_media_text(cell: str, table: Table) -> str | None:
    """The kind of media that a string names: by its suffix, or, for a file without one, by its first bytes."""
    found = kind_of_path(cell)
    if found or is_url(cell) or "/" not in cell:
        return found
    try:
        return kind_of_bytes(cell_bytes(resolve_path(cell, table.folder, allow_outside=False)) or b"")
    except BadCell:
        return None


def _is_date(cell: str) -> bool:
    if len(cell) < 8 or not cell[:4].isdigit():
        return False
    try:
        datetime.datetime.fromisoformat(cell)
    except ValueError:
        return False
    return True


def _target_column(table: Table, name: str, kind: str | None) -> Column:
    if kind in TASK_KINDS:
        return Column(name=name, role="target", kind=kind, reason="said so by the caller or the table's metadata")
    found, reason = _task_kind(table, name)
    return Column(name=name, role="target", kind=found, reason=reason)


def _task_kind(table: Table, name: str) -> tuple[str | None, str]:
    column = table.column(name).drop_null()
    kind = column.type
    if not (_is_number(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind)):
        return None, f"cells of type {kind}"
    if pa.types.is_floating(kind):
        column = column.filter(pc.invert(pc.is_nan(column)))
    distinct = len(pc.unique(column))
    if _is_number(kind):
        whole = pa.types.is_integer(kind) or bool(pc.all(pc.equal(pc.floor(column), column)).as_py())
        if not whole or distinct > MANY_CLASSES:
            return "regression", f"numbers with {distinct:,} distinct values"
    return ("binary" if distinct <= 2 else "multiclass"), f"{distinct:,} classes"


