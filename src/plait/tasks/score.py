"""One number per candidate: how well outputs fit the labels of some rows, higher is better."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from plait.exceptions import InputError, did_you_mean
from plait.tasks._base import TASK_KIND_REGISTRY, Task, by_target, constant_loss
from plait.tasks.weighted import known_mean, spearman

LOWER_IS_BETTER = frozenset({"log_loss", "mae", "rmse"})

Outputs = Mapping[str, NDArray[np.float32]]
"""Outputs by task, arrays [rows, task.outputs]."""


@dataclass(frozen=True)
class Labels:
    """Encoded targets of some rows.

    Attributes:
        targets: By task, arrays [rows].
        labelled: By task, arrays [rows] of bool.
        groups: Group codes [rows], or None where rows stand alone.
    """

    targets: Mapping[str, NDArray[np.float32]]
    labelled: Mapping[str, NDArray[np.bool_]]
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.targets.values())))

    @property
    def anything(self) -> NDArray[np.bool_]:
        """Whether a row has a label of any task, [rows]."""
        return np.asarray(np.logical_or.reduce(list(self.labelled.values())))

    def at(self, rows: NDArray[np.int64]) -> Labels:
        """The labels of some rows, in their order."""
        return Labels(
            {name: values[rows] for name, values in self.targets.items()},
            {name: values[rows] for name, values in self.labelled.items()},
            None if self.groups is None else self.groups[rows],
        )

    def without(self, rows: Collection[int]) -> Labels:
        """The same, with some rows unlabelled."""
        keep = np.array([row not in rows for row in range(len(self))], np.bool_)
        return Labels(self.targets, {name: mask & keep for name, mask in self.labelled.items()}, self.groups)


def check_metric(metric: str | None, kinds: Sequence[str]) -> None:
    """Check that a metric is defined for every task kind of a call.

    Raises:
        InputError: It is unknown, or a task has no such metric.
    """
    for kind in kinds if metric else ():
        known = TASK_KIND_REGISTRY[kind].metrics
        if metric not in known:
            raise InputError(
                f"--metric {metric}: a {kind} target has no such metric; {did_you_mean(str(metric), known)}."
            )


def loss_rows(task: Task, outputs: NDArray[np.float32], labels: Labels) -> NDArray[np.float64]:
    """Loss per row [rows], 0 where a row has no label."""
    targets = torch.from_numpy(np.asarray(labels.targets[task.name]))
    losses = TASK_KIND_REGISTRY[task.kind].loss(torch.from_numpy(np.asarray(outputs)), targets).double().numpy()
    return np.where(labels.labelled[task.name], losses, 0.0)


def constant_rows(task: Task, labels: Labels) -> NDArray[np.float64]:
    """Loss per row [rows] of the constant predictor, 0 where a row has no label."""
    losses = constant_loss(task, torch.from_numpy(np.asarray(labels.targets[task.name]))).double().numpy()
    return np.where(labels.labelled[task.name], losses, 0.0)


def weighted_scores(
    tasks: Sequence[Task], outputs: Outputs, labels: Labels, weights: NDArray[np.float64], metric: str | None = None
) -> NDArray[np.float64]:
    """Scores under several weightings of the rows (a bootstrap draw is one).

    Args:
        tasks: The tasks; the score is the mean over their columns of the mean over a column's tasks.
        outputs: By task.
        labels: Targets of the same rows.
        weights: Whole-number weights [draws, rows].
        metric: None for 1 - loss / loss of the constant predictor; else a metric, turned so that higher is better.

    Returns:
        [draws]; NaN where no task can be scored, -inf where a labelled row's outputs are not finite.
    """
    columns = [
        _ratio_scores(task, outputs, labels, weights)
        if metric is None
        else _metric_scores(task, outputs, labels, weights, metric)
        for task in tasks
    ]
    return mean_score(tasks, np.stack(columns))


def mean_score(tasks: Sequence[Task], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over columns of the mean over their tasks, [...]; `scores` are [tasks, ...], NaN where there is none."""
    places: dict[str, list[int]] = {}
    for number, task in enumerate(tasks):
        places.setdefault(task.target, []).append(number)
    if len(places) < len(tasks):
        scores = np.stack([known_mean(scores[numbers]) for numbers in places.values()])
    return known_mean(scores)


def score(tasks: Sequence[Task], outputs: Outputs, labels: Labels, metric: str | None = None) -> float | None:
    """The score of all rows, each counted once; None where there is none: no labels, or outputs that are not finite."""
    value = float(weighted_scores(tasks, outputs, labels, np.ones((1, len(labels))), metric)[0])
    return value if np.isfinite(value) else None


def _ratio_scores(task: Task, outputs: Outputs, labels: Labels, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    losses = loss_rows(task, outputs[task.name], labels)
    constant = weights @ constant_rows(task, labels)
    if not np.isfinite(losses).all():
        return np.where(constant > 0, -np.inf, np.nan)
    return np.where(constant > 0, 1 - weights @ losses / np.where(constant > 0, constant, 1), np.nan)


def _metric_scores(
    task: Task, outputs: Outputs, labels: Labels, weights: NDArray[np.float64], metric: str
) -> NDArray[np.float64]:
    kind = TASK_KIND_REGISTRY[task.kind]
    rows = np.flatnonzero(labels.labelled[task.name])
    probabilities = kind.probabilities(torch.from_numpy(np.asarray(outputs[task.name]))).double().numpy()
    if not np.isfinite(probabilities[rows]).all():
        return np.full(len(weights), -np.inf)
    truth = labels.targets[task.name][rows].astype(np.float64)
    found = kind.measure_under(task, probabilities[rows], truth, weights[:, rows], (metric,))[metric]
    if metric == "spearman" and np.isnan(found).any():
        # Answers that are all the same say nothing; left out of the mean over tasks, they would be as good as the best.
        ranked = ~np.isnan(spearman(truth, truth, weights[:, rows]))
        found = np.where(np.isnan(found) & ranked, 0.0, found)
    return -found if metric in LOWER_IS_BETTER else found


def measure_all(tasks: Sequence[Task], outputs: Outputs, labels: Labels) -> dict[str, dict[str, object]]:
    """Every metric of every target on its labelled rows: {column: {"n": rows, "metrics": {name: value or None}}}.

    Of a column with a task for each label, a metric is the mean over the labels for which it is defined; and "labels"
    has the metrics of each, {label: {name: value or None}}.
    """
    told: dict[str, dict[str, object]] = {}
    for column, members in by_target(tasks).items():
        found = [_measured(task, outputs, labels) for task in members]
        metrics = {name: _mean_of([one[name] for one in found]) for name in found[0]}
        told[column] = {"n": int(labels.labelled[members[0].name].sum()), "metrics": metrics}
        if members[0].label is not None:
            told[column]["labels"] = {str(task.label): one for task, one in zip(members, found, strict=True)}
    return told


def _measured(task: Task, outputs: Outputs, labels: Labels) -> dict[str, float | None]:
    kind, rows = TASK_KIND_REGISTRY[task.kind], labels.labelled[task.name]
    probabilities = kind.probabilities(torch.from_numpy(np.asarray(outputs[task.name])[rows])).double().numpy()
    return kind.measure(task, probabilities, labels.targets[task.name][rows].astype(np.float64))


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) > 1 else known[0] if known else None
