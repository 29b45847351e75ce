"""Multilabel targets: cells that list any number of labels; inside, one task per label says whether it applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.data.plain import is_list
from plait.exceptions import InputError, listed
from plait.tasks import weighted
from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.classification import Binary

MOST_LABELS: Final = 100
"""Labels of one column at most: each is a task of its own."""

FEWEST_ROWS: Final = 2
"""A label in fewer training rows is left out."""

SEPARATOR: Final = ";"
"""What stands between labels where a cell is text."""


class Multilabel(Binary):
    """Whether one label of a column applies: two classes, False and True.

    A column's figures are means over its labels. F1 is that of the label itself, so that the mean over labels is the
    macro-F1 of multilabel classification; a label that neither applies nor is answered in any row has none.
    """

    name: ClassVar[str] = "multilabel"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "auroc", "average_precision", "log_loss")

    def _formulas(
        self, task: Task, probabilities: NDArray[np.float64], truth: NDArray[np.int64]
    ) -> dict[str, Callable[[], float | None]]:
        told, guess = truth == 1, self.guess(task, probabilities) == 1
        either = int(told.sum() + guess.sum())
        f1 = 2 * float((told & guess).sum()) / either if either else None
        return super()._formulas(task, probabilities, truth) | {"macro_f1": lambda: f1}

    def figure(
        self, metric: str, truth: NDArray[np.int64], guess: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """As `Multiclass.figure`, with the F1 of the label itself."""
        if metric == "macro_f1":
            return weighted.f1(truth == 1, guess == 1, weights)
        return super().figure(metric, truth, guess, weights)


@dataclass(frozen=True)
class LabelLists:
    """The labels of all rows.

    Attributes:
        labelled: [rows]: whether a row says which labels apply; an empty list says that none does.
        rows: [items]: the row of each label that is listed.
        codes: [items]: which of `names` it is.
        names: Distinct labels as text, sorted (numbers by value).
        numbers: Whether the labels are whole numbers.
    """

    labelled: NDArray[np.bool_]
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    names: tuple[str, ...]
    numbers: bool

    def counts(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """In how many of some rows each label stands, [names]."""
        pairs = np.unique(np.stack([self.codes, self.rows]), axis=1)
        return np.bincount(pairs[0][among[pairs[1]]], minlength=len(self.names))

    def has(self, name: str) -> NDArray[np.float32]:
        """1 where a label applies, [rows]; 0 elsewhere, also for one that no row has."""
        found = np.zeros(len(self.labelled), np.float32)
        if name in self.names:
            found[self.rows[self.codes == self.names.index(name)]] = 1.0
        return found


def label_lists(column: pa.ChunkedArray, name: str = "labels") -> LabelLists:
    """Read a column: lists of text or whole numbers, or text with labels between semicolons.

    A null or blank cell says nothing; an empty list, or a cell of semicolons alone, says that no label applies. A
    number alone is one label: a file whose cells list one each reads as numbers.

    Raises:
        InputError: Cells that list no labels.
    """
    column = _as_text(column)
    labelled = column.is_valid().to_numpy()
    if is_list(column.type):
        whole = column.combine_chunks()
        rows = np.repeat(np.arange(len(column)), pc.fill_null(pc.list_value_length(whole), 0).to_numpy())
        cells = pc.list_flatten(whole).to_pylist()
    elif pa.types.is_string(column.type):
        split = [(cell or "").split(SEPARATOR) for cell in column.to_pylist()]
        labelled &= np.array([len(parts) > 1 or bool(parts[0].strip()) for parts in split], np.bool_)
        rows = np.repeat(np.arange(len(split)), [len(parts) for parts in split])
        cells = [part for parts in split for part in parts]
    elif column.null_count == len(column):
        rows, cells = np.zeros(0, np.int64), []
    else:
        raise InputError(
            f"Target {name!r} holds cells of type {column.type}; give lists of text or whole numbers, or text with "
            f"{SEPARATOR!r} between labels."
        )
    texts = ["" if cell is None else str(cell).strip() for cell in cells]
    numbers = is_list(column.type) and pa.types.is_integer(column.type.value_type)
    names = sorted({text for text in texts if text}, key=int if numbers else str)
    place = {name: number for number, name in enumerate(names)}
    codes = np.array([place.get(text, -1) for text in texts], np.int64)
    return LabelLists(labelled, rows[codes >= 0].astype(np.int64), codes[codes >= 0], tuple(names), numbers)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of whole numbers as text; any other as it is."""
    if pa.types.is_floating(column.type):
        whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), 2.0**53))
        column = column.cast(pa.int64()) if pc.all(whole).as_py() else column
    return column.cast(pa.string()) if pa.types.is_integer(column.type) else column


def fit_labels(name: str, column: pa.ChunkedArray, train: NDArray[np.int64], tell: Callable[[str], None]) -> list[Task]:
    """One task for each label that can be learned.

    Args:
        name: The column's name.
        column: Its cells.
        train: Positions of the training rows; nothing else is looked at.
        tell: Told of labels that are left out.

    Raises:
        InputError: No training row is labelled, too many labels, or none that some training rows have and some lack.
    """
    lists = label_lists(column, name)
    among = np.zeros(len(column), np.bool_)
    among[train] = lists.labelled[train]
    total, counts = int(among.sum()), lists.counts(among)
    if total == 0:
        raise InputError(f"Target {name!r} has no labels in any training row; lists of labels are needed.")
    kept = np.flatnonzero((counts >= FEWEST_ROWS) & (counts < total))
    if len(kept) > MOST_LABELS:
        raise InputError(
            f"Target {name!r} has {len(kept):,} labels; at most {MOST_LABELS} are learned. Keep the most frequent, or "
            "merge some."
        )
    if len(kept) == 0:
        raise InputError(
            f"Target {name!r} has no label that at least {FEWEST_ROWS} training rows have and another lacks: there is "
            "nothing to tell apart."
        )
    _tell_left_out(name, lists, counts, total, tell)
    return [
        Task(
            name=f"{name}__{lists.names[code]}", kind="multilabel", label_type="bool", classes=("False", "True"),
            prior=(float(np.log1p(-counts[code] / total)), float(np.log(counts[code] / total))), column=name,
            label=int(lists.names[code]) if lists.numbers else lists.names[code], share=1 / len(kept),
        )
        for code in kept
    ]  # fmt: skip


def _tell_left_out(
    name: str, lists: LabelLists, counts: NDArray[np.int64], total: int, tell: Callable[[str], None]
) -> None:
    reasons = {
        f"in fewer than {FEWEST_ROWS} training rows": np.flatnonzero(counts < FEWEST_ROWS),
        "in every training row": np.flatnonzero((counts == total) & (counts >= FEWEST_ROWS)),
    }
    for reason, codes in reasons.items():
        if len(codes):
            words = listed([repr(lists.names[code]) for code in codes], 5)
            one = len(codes) == 1
            tell(
                f"Target {name!r}: label{'' if one else 's'} {words} {'stands' if one else 'stand'} {reason}; "
                f"{'it is' if one else 'they are'} left out."
            )


def encode_labels(
    tasks: list[Task], column: pa.ChunkedArray
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """(targets, labelled) by task: 1 where its label applies, 0 where not."""
    lists = label_lists(column, tasks[0].target)
    return {task.name: (lists.has(str(task.label)), lists.labelled) for task in tasks}


def rarest(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """The rarest label of every row as a code to stratify by, [rows]; -1 without any label, -2 where none is known.

    So each label's rows are shared out beginning with the rarest, as in iterative stratification (Sechidis et al.
    2011), of which this is the first step.
    """
    lists = label_lists(column)
    counts = lists.counts(np.ones(len(column), np.bool_))
    found = np.where(lists.labelled, -1, -2)
    order = np.argsort(-counts[lists.codes], kind="stable")  # the rarest last, and so the one that stays
    found[lists.rows[order]] = lists.codes[order]
    return np.asarray(found, dtype=np.int64)


def as_lists(tasks: list[Task], applies: list[list[Any]]) -> list[list[Any]]:
    """The labels that apply to every row, from whether each does: by task, one truth value per row."""
    return [[task.label for task, one in zip(tasks, row, strict=True) if one] for row in zip(*applies, strict=True)]


TASK_KIND_REGISTRY.register("multilabel")(Multilabel())
