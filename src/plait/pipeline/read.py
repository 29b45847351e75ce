"""Reads the tables of a fit: schema, media paths, content digests. Always runs; later stages know by its fingerprint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait.data.digest import column_digests, key_of, modality_digests
from plait.data.infer import Wishes, infer_schema
from plait.data.media import resolve_path
from plait.data.schema import MEDIA_KINDS, Schema
from plait.data.splits import TEST, TRAIN, VALIDATION, split_from_column
from plait.data.table import Table, concat, read_table, require_columns
from plait.encoders._base import has_encoder
from plait.exceptions import BadCell, InputError, Problems
from plait.pipeline._base import Source
from plait.pipeline.narrator import Narrator
from plait.pipeline.options import FitOptions
from plait.tasks._base import TASK_KIND_REGISTRY
from plait.tasks.score import check_metric
from plait.tasks.targets import check_classes


def read_source(options: FitOptions, narrator: Narrator, problems: Problems) -> tuple[Source, list[str]]:
    """Read all tables and settle the schema.

    Args:
        options: What was asked.
        narrator: Told what is being done.
        problems: Mistakes found before; everything found here is added and all are raised together.

    Returns:
        The source, and sentences to be told.

    Raises:
        InputError: All mistakes of the call together.
    """
    narrator.begin("Reading the table")
    options.check(problems)
    tables = _read_all(options, problems)
    schema = _schema(options, tables[TRAIN], problems) if TRAIN in tables else None
    problems.raise_if_any()
    if schema is None:
        raise InputError("There is no table to read.")
    schema, notes = _usable(schema, options)
    _check(schema, tables, options)
    source = _assemble(schema, tables, options)
    narrator.end()
    return source, notes + _told(schema, tables)


def _read_all(options: FitOptions, problems: Problems) -> dict[int, Table]:
    given = {TRAIN: (options.table, "TABLE"), VALIDATION: (options.validation, "--validation"), TEST: (options.test, "--test")}
    tables = {}
    for part, (table, name) in given.items():
        if table is None:
            continue
        try:
            tables[part] = read_table(table, None if isinstance(table, str) or hasattr(table, "__fspath__") else name)
        except InputError as error:
            problems.collect(error)
    return tables


def _schema(options: FitOptions, table: Table, problems: Problems) -> Schema | None:
    try:
        if not options.schema:
            return infer_schema(table, options.wishes)
        schema = Schema.load(options.schema)
        require_columns(table, [column.name for column in schema.columns if column.role != "ignored"], "schema")
        group, split = options.wishes.group, options.wishes.split
        if not (group or split):
            return schema
        return infer_schema(table, _as_wishes(schema, group, split))
    except InputError as error:
        problems.collect(error)
        return None


def _as_wishes(schema: Schema, group: str | None, split: str | None) -> Wishes:
    return Wishes(
        targets=[column.name for column in schema.targets],
        group=group or schema.group,
        split=split or schema.split,
        ignored=[c.name for c in schema.named("ignored") if c.name not in (group, split)],
        kinds={c.name: c.kind for c in schema.columns if c.kind and c.name not in (group, split)},
    )


def _usable(schema: Schema, options: FitOptions) -> tuple[Schema, list[str]]:
    """The schema without inputs that no encoder reads."""
    unread = {m.columns[0]: m.kind for m in schema.modalities if not has_encoder(m.kind)}
    asked = sorted(set(unread) & set(options.wishes.inputs))
    if asked:
        told = ", ".join(f"{name!r} ({unread[name]})" for name in asked)
        raise InputError(f"--input {told}: this version of plait has no encoder for that kind; leave it out.")
    reasons = {name: f"ignored: this version of plait has no encoder for {kind}" for name, kind in unread.items()}
    notes = [f"Column {name!r} holds {kind}, for which this version of plait has no encoder: it is left out." for name, kind in unread.items()]  # fmt: skip
    return schema.without(reasons), notes


def _check(schema: Schema, tables: dict[int, Table], options: FitOptions) -> None:
    problems = Problems()
    table = tables[TRAIN]
    if not schema.targets:
        problems.add(f"No target: say which column of {table.name} to learn by --target COLUMN. It has {', '.join(table.columns[:20])}.")
    if not schema.modalities:
        told = "; ".join(f"{c.name!r} {c.reason}" for c in schema.named("ignored")[:10])
        problems.add(f"{table.name} has no input column{' (' + told + ')' if told else ''}: there is nothing to learn from.")
    if len(table) < 2:
        problems.add(f"{table.name} has one row; to learn and to check, at least two are needed, and many more to learn well.")
    needed = [(c.name, "input") for c in schema.named("input")] + [(c.name, "target") for c in schema.targets]
    for part in (VALIDATION, TEST):
        for name, what in needed if part in tables else []:
            try:
                require_columns(tables[part], [name], what)
            except InputError as error:
                problems.collect(error)
    if schema.targets and len(table) >= 2:
        problems_of(lambda: check_metric(options.metric, [str(c.kind) for c in schema.targets if c.kind in TASK_KIND_REGISTRY]), problems)  # fmt: skip
        problems_of(lambda: check_classes(table, schema.targets), problems)
        _check_targets(schema, table, problems)
    problems.raise_if_any()


def _check_targets(schema: Schema, table: Table, problems: Problems) -> None:
    for target in schema.targets:
        filled = table.column(target.name).drop_null()
        if len(filled) == 0:
            problems.add(f"Target {target.name!r} has no value in any row; at least two different ones are needed.")
        elif len(filled.unique()) == 1 and target.kind in TASK_KIND_REGISTRY:
            problems.add(f"Target {target.name!r} has one class only, {filled[0].as_py()!r}: there is nothing to tell apart.")
    if schema.group and len(table.column(schema.group).unique()) < 2:
        problems.add(f"Group column {schema.group!r} has one value; to split by group, give a column with several, or none.")


def problems_of(check: Any, problems: Problems) -> None:
    """Run a check and gather what it finds."""
    try:
        check()
    except InputError as error:
        problems.collect(error)


def _assemble(schema: Schema, tables: dict[int, Table], options: FitOptions) -> Source:
    wanted = [c.name for c in schema.columns if c.role != "ignored"]
    bad: dict[int, str] = {}
    parts, start = [], 0
    for part in sorted(tables):
        table, reasons = resolve_media(_only(tables[part], wanted), schema, options.allow_outside)
        parts.append(table)
        bad |= {start + row: reason for row, reason in reasons.items()}
        start += len(table)
    origin = np.concatenate([np.full(len(tables[part]), part, np.int8) for part in sorted(tables)])
    table = concat(parts)
    digests = {m.name: modality_digests(table, m) for m in schema.modalities}
    others = [column_digests(table.column(c.name)) for c in schema.columns if c.role in ("target", "group", "split")]
    given = _given(table, schema, origin, tables)
    fingerprint = key_of([schema.to_json(), given.tobytes(), *digests.values(), *others])
    return Source(table, given, origin, schema, digests, fingerprint, bad)


def _only(table: Table, wanted: list[str]) -> Table:
    return replace(table, data=table.data.select([name for name in wanted if name in table.columns]))


def _given(table: Table, schema: Schema, origin: NDArray[np.int8], tables: dict[int, Table]) -> NDArray[np.int8]:
    """The part of every row as given; -1 where it is to be drawn, -2 where the split column is empty."""
    if schema.split and len(tables) == 1:
        parts = split_from_column(table, schema.split)
        if not (parts == TRAIN).any():
            raise InputError(f"Column {schema.split!r} (split) names no training row; one of its words must be 'train'.")
        drawn = np.where(parts == -1, np.int8(-2), parts)
        # A split column that names no validation rows leaves them to be carved out of the training rows.
        return drawn if (parts == VALIDATION).any() else np.where(drawn == TRAIN, np.int8(-1), drawn)
    return np.where(origin == TRAIN, np.int8(TRAIN if VALIDATION in tables else -1), origin)


def resolve_media(table: Table, schema: Schema, allow_outside: bool) -> tuple[Table, dict[int, str]]:
    """Media paths made absolute, relative to the table's folder.

    Returns:
        The table, and reasons by row for paths that are refused (their cells are emptied).
    """
    bad: dict[int, str] = {}
    for modality in schema.modalities:
        if modality.kind not in MEDIA_KINDS or modality.columns[0] not in table.columns:
            continue
        name = modality.columns[0]
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


def _told(schema: Schema, tables: dict[int, Table]) -> list[str]:
    notes = [f"Column {c.name!r} is not used, {c.reason}." for c in schema.named("ignored") if c.reason.startswith("ignored: looks like")]
    known = {c.name for c in schema.columns}
    for part in (VALIDATION, TEST):
        extra = [name for name in tables[part].columns if name not in known] if part in tables else []
        if extra:
            notes.append(f"{tables[part].name} has columns that the training table lacks; they are not used: {', '.join(extra[:10])}.")
    return notes
