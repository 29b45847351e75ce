"""Checks a call's tables against its schema before anything is learned; all mistakes are told together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plait.data.schema import Schema
from plait.data.splits import TEST, TRAIN, VALIDATION
from plait.data.table import Table, require_columns
from plait.exceptions import InputError, Problems
from plait.tasks._base import TASK_KIND_REGISTRY
from plait.tasks.score import check_metric
from plait.tasks.targets import check_classes, is_classification, untold_kind


def check_tables(
    schema: Schema, tables: Mapping[int, Table], metric: str | None, class_weights: str | None = None
) -> None:
    """Refuse what cannot be learned.

    Args:
        schema: Roles and kinds of the training table's columns.
        tables: The training, validation and test table, by part.
        metric: The metric to compare by, if one was named.
        class_weights: How classes weigh, if that was said.

    Raises:
        InputError: No target, no input, too few rows, columns missing in another table, targets that cannot be learned,
            a group column of one value, a metric that a target does not have.
    """
    problems = Problems()
    table = tables[TRAIN]
    _check_roles(schema, table, problems)
    _check_columns(schema, tables, problems)
    if schema.targets and len(table) > 1:
        kinds = [
            target.kind for target in schema.targets if target.kind in TASK_KIND_REGISTRY and target.kind is not None
        ]
        gather(lambda: check_metric(metric, kinds), problems)
        if class_weights is not None and kinds and not any(map(is_classification, kinds)):
            problems.add(f"--class-weights {class_weights}: no target holds classes that could weigh more or less.")
        gather(lambda: check_classes(table, schema.targets), problems)
        _check_targets(schema, table, problems)
    problems.raise_if_any()


def gather(check: Callable[[], object], problems: Problems) -> None:
    """Run a check and note what it finds."""
    try:
        check()
    except InputError as error:
        problems.collect(error)


def _check_roles(schema: Schema, table: Table, problems: Problems) -> None:
    if not schema.targets:
        columns = ", ".join(table.columns[:20])
        problems.add(f"No target: say which column of {table.name} to learn by --target COLUMN. It has {columns}.")
    if not schema.modalities:
        told = "; ".join(f"{column.name!r} {column.reason}" for column in schema.named("ignored")[:10])
        reasons = f" ({told})" if told else ""
        problems.add(f"{table.name} has no input column{reasons}: there is nothing to learn from.")
    if len(table) < 2:
        problems.add(
            f"{table.name} has one row; to learn and to check, at least two are needed, and many to learn well."
        )


def _check_columns(schema: Schema, tables: Mapping[int, Table], problems: Problems) -> None:
    needed = [(column.name, "input") for column in schema.named("input")]
    needed += [(column.name, "target") for column in schema.targets]
    for part in (VALIDATION, TEST):
        for name, what in needed if part in tables else []:
            gather(lambda name=name, what=what, part=part: require_columns(tables[part], [name], what), problems)  # type: ignore[misc]


def _check_targets(schema: Schema, table: Table, problems: Problems) -> None:
    for target in schema.targets:
        filled = table.column(target.name).drop_null()
        if len(filled) == 0:
            problems.add(f"Target {target.name!r} has no value in any row; at least two different ones are needed.")
        elif target.kind == "multilabel":
            continue  # which of its labels can be learned, the training rows say
        elif target.kind in TASK_KIND_REGISTRY and len(filled.unique()) == 1:
            only = filled[0].as_py()
            problems.add(f"Target {target.name!r} has one class only, {only!r}: there is nothing to tell apart.")
        elif target.kind is None:
            problems.add(untold_kind(target))
    if schema.group and len(table.column(schema.group).unique()) < 2:
        problems.add(
            f"Group column {schema.group!r} has one value; to split by group, give a column with several, or none."
        )
