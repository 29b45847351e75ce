"""Reads the tables of a fit: schema, media paths, content digests. Always runs; stages go by its fingerprint."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.data.digest import column_digests, key_of, modality_digests
from plait.data.infer import Wishes, doubted, infer_schema
from plait.data.resolve import resolve_media
from plait.data.schema import TABULAR, Schema
from plait.data.splits import TEST, TRAIN, VALIDATION, split_from_column
from plait.data.table import Table, concat, read_table, require_columns
from plait.encoders._base import has_encoder
from plait.exceptions import InputError, Problems, listed
from plait.pipeline._base import Given, Source
from plait.pipeline.checks import check_tables, gather
from plait.pipeline.given import load_given
from plait.pipeline.narrator import Narrator
from plait.pipeline.options import FitOptions


def read_source(
    options: FitOptions, narrator: Narrator, problems: Problems
) -> tuple[Source, dict[str, Given], list[str]]:
    """Read all tables and settle the schema.

    Args:
        options: What was asked.
        narrator: Told what is being done.
        problems: Mistakes found before; everything found here is added and all are raised together.

    Returns:
        The source, the encoders that are given by modality, and sentences to be told.

    Raises:
        InputError: All mistakes of the call together.
    """
    narrator.begin("Reading the table")
    gather(lambda: options.check(problems), problems)
    tables = _read_all(options, problems)
    schema = _schema(options, tables[TRAIN], problems) if TRAIN in tables else None
    given = load_given(options.encoders, schema, tables.get(TRAIN), problems)
    problems.raise_if_any()
    if schema is None:
        raise InputError("There is no table to read.")
    schema, notes = _usable(schema, options)
    check_tables(schema, tables, options.metric, options.class_weights)
    if schema.split and len(tables) > 1 and schema.split in tables[TRAIN].columns:
        raise InputError(
            f"Column {schema.split!r} says which rows are for what (its role is split), and so does a table of "
            f"--validation or --test; leave that out, or let the column be ignored: --ignore {schema.split}, or in a "
            "schema the role ignored."
        )
    source = _assemble(schema, tables, options)
    narrator.end()
    narrator.tell(_in_short(schema))
    return source, given, notes + _told(schema, tables)


def _read_all(options: FitOptions, problems: Problems) -> dict[int, Table]:
    given = {
        TRAIN: (options.table, "TABLE"),
        VALIDATION: (options.validation, "--validation"),
        TEST: (options.test, "--test"),
    }
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
        if not isinstance(options.schema, Schema | str | PathLike):
            return infer_schema(table, options.wishes)
        schema = options.schema if isinstance(options.schema, Schema) else Schema.load(Path(options.schema))
        require_columns(table, [column.name for column in schema.columns if column.role != "ignored"], "schema")
        group, split = options.wishes.group, options.wishes.split
        found = infer_schema(table, _as_wishes(schema, group, split)) if group or split else doubted(schema, table)
        return _ordered(found, schema, table)
    except InputError as error:
        problems.collect(error)
        return None


def _ordered(found: Schema, schema: Schema, table: Table) -> Schema:
    """A schema whose ordinal targets have their order from the caller's, or else from the table."""
    said = {column.name: column.order for column in schema.targets}
    columns = []
    for column in found.columns:
        order = said.get(column.name) or table.orders.get(column.name, ())
        ordinal = column.role == "target" and column.kind == "ordinal"
        columns.append(column.model_copy(update={"order": order}) if ordinal else column)
    return Schema(columns=tuple(columns))


def _as_wishes(schema: Schema, group: str | None, split: str | None) -> Wishes:
    return Wishes(
        targets=[column.name for column in schema.targets],
        group=group or schema.group,
        split=split or schema.split,
        ignored=[c.name for c in schema.named("ignored") if c.name not in (group, split)],
        kinds={c.name: c.kind for c in schema.columns if c.kind and c.name not in (group, split)},
        modalities={m: [c.name for c in schema.columns if c.modality == m] for m in _named(schema)},
    )


def _named(schema: Schema) -> list[str]:
    """Modalities that columns are said to be part of."""
    return list(dict.fromkeys(column.modality for column in schema.named("input") if column.modality))


def _usable(schema: Schema, options: FitOptions) -> tuple[Schema, list[str]]:
    """The schema without inputs that no encoder reads."""
    kinds = {name: m.items or m.kind for m in schema.modalities for name in m.columns}
    unread = {name: kind for name, kind in kinds.items() if not has_encoder(kind)}
    asked = sorted(set(unread) & set(options.wishes.inputs))
    if asked:
        told = ", ".join(f"{name!r} ({unread[name]})" for name in asked)
        raise InputError(f"--input {told}: this version of plait has no encoder for that kind; leave it out.")
    reasons = {name: f"ignored: this version of plait has no encoder for {kind}" for name, kind in unread.items()}
    notes = [f"Column {name!r} is left out: plait has no encoder for {kind} yet." for name, kind in unread.items()]
    return schema.without(reasons), notes


def _assemble(schema: Schema, tables: dict[int, Table], options: FitOptions) -> Source:
    wanted = [column.name for column in schema.columns if column.role != "ignored"]
    bad: dict[int, str] = {}
    parts, start = [], 0
    for part in sorted(tables):
        table, reasons = resolve_media(_only(tables[part], wanted), schema, options.allow_outside)
        parts.append(table)
        bad |= {start + row: reason for row, reason in reasons.items()}
        start += len(table)
    origin = np.concatenate([np.full(len(tables[part]), part, np.int8) for part in sorted(tables)])
    numbers = np.concatenate([np.arange(len(tables[part])) for part in sorted(tables)])
    table = concat(parts)
    digests = {m.name: modality_digests(table, m) for m in schema.modalities}
    others = [column_digests(table.column(c.name)) for c in schema.columns if c.role in ("target", "group", "split")]
    given = _given(table, schema, origin, tables)
    fingerprint = key_of([schema.to_json(), given.tobytes(), *digests.values(), *others])
    types = {column.name: tables[TRAIN].column(column.name).type for column in schema.targets}
    return Source(table, given, origin, numbers, schema, digests, fingerprint, bad, types)


def _only(table: Table, wanted: list[str]) -> Table:
    return replace(table, data=table.data.select([name for name in wanted if name in table.columns]))


def _given(table: Table, schema: Schema, origin: NDArray[np.int8], tables: dict[int, Table]) -> NDArray[np.int8]:
    """The part of every row as given; -1 where it is to be drawn, -2 where the split column is empty."""
    if schema.split and len(tables) == 1:
        parts = split_from_column(table, schema.split)
        if not (parts == TRAIN).any():
            raise InputError(
                f"Column {schema.split!r} (split) names no training row; one of its words must be 'train'."
            )
        drawn = np.where(parts == -1, np.int8(-2), parts)
        # A split column that names no validation rows leaves them to be carved out of the training rows.
        return drawn if (parts == VALIDATION).any() else np.where(drawn == TRAIN, np.int8(-1), drawn)
    return np.where(origin == TRAIN, np.int8(TRAIN if VALIDATION in tables else -1), origin)


def _in_short(schema: Schema) -> str:
    kinds = {c.name: c.kind if "said so" in c.reason else f"{c.kind}, {c.reason}" for c in schema.targets}
    targets = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
    inputs = ", ".join(
        f"{m.name} ({m.kind})"
        if m.kind != TABULAR
        else f"{TABULAR} ({', '.join(m.columns[:8])}{' ...' * (len(m.columns) > 8)})"
        for m in schema.modalities
    )
    return f"Learning {targets} from {inputs}."


def _told(schema: Schema, tables: dict[int, Table]) -> list[str]:
    ignored = [column for column in schema.named("ignored") if column.reason.startswith("ignored: ")]
    notes = [f"Column {c.name!r} is {c.told}." for c in ignored if "no encoder" not in c.reason]
    notes += [f"Column {c.name!r} ({c.kind}) holds {c.told}." for c in schema.columns if c.doubt and c not in ignored]
    known = {column.name for column in schema.columns}
    for part in sorted(tables):
        if extra := [name for name in tables[part].columns if name not in known]:
            lacks = "the schema" if part == TRAIN else "the training table"
            notes.append(f"{tables[part].name} has columns that {lacks} lacks; they are not used: {listed(extra)}.")
    return notes
