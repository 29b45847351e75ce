"""Fits tasks on training labels and encodes target columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.data.kinds import CELLS, can_hold
from plait.data.readers.tabular import category_name
from plait.data.schema import Column
from plait.data.table import Table
from plait.exceptions import InputError, Problems, listed
from plait.tasks._base import TASK_KIND_REGISTRY, LabelType, Task, by_target, chance_columns
from plait.tasks.multilabel import encode_labels, fit_labels, rarest
from plait.tasks.ordinal import ordinal_value

MAX_CLASSES = 1_000
"""Every network and every trial has an output for each class; with more, no time limit could be kept."""

RARE_ROWS = 20
"""Rows up to which a class may be missing in a part of a split that is not stratified by it."""


def distinct_labels(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct labels as text, sorted, and the code of each row's among them, -1 without one; 3 and 3.0 are the same.

    Example:
        >>> distinct_labels(pa.chunked_array([["b", " a", None, "b "]]))
        (['a', 'b'], array([ 1,  0, -1,  1]))
    """
    if column.null_count == len(column):
        return [], np.full(len(column), -1, np.int64)
    encoded = pc.dictionary_encode(column.combine_chunks())
    texts = [_label_text(cell) for cell in encoded.dictionary.to_pylist()]
    names = sorted({text for text in texts if text is not None})
    place = {name: code for code, name in enumerate(names)}
    codes = np.array([*(-1 if text is None else place[text] for text in texts), -1], np.int64)
    return names, codes[pc.fill_null(encoded.indices, len(texts)).to_numpy()]


def _label_text(cell: Any) -> str | None:
    if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.strip() if isinstance(cell, str) else str(cell)


def _label_type(kind: pa.DataType) -> LabelType:
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int"
    return "float" if pa.types.is_floating(kind) else "str"


def fit_tasks(
    table: Table, targets: tuple[Column, ...], train: NDArray[np.int64], tell: Callable[[str], None] | None = None,
    types: Mapping[str, pa.DataType] | None = None,
) -> tuple[Task, ...]:  # fmt: skip
    """One fitted task per target column, or per label of a column of lists.

    Args:
        table: The table with all rows.
        targets: The target columns.
        train: Positions of the training rows; nothing else is looked at.
        tell: Told in sentences what is left out.
        types: What cells of targets are where training rows come from, if other rows made another type of them.

    Raises:
        InputError: A target without labels, with one class, with a class of one row, or of an unknown kind; two columns
            of answers and probabilities would have one name.
    """
    problems = Problems()
    tasks: list[Task] = []
    for column in targets:
        try:
            if column.kind == "multilabel":
                tasks += fit_labels(column.name, table.column(column.name), train, tell or (lambda sentence: None))
            else:
                cells = table.column(column.name).take(pa.array(train))
                kind = (types or {}).get(column.name, cells.type)
                tasks.append(_fit_task(cells if cells.type == kind else cells.cast(kind), column))
        except InputError as error:
            problems.collect(error)
    names = Counter([*(target.name for target in targets), *(name for task in tasks for name in chance_columns(task))])
    for name in (name for name, count in names.items() if count > 1):
        problems.add(f"{name!r} would be a column of answers and of probabilities, or of two targets: rename a target.")
    problems.raise_if_any()
    return tuple(tasks)


def _fit_task(column: pa.ChunkedArray, target: Column) -> Task:
    if target.kind is None or target.kind not in TASK_KIND_REGISTRY:
        raise InputError(untold_kind(target))
    label_type = _label_type(column.type)
    if TASK_KIND_REGISTRY[target.kind].classification:
        return _fit_classes(target, column, label_type)
    return _fit_numbers(target, column, label_type)


def untold_kind(target: Column) -> str:
    """What to say of a target whose kind could not be told."""
    return (
        f"Target {target.name!r} holds {target.reason or 'cells that cannot be learned'}; a target holds classes "
        f"(text, whole numbers, truth values) or numbers. --kind {target.name}=KIND says which: "
        f"{', '.join(TASK_KIND_REGISTRY)}."
    )


def _fit_classes(target: Column, column: pa.ChunkedArray, label_type: LabelType) -> Task:
    names, codes = distinct_labels(column)
    counts = np.bincount(codes[codes >= 0])
    if len(names) == 0:
        raise InputError(f"Target {target.name!r} has no label in any training row; at least two classes are needed.")
    if len(names) == 1:
        raise InputError(
            f"Target {target.name!r} has one class only, {names[0]!r}, in the {len(column):,} training rows: there "
            "is nothing to tell apart."
        )
    if len(names) > MAX_CLASSES:
        raise InputError(
            f"Target {target.name!r} has {len(names):,} classes; at most {MAX_CLASSES:,} are learned. Merge rare ones, "
            f"or, if it is a quantity: --kind {target.name}=regression."
        )
    if target.kind == "binary" and len(names) > 2:
        raise InputError(
            f"Target {target.name!r} has {len(names)} classes, not two: use --kind {target.name}=multiclass."
        )
    if target.kind == "ordinal":
        check_order(target, names, label_type)
    numbers = label_type in ("int", "float") or target.kind == "ordinal"
    places = [target.order.index(name) if target.order else float(name) for name in names] if numbers else []
    order = np.argsort(places, kind="stable") if numbers else np.arange(len(names))
    frequencies = counts[order] / counts.sum()
    return Task(
        name=target.name,
        kind=str(target.kind),
        label_type=label_type,
        classes=tuple(names[place] for place in order),
        prior=tuple(float(value) for value in np.log(frequencies)),
    )


def check_order(target: Column, texts: list[str], label_type: LabelType) -> None:
    """Check that labels have an order: the target's own, or that they are numbers, each its own.

    Raises:
        InputError: Truth values, text without or outside an order, or two spellings of one number.
    """
    name = target.name
    if target.order:
        if odd := sorted(set(texts) - set(target.order)):
            raise InputError(
                f"Target {name!r} holds {', '.join(map(repr, odd[:5]))}, which its order does not name: "
                f"{', '.join(map(repr, target.order))}."
            )
        return
    if label_type == "bool":
        raise InputError(f"Target {name!r} holds truth values, which have no order to learn: --kind {name}=binary.")
    words = [text for text in texts if ordinal_value(text) is None]
    if words:
        raise InputError(
            f"Target {name!r} is to be ordinal, but holds {', '.join(map(repr, words[:5]))}: text says nothing of its "
            'order. Say it in the schema ("order": ["least", ..., "most"]), give an ordered categorical, or numbers, 1 '
            f"for the least; or learn classes without an order: --kind {name}=multiclass."
        )
    values = Counter(ordinal_value(text) for text in texts)
    if twice := [value for value, count in values.items() if count > 1]:
        raise InputError(f"Target {name!r} writes the number {twice[0]:g} in several ways: write it in one.")


def _fit_numbers(target: Column, column: pa.ChunkedArray, label_type: LabelType) -> Task:
    values = _numbers(target.name, column)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise InputError(f"Target {target.name!r} has no label in any training row; numbers are needed.")
    if np.ptp(values) == 0:
        raise InputError(f"Target {target.name!r} is {values[0]:g} in every training row: there is nothing to learn.")
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(values.mean()), float(values.std())
    if not (np.isfinite(mean) and 0 < scale < np.inf):
        raise InputError(
            f"Target {target.name!r} holds numbers from {values.min():g} to {values.max():g}, too large or too near to "
            "one another for their spread to be a number: give it in another unit."
        )
    return Task(
        name=target.name, kind=str(target.kind), label_type=label_type, mean=mean, scale=scale, prior=(0.0,),
    )  # fmt: skip


def _numbers(name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    try:
        numbers = pc.fill_null(pc.cast(column, pa.float64()), float("nan")).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        hint = " Write numbers with digits and a point alone." if pa.types.is_string(column.type) else ""
        raise InputError(
            f"Target {name!r} is to be a number, but {' '.join(str(error).split())[:160]}.{hint}"
        ) from error
    if np.isinf(numbers).any():
        raise InputError(f"Target {name!r} holds infinite numbers; give finite ones, or leave the cell empty.")
    return np.asarray(numbers, dtype=np.float64)


def _code(text: str, index: Mapping[str, int], loosely: Mapping[str | None, int]) -> int:
    return index[text] if text in index else loosely.get(category_name(text), -1)


def is_classification(kind: str | None) -> bool:
    """Whether a task kind (None: none could be told) is one of classes."""
    return kind is not None and kind in TASK_KIND_REGISTRY and TASK_KIND_REGISTRY[kind].classification


def check_classes(table: Table, targets: tuple[Column, ...]) -> None:
    """Refuse a class with a single row, which could be learned or judged, never both; and ordinal ones without order.

    Raises:
        InputError: Names the classes, with ways out.
    """
    problems = Problems()
    for target in targets:
        if not is_classification(target.kind) or target.kind == "multilabel":
            continue
        column = table.column(target.name)
        names, codes = distinct_labels(column)
        counts = np.bincount(codes[codes >= 0])
        if target.kind == "ordinal":
            try:
                check_order(target, names, _label_type(column.type))
            except InputError as error:
                problems.collect(error)
                continue
        single = [name for name, count in zip(names, counts, strict=True) if count == 1]
        if single and len(names) > 1:
            regression = (
                f" If it is a quantity, not a class: --kind {target.name}=regression"
                + (f", once its cells are numbers ({target.doubt})." if target.doubt else ".")
                if _numeric(table, target)
                else ""
            )
            problems.add(
                f"Target {target.name!r}: class {listed(list(map(repr, single)), 5)} has one row only; two are "
                "needed, one to learn from and one to check on. Add rows, or empty that label (a row without a label "
                f"may stay).{regression}"
            )
    problems.raise_if_any()


def _numeric(table: Table, target: Column) -> bool:
    return _label_type(table.column(target.name).type) in ("int", "float") or bool(target.doubt)


def encode_all(tasks: Sequence[Task], table: Table) -> dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """(targets, labelled) of all tasks, by name, as `encode_targets` gives them."""
    found: dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]] = {}
    for column, members in by_target(tasks).items():
        if members[0].label is not None:
            found |= encode_labels(members, table.column(column))
        else:
            found[column] = encode_targets(members[0], table)
    return found


def balanced(task: Task) -> Task:
    """The same task with class weights n / (K n_class), of the training rows: every class then weighs the same.

    A task of numbers stays as it is.
    """
    if not TASK_KIND_REGISTRY[task.kind].classification:
        return task
    weights = tuple(float(np.exp(-value)) / len(task.prior) for value in task.prior)
    return task.model_copy(update={"class_weights": weights})


def strata(table: Table, targets: tuple[Column, ...]) -> NDArray[np.int64]:
    """Codes [rows] to stratify a split by: those of the first target of classes; all the same without one.

    A row of a rare class of any of them (labels in lists aside) has the code of its rarest, so that a split leaves none
    to chance; else a second target might have all its rows of a class in one part.
    """
    classes = [target for target in targets if is_classification(target.kind)]
    if not classes:
        return np.zeros(len(table), np.int64)
    plain = {
        target.name: distinct_labels(table.column(target.name))[1] for target in classes if target.kind != "multilabel"
    }
    first = classes[0].name
    found = plain[first].copy() if first in plain else rarest(table.column(first))
    rarity = np.full(len(table), RARE_ROWS + 1)
    for codes in plain.values() if len(classes) > 1 else ():
        size = np.where(codes >= 0, np.bincount(codes[codes >= 0], minlength=1)[codes], RARE_ROWS + 1)
        rarer = size < rarity
        found[rarer] = int(found.max(initial=0)) + 1 + codes[rarer]
        rarity = np.minimum(rarity, size)
    return found


def encode_targets(task: Task, table: Table) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A target column as numbers; not one with a task for each label.

    Returns:
        (targets, labelled), arrays [rows]: class index (-1 for a class that training never saw) or standardised
        number, 0 where there is no label; and whether there is one.

    Raises:
        InputError: A numeric target that is not numeric here; cells that can be no class.
    """
    column = table.column(task.name)
    if not can_hold(task.kind, column.type):
        raise InputError(f"Target {task.name!r} holds cells of type {column.type}; expected {CELLS[task.kind]}.")
    if not TASK_KIND_REGISTRY[task.kind].classification:
        values = (_numbers(task.name, column) - task.mean) / task.scale
        return np.nan_to_num(values).astype(np.float32), ~np.isnan(values)
    index = {text: position for position, text in enumerate(task.classes)}
    # A label written otherwise than in training (1 for 1.0, True for true) counts, unless that is a class of its own.
    loosely = {category_name(text): position for position, text in enumerate(task.classes)} | index
    names, codes = distinct_labels(column)
    known = np.array([*(_code(name, index, loosely) for name in names), 0], np.float32)
    return known[codes], codes >= 0
