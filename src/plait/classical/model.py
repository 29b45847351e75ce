"""A fitted classical model as plain data around scikit-learn's estimators, and what it answers.

A model is a dict: `family`, `steps` (preparation by modality) and `heads` (an estimator by task, None for the constant
predictor). A stack has `bases` instead of a family, each with its modality and model, and `steps` of its own for what
they decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, Family
from plait.classical.features import prepared, side_by_side
from plait.data.readers._base import Features
from plait.tasks._base import TASK_KIND_REGISTRY, Task

FLOOR: Final = -10.0
"""Log probabilities that a stack reads are at least this."""

Present = Mapping[str, NDArray[np.bool_]]


def outputs_of(
    model: Mapping[str, Any], features: Mapping[str, Features], present: Present, tasks: Sequence[Task]
) -> dict[str, NDArray[np.float64]]:
    """Outputs by task, [rows, outputs]: log probabilities or standardised numbers; the constant predictor's where a
    row has none of the modalities.

    Args:
        model: A fitted model.
        features: By modality, [rows, n]; of those that the model reads, perhaps more.
        present: By modality, [rows].
        tasks: The tasks.
    """
    if "bases" in model:
        return _stacked(model, features, present, tasks)
    family = FAMILIES[model["family"]]
    matrix = matrix_of(model["steps"], family, features, present)
    some = np.logical_or.reduce([present[name] for name in model["steps"]])
    return {task.name: head_outputs(task, model["heads"][task.name], matrix, some, family) for task in tasks}


def matrix_of(steps: Mapping[str, Any], family: Family, features: Mapping[str, Features], present: Present) -> Features:
    """Prepared features of the modalities that `steps` names, side by side, [rows, n]."""
    parts = {name: prepared(features[name], present[name], steps[name], family) for name in steps}
    return side_by_side(parts, present)


def head_outputs(
    task: Task, estimator: Any, matrix: Features, some: NDArray[np.bool_], family: Family
) -> NDArray[np.float64]:
    """Outputs [rows, outputs] of one task's estimator; the constant predictor's where `some` [rows] is False."""
    prior = np.asarray(task.prior, np.float64)
    told = np.tile(prior, (len(some), 1))
    rows = np.flatnonzero(some)
    if estimator is None or len(rows) == 0:
        return told
    if not TASK_KIND_REGISTRY[task.kind].classification:
        told[rows, 0] = estimator.predict(matrix[rows])
        return told
    chances = np.zeros((len(rows), task.outputs))
    chances[:, estimator.classes_] = estimator.predict_proba(matrix[rows])
    constant = np.exp(prior - prior.max())
    told[rows] = np.log((1 - family.smoothing) * chances + family.smoothing * constant / constant.sum())
    return told


def _stacked(
    model: Mapping[str, Any], features: Mapping[str, Features], present: Present, tasks: Sequence[Task]
) -> dict[str, NDArray[np.float64]]:
    told = [outputs_of(base["model"], features, present, tasks) for base in model["bases"]]
    names = sorted({base["modality"] for base in model["bases"]})
    masks = np.stack([present[name] for name in names], axis=1)
    some = np.asarray(masks.any(axis=1))
    found = {}
    for task in tasks:
        steps, estimator = model["steps"][task.name], model["heads"][task.name]
        decisions = decisions_of(task, [one[task.name] for one in told], masks)
        matrix = decisions if steps is None else prepared(decisions, some, steps, FAMILIES["logistic"])
        found[task.name] = head_outputs(task, estimator, matrix, some, FAMILIES["logistic"])
    return found


def decisions_of(
    task: Task, told: Sequence[NDArray[np.float64]], masks: NDArray[np.bool_]
) -> NDArray[np.float64]:  # fmt: skip
    """What the linear model of a stack reads: base models' outputs, and which modalities there are.

    Args:
        task: The task.
        told: Outputs [rows, outputs] of every base model.
        masks: [rows, modalities] of bool.

    Returns:
        [rows, n]: log probabilities, at least -10, each model's less their mean, so that only differences count (of two
        classes one says it all); or numbers; then the masks.
    """
    if TASK_KIND_REGISTRY[task.kind].classification:
        clipped = [one.clip(FLOOR) for one in told]
        told = [(one - one.mean(axis=1, keepdims=True))[:, : 1 if task.outputs == 2 else None] for one in clipped]
    return np.concatenate([*told, masks.astype(np.float64)], axis=1)
