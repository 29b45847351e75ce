"""Targets as columns of numbers: classes as corners of a simplex, numbers as they are; tasks grouped by their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.score import Labels

MOST_COLUMNS = 64
"""Columns of one task at most; more classes are mixed at random into so many."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coding:
    """Tasks that are labelled in the same rows, side by side as columns.

    Attributes:
        tasks: Their names.
        labelled: Whether a row has their labels, [all rows].
        targets: Encoded targets by task, [all rows] each.
        codes: By task, the columns of every class [classes + 1, columns], the last row for a class never seen (-1);
            None for numbers.
        task_of: Which of `tasks` a column belongs to, [columns].
    """

    tasks: tuple[str, ...]
    labelled: NDArray[np.bool_]
    targets: tuple[NDArray[np.float32], ...]
    codes: tuple[Floats | None, ...]
    task_of: NDArray[np.int64]

    def read(self, rows: NDArray[np.int64]) -> Floats:
        """The columns of some rows, [rows, columns]."""
        parts = [
            values[rows].astype(np.float64)[:, None] if code is None else code[values[rows].astype(np.int64)]
            for values, code in zip(self.targets, self.codes, strict=True)
        ]
        return np.concatenate(parts, axis=1)


def code_of(classes: int, rng: np.random.Generator) -> Floats:
    """Columns of every class [classes + 1, columns], zeros in the last row.

    Classes are the corners of a regular simplex (Helmert's matrix): classes - 1 columns with the same squared errors as
    one indicator per class, since centred indicators add up to 0. Beyond `MOST_COLUMNS` they are mixed by a random
    projection, which keeps squared errors in the mean (Johnson and Lindenstrauss 1984).
    """
    corners = scipy.linalg.helmert(classes).T
    if corners.shape[1] > MOST_COLUMNS:
        corners = corners @ rng.normal(size=(corners.shape[1], MOST_COLUMNS)) / np.sqrt(MOST_COLUMNS)
    return np.concatenate([corners, np.zeros((1, corners.shape[1]))])


def codings(
    tasks: Sequence[Task], labels: Labels, train: NDArray[np.int64], validation: NDArray[np.int64], seed: int
) -> list[Coding]:
    """The tasks that can be scored, grouped by which rows of `train` and `validation` have their labels.

    Left out are tasks with fewer than two labels in `train`, or none in `validation`.
    """
    rows = np.concatenate([train, validation])
    found: dict[bytes, list[Task]] = {}
    for task in tasks:
        mask = labels.labelled[task.name]
        if mask[train].sum() > 1 and mask[validation].any():
            found.setdefault(mask[rows].tobytes(), []).append(task)
    told = []
    for group in found.values():
        rng = np.random.default_rng([seed, 0xC0DE])
        codes = [
            code_of(len(task.classes), rng) if TASK_KIND_REGISTRY[task.kind].classification else None for task in group
        ]
        widths = [1 if code is None else code.shape[1] for code in codes]
        told.append(
            Coding(
                tuple(task.name for task in group),
                labels.labelled[group[0].name],
                tuple(labels.targets[task.name] for task in group),
                tuple(codes),
                np.repeat(np.arange(len(group)), widths),
            )
        )
    return told
