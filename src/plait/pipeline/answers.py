"""What a predictor answers, as frames: predictions in the type of the training table, and class probabilities."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plait.tasks._base import TASK_KIND_REGISTRY, Task, by_target, chance_columns
from plait.tasks.multilabel import as_lists

PLAIN = {"int": "int64", "float": "float64", "str": "object", "bool": "bool"}
NULLABLE = {"int": "Int64", "float": "float64", "str": "object", "bool": "boolean"}

Chances = Mapping[str, NDArray[np.float32]]
"""By task, what its kind's `probabilities` gives, [rows, outputs]."""


def answers_of(tasks: Iterable[Task], found: Chances, bad: Collection[int]) -> pd.DataFrame:
    """Predictions, a column per target; empty in bad rows."""
    columns = {}
    for target, members in by_target(tasks).items():
        kind, task = TASK_KIND_REGISTRY[members[0].kind], members[0]
        each = [kind.answers(one, found[one.name].astype(np.float64)) for one in members]
        answers = each[0] if task.label is None else as_lists(members, each)
        filled = [None if row in bad else answer for row, answer in enumerate(answers)]
        label_type = task.label_type if kind.classification else "float"
        told = (NULLABLE if bad else PLAIN)[label_type] if task.label is None else "object"
        columns[target] = pd.Series(filled, dtype=told)
    return pd.DataFrame(columns)


def chances_of(tasks: Iterable[Task], found: Chances, bad: Collection[int]) -> pd.DataFrame:
    """Class probabilities, a column per class, or per label of a target of lists; NaN in bad rows."""
    columns: dict[str, NDArray[np.float64]] = {}
    for task in tasks:
        chances = found[task.name].astype(np.float64)
        chances[list(bad)] = np.nan
        told = chances[:, 1:] if task.label is not None else chances
        columns |= {name: told[:, index] for index, name in enumerate(chance_columns(task))}
    return pd.DataFrame(columns)
