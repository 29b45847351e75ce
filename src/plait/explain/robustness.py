"""How well a predictor does without some of its modalities."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import numpy as np
from torch import Tensor

from plait.data.batches import Rows
from plait.tasks._base import Task
from plait.tasks.score import Labels, Outputs, measure_all, score

EVERY_SET: Final = 4
"""Of no more modalities than this, every set is tried; of more, all, all but one, and each alone."""


def sets_of(names: Collection[str]) -> list[tuple[str, ...]]:
    """Which modalities to leave a predictor, the largest sets first; never none.

    Example:
        >>> sets_of(["image", "sound"])
        [('image', 'sound'), ('image',), ('sound',)]
    """
    found = sorted(names)
    sizes = range(len(found), 0, -1) if len(found) <= EVERY_SET else (len(found), len(found) - 1, 1)
    return [chosen for size in sizes for chosen in combinations(found, size)]


def without(rows: Rows, dropped: Collection[str]) -> Rows:
    """The same rows as if none of them had some modalities."""
    gone = {name: np.zeros_like(mask) for name, mask in rows.present.items() if name in dropped}
    return replace(rows, present={**rows.present, **gone})


def robustness(
    predict: Callable[[Rows], Mapping[str, Tensor]], rows: Rows, names: Collection[str], tasks: Sequence[Task],
    labels: Labels, whole: Outputs, metric: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Metrics where only some modalities are left, for every set of them that `sets_of` names.

    Args:
        predict: Outputs by task [rows, outputs].
        rows: What to predict.
        names: The modalities that the predictor reads.
        tasks: The tasks.
        labels: Targets of the same rows.
        whole: What `predict` says of the rows as they are.
        metric: Of the score; None for 1 - loss / loss of the constant predictor.

    Returns:
        Per set {"present": names, "score": higher is better or None, "tasks": as `measure_all`}.
    """
    told = []
    for left in sets_of(names):
        outputs = whole
        if gone := set(names) - set(left):
            outputs = {name: values.numpy() for name, values in predict(without(rows, gone)).items()}
        told.append(
            {
                "present": list(left),
                "score": score(tasks, outputs, labels, metric),
                "tasks": measure_all(tasks, outputs, labels),
            }
        )
    return told
