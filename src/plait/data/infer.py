"""Infers the schema of a table: what each column holds, what it is for, and why plait thinks so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.data.dates import DATE_PATTERN, is_date
from plait.data.kinds import CELLS, can_hold, is_date_type, is_label_list, media_fields
from plait.data.leaks import leak
from plait.data.media import first_bytes, is_url, kind_of_bytes, kind_of_path, resolve_path
from plait.data.plain import is_list, is_number
from plait.data.schema import INPUT_KINDS, ROLES, TABULAR, TABULAR_KINDS, TASK_KINDS, Column, Schema
from plait.data.table import Table, sample_rows
from plait.exceptions import BadCell, Problems, did_you_mean

SAMPLE = 500
"""How many cells of a column are looked at to tell its kind."""

MANY_CLASSES = 50
"""Whole numbers with more distinct values than this are a regression target."""

SPOILED = 0.8
"""Share of numbers from which on a column of text is said to be one of numbers with something wrong."""

_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DRESSED_NUMBER = re.compile(r"[$€£¥]?\s*[+-]?\d[\d.,' \u00a0\u202f]*\s*[%$€£¥]?")
_TOKEN = re.compile(r"[!-~]+")
"""One word of ASCII characters, as ids and checksums are; text in a script without spaces is not."""


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
        modalities: By name, columns of one kind that are one modality.
    """

    targets: Sequence[str] = ()
    group: str | None = None
    split: str | None = None
    ignored: Sequence[str] = ()
    inputs: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    modalities: Mapping[str, Sequence[str]] = field(default_factory=dict)


def infer_schema(table: Table, wishes: Wishes | None = None) -> Schema:
    """Role and kind of every column, from the caller's wishes, the table's own metadata, and its cells.

    A column that the metadata calls a target, group or split column, and that the caller replaced by another one, is
    ignored: it never becomes an input unless the caller names it as one.

    Raises:
        InputError: All mistakes of the wishes together: unknown columns and kinds, clashing roles, cells that a kind or
            a role cannot use.
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
            columns.append(Column(name=name, role=role, reason=said.get(name, "said so by the caller")))
    _check_names(columns)
    return _joined(doubted(Schema(columns=tuple(columns)), table), table, wishes)


def doubted(schema: Schema, table: Table) -> Schema:
    """The schema; an input column that may hold a target has that as doubt."""
    targets = [column.name for column in schema.targets if column.name in table.columns]
    found = []
    for column in schema.columns:
        told = leak(table, column.name, targets) if column.role == "input" and column.name in table.columns else ""
        new = told and told not in column.doubt
        doubt = "; and ".join(one for one in (column.doubt, told) if one) if new else column.doubt
        found.append(column.model_copy(update={"doubt": doubt}))
    return Schema(columns=tuple(found))


def _joined(schema: Schema, table: Table, wishes: Wishes) -> Schema:
    """The schema with columns in the modalities that the caller put them in."""
    problems = Problems()
    place: dict[str, str] = {}
    inputs = {column.name: column for column in schema.named("input")}
    for modality, names in wishes.modalities.items():
        for name in names:
            if name not in table.columns:
                problems.add(f"{table.name} has no column {name!r} (--modality): {did_you_mean(name, table.columns)}.")
            elif name not in inputs:
                problems.add(f"Column {name!r} (--modality {modality}) is no input.")
            elif place.setdefault(name, modality) != modality:
                problems.add(
                    f"Column {name!r} is given to the modalities {place[name]} and {modality}: give it to one."
                )
        clash = (modality in inputs or modality == TABULAR) and modality not in names
        if clash or not modality or not names:
            why = "is the name of another column" if clash else "needs a name and a column at least"
            problems.add(f"--modality {modality}={','.join(names)}: the modality {why}.")
        kinds = sorted(
            {TABULAR if inputs[n].kind in TABULAR_KINDS else str(inputs[n].kind) for n in names if n in inputs}
        )
        if len(kinds) > 1:
            problems.add(
                f"--modality {modality} has columns of several kinds ({', '.join(kinds)}): give those of one kind."
            )
    problems.raise_if_any()
    columns = [column.model_copy(update={"modality": place.get(column.name, "")}) for column in schema.columns]
    return Schema(columns=tuple(columns))


def _check_names(columns: Sequence[Column]) -> None:
    problems = Problems()
    named = {column.kind in TABULAR_KINDS for column in columns if column.role == "input" and column.belongs == TABULAR}
    if len(named) > 1:
        problems.add(f"A column is called {TABULAR!r}, which is the name of all table columns together: rename it.")
    problems.raise_if_any()


def _roles(table: Table, wishes: Wishes) -> tuple[dict[str, str], dict[str, str]]:
    """Roles by column, and who said so; the caller's word goes before the table's metadata."""
    problems = Problems()
    own = _asked_roles(table, wishes, problems)
    carried = _carried_roles(table, wishes)
    roles = {**{name: role for name, (role, _) in carried.items()}, **own}
    for name, kind in wishes.kinds.items():
        _check_kind(table, name, kind, roles.get(name, "input"), problems)
    for name, role in own.items():
        _check_role(table, name, role, wishes, problems)
    problems.raise_if_any()
    return roles, {name: why for name, (_, why) in carried.items() if name not in own}


def _asked_roles(table: Table, wishes: Wishes, problems: Problems) -> dict[str, str]:
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
            clash = f"twice as {role}" if own[name] == role else f"as {own[name]} and as {role}"
            problems.add(f"Column {name!r} is given {clash}: a column has one role, give it once.")
        else:
            own[name] = role
    return own


def _carried_roles(table: Table, wishes: Wishes) -> dict[str, tuple[str, str]]:
    """(role, who said so) by column, from the table's metadata as far as it fits the table."""
    taken = {"target": bool(wishes.targets), "group": bool(wishes.group), "split": bool(wishes.split)}
    found: dict[str, tuple[str, str]] = {}
    for name, role in table.roles.items():
        if name not in table.columns or role not in ROLES:
            continue
        if taken.get(role):
            found[name] = "ignored", f"ignored: a {role} column by the table's metadata, but another one was named"
        else:
            found[name] = role, "the table's metadata"
            taken |= {role: True} if role in ("group", "split") else {}
    return found


def _check_kind(table: Table, name: str, kind: str, role: str, problems: Problems) -> None:
    known = TASK_KINDS if role == "target" else INPUT_KINDS
    if name not in table.columns:
        problems.add(f"{table.name} has no column {name!r} (--kind): {did_you_mean(name, table.columns)}.")
    if kind not in known:
        what = "a target" if role == "target" else "an input"
        problems.add(f"Column {name!r}: there is no kind {kind!r} of {what}; {did_you_mean(kind, known)}.")
    elif name in table.columns and not _fits(table, name, kind):
        holds = table.column(name).type
        problems.add(f"Column {name!r} cannot be of kind {kind}: its cells are {holds}; expected {CELLS[kind]}.")


def _check_role(table: Table, name: str, role: str, wishes: Wishes, problems: Problems) -> None:
    holds = table.column(name).type
    if role in ("group", "split") and not _fits(table, name, "categorical"):
        problems.add(f"Column {name!r} ({role}) holds cells of type {holds}; expected {CELLS['categorical']}.")
    if role == "input" and name not in wishes.kinds and not any(_fits(table, name, kind) for kind in INPUT_KINDS):
        problems.add(f"Column {name!r} (input) holds cells of type {holds}, for which plait has no use: leave it out.")


def _fits(table: Table, name: str, *kinds: str) -> bool:
    """Whether the cells of a column are of a type that one of some kinds can use."""
    return any(can_hold(kind, table.column(name).type) for kind in kinds)


def _input_column(table: Table, name: str, kind: str | None, asked: bool) -> Column:
    if kind in INPUT_KINDS and _fits(table, name, str(kind)):
        return Column(name=name, role="input", kind=kind, reason="said so by the caller or the table's metadata")
    found, reason = _input_kind(table, name)
    doubt = (
        _counting(table.column(name))
        if found == "numeric"
        else _spoiled(table, name)
        if found in (None, "categorical")
        else _zones(table, name)
        if found == "date"
        else ""
    )
    if found is None and asked:
        found = next(kind for kind in ("categorical", *INPUT_KINDS) if _fits(table, name, kind))
        reason = "said to be an input by the caller"
    return Column(name=name, role="input" if found else "ignored", kind=found, reason=reason, doubt=doubt)


def _counting(column: pa.ChunkedArray) -> str:
    """What speaks against a column of whole numbers as an input: they count the rows; else nothing."""
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < 20:
        return ""
    ends = pc.min_max(column).as_py()
    if ends["max"] - ends["min"] != len(column) - 1 or len(pc.unique(column)) < len(column):
        return ""
    return "they count the rows, as an id does: it is best ignored unless the order says something"


def _sample(table: Table, name: str) -> list[Any]:
    """Up to `SAMPLE` filled cells, spread over the whole column."""
    column = table.column(name)
    return list(column.take(pa.array(sample_rows(column, SAMPLE), pa.int64())).to_pylist())


def _input_kind(table: Table, name: str) -> tuple[str | None, str]:
    """The kind of an input column and the reason; None for a column best ignored."""
    kind = table.column(name).type
    if table.column(name).null_count == len(table):
        return None, "ignored: every cell is empty"
    rules: list[tuple[Callable[[pa.DataType], bool], Callable[[], tuple[str | None, str]]]] = [
        (pa.types.is_boolean, lambda: ("categorical", "truth values")),
        (is_number, lambda: ("numeric", "numbers")),
        (is_date_type, lambda: ("date", "dates")),
        (pa.types.is_large_binary, lambda: _kind_of_media(_sample(table, name))),
        (pa.types.is_struct, lambda: _kind_of_struct(kind, _sample(table, name))),
        (is_list, lambda: _kind_of_lists(table, name)),
        (pa.types.is_string, lambda: _kind_of_text(table, name, _sample(table, name))),
    ]
    for applies, decide in rules:
        if applies(kind):
            return decide()
    return None, f"ignored: plait has no use for cells of type {kind}"


def _kind_of_media(cells: list[Any]) -> tuple[str | None, str]:
    found = _mostly([kind_of_bytes(cell) for cell in cells if cell])
    if found is None:
        return None, "ignored: bytes that begin like no image, sound or video plait knows"
    return found, f"bytes that begin like {found} files"


def _mostly(kinds: list[str | None]) -> str | None:
    """The kind of media that at least half of some cells are; of two, the first by name."""
    counts = Counter(kind for kind in kinds if kind is not None)
    return next((kind for kind in sorted(counts) if counts[kind] >= 0.5 * len(kinds)), None)


def _kind_of_struct(kind: pa.DataType, cells: list[Any]) -> tuple[str | None, str]:
    usable = media_fields(kind)
    if not usable:
        names = ", ".join(field.name for field in kind)
        return None, f"ignored: a struct of {names}; media structs have `bytes` (bytes) and `path` (text)"
    if "bytes" in usable and (found := [cell["bytes"] for cell in cells if cell.get("bytes")]):
        return _kind_of_media(found)
    media = _mostly([kind_of_path(cell["path"]) for cell in cells if "path" in usable and cell.get("path")])
    return (media, f"paths of {media} files") if media else (None, "ignored: structs without media in them")


def _kind_of_lists(table: Table, name: str) -> tuple[str | None, str]:
    column = table.column(name)
    lengths = pc.unique(pc.list_value_length(column).drop_null()).to_pylist()
    filled = [length for length in lengths if length > 0]
    if not filled:
        return None, "ignored: every list is empty"
    if is_list(column.type.value_type) and can_hold("series", column.type):
        return "series", "lists of lists of numbers"
    if not can_hold("vector", column.type):
        return None, f"ignored: lists of {column.type.value_type}, not of numbers"
    if len(filled) == 1:
        return "vector", f"lists of {filled[0]:,} numbers in every row"
    return "series", f"lists of numbers of {len(filled):,} different lengths"


def _kind_of_text(table: Table, name: str, cells: list[str]) -> tuple[str | None, str]:
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled:
        return None, "ignored: every cell is empty"
    if media := _mostly([_kind_of_media_text(cell, table) for cell in filled]):
        return media, f"paths of {media} files"
    trimmed = pc.utf8_trim_whitespace(table.column(name).drop_null())
    trimmed = trimmed.filter(pc.not_equal(trimmed, ""))
    if all(is_date(cell) for cell in filled) and pc.all(pc.match_substring_regex(trimmed, DATE_PATTERN)).as_py():
        return "date", "dates written as text (ISO 8601)"
    words = float(np.mean([len(cell.split()) for cell in filled]))
    tokens = all(_TOKEN.fullmatch(cell) for cell in filled)
    if words >= 3 or (np.mean([len(cell) for cell in filled]) >= 40 and not tokens):
        return "text", f"text of about {words:.0f} words"
    distinct, count = len(pc.unique(trimmed)), len(trimmed)
    if count >= 20 and distinct > 0.9 * count:
        what = "strings without spaces" if tokens else "short strings"
        return None, f"ignored: looks like an id ({distinct:,} distinct {what} in {count:,} rows)"
    return "categorical", f"{distinct:,} distinct short strings"


def _spoiled(table: Table, name: str) -> str:
    """What speaks against a column of text as categories: perhaps it was meant to hold numbers; else nothing."""
    if not pa.types.is_string(table.column(name).type):
        return ""
    cells = [cell.strip() for cell in _sample(table, name) if cell.strip()]
    plain = [cell for cell in cells if _PLAIN_NUMBER.fullmatch(cell)]
    if SPOILED * len(cells) <= len(plain) < len(cells):
        odd = next(cell for cell in cells if not _PLAIN_NUMBER.fullmatch(cell))
        return f"{len(plain) / len(cells):.0%} of them are numbers: is {odd!r:.20} to be an empty cell?"
    dressed = [cell for cell in cells if _DRESSED_NUMBER.fullmatch(cell) and not _PLAIN_NUMBER.fullmatch(cell)]
    if dressed and len(dressed) + len(plain) >= SPOILED * len(cells):
        return f"they look like numbers: write {dressed[0]!r:.20} with digits and a point alone"
    return ""


def _zones(table: Table, name: str) -> str:
    """What speaks against dates written as text: some of them say their time zone and some do not; else nothing."""
    column = table.column(name)
    if not pa.types.is_string(column.type):
        return ""
    timed = pc.match_substring_regex(column.drop_null(), r"\d:\d")
    zoned = pc.match_substring_regex(column.drop_null(), r"\d:\d.*([+-]\d\d(:?\d\d)?|[Zz])\s*$")
    count, timed_count = pc.sum(zoned).as_py() or 0, pc.sum(timed).as_py() or 0
    if not 0 < count < timed_count:
        return ""
    return f"{timed_count - count:,} of {timed_count:,} times do not say their time zone: they are read as UTC"


def _kind_of_media_text(cell: str, table: Table) -> str | None:
    """The kind of media that a string names: by its suffix, or, for a file without one, by its first bytes."""
    found = kind_of_path(cell)
    if found or is_url(cell) or "/" not in cell:
        return found
    try:
        return kind_of_bytes(first_bytes(resolve_path(cell, table.folder, allow_outside=False)))
    except BadCell:
        return None


def _target_column(table: Table, name: str, kind: str | None) -> Column:
    if kind in TASK_KINDS and _fits(table, name, str(kind)):
        order = table.orders.get(name, ()) if kind == "ordinal" else ()
        said = "said so by the caller or the table's metadata"
        return Column(name=name, role="target", kind=kind, reason=said, order=order)
    found, reason = _task_kind(table, name)
    doubt = _spoiled(table, name) if found in ("binary", "multiclass") else ""
    return Column(name=name, role="target", kind=found, reason=reason, doubt=doubt)


def _task_kind(table: Table, name: str) -> tuple[str | None, str]:
    column = table.column(name).drop_null()
    kind = column.type
    if is_label_list(kind):
        return "multilabel", "lists of labels"
    if not (is_number(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind)):
        return None, f"cells of type {kind}"
    if pa.types.is_string(kind):
        column = pc.utf8_trim_whitespace(column)
        column = column.filter(pc.not_equal(column, ""))
    distinct = len(pc.unique(column))
    if is_number(kind) and (distinct > MANY_CLASSES or not _is_whole(column)):
        return "regression", f"numbers with {distinct:,} distinct values"
    return ("binary" if distinct <= 2 else "multiclass"), f"{distinct:,} class{'es' * (distinct != 1)}"


def _is_whole(column: pa.ChunkedArray) -> bool:
    if pa.types.is_integer(column.type):
        return True
    return bool(pc.all(pc.and_(pc.is_finite(column), pc.equal(pc.floor(column), column))).as_py())
