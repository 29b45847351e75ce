"""The stage that chooses decision thresholds for what is returned, where a metric of answers asks for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from plait.pipeline._base import COMPARED, Fit, Stage
from plait.search.evaluator import crossed
from plait.search.thresholds import METRICS, MOST_CLASSES, thresholds, told
from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.classification import Multiclass

MOST_DRAWN, MOST_COMPARISONS = 20_000, 4_000_000
"""Rows by which offsets are chosen, and rows times classes squared: some ten seconds; of more rows, some are drawn."""


class ThresholdStage(Stage):
    """Offsets of log probabilities by task, by the rows that judge; kept where they gain more than a standard error."""

    name = "thresholds"
    after: ClassVar[tuple[str, ...]] = ("split", *COMPARED, "choose", "finetune")

    def inputs(self, fit: Fit) -> list[str]:
        """Metric and seed."""
        return [str(fit.options.metric), str(fit.options.seed)]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Choose, and judge by cross-fitting; nothing for a score of probabilities."""
        metric = fit.options.metric
        found: dict[str, Any] = {}
        labels = fit.labels.at(fit.judged)
        outputs = fit.trials[fit.chosen.chosen].outputs[0]
        fold_of = crossed(labels, fit.options.seed)
        for task in fit.tasks:
            kind = TASK_KIND_REGISTRY[task.kind]
            many = task.outputs > MOST_CLASSES
            if many or metric not in METRICS or not isinstance(kind, Multiclass) or not kind.thresholds:
                continue
            known = np.flatnonzero(labels.labelled[task.name] & (labels.targets[task.name] >= 0))
            rows = some_rows(known, task, fit.options.seed)
            chances = kind.probabilities(torch.from_numpy(np.asarray(outputs[task.name])[rows])).double().numpy()
            if not np.isfinite(chances).all():
                continue
            truth = labels.targets[task.name][rows].astype(np.int64)
            groups = None if labels.groups is None else labels.groups[rows]
            one = thresholds(kind, metric, chances, truth, fold_of[rows], groups, fit.options.seed)
            if one is not None:
                found[task.name] = {**asdict(one), "kept": one.pays}
                if one.pays:
                    fit.note(told(task, one, metric))
        return {"told": found}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The tasks as they are answered."""
        kept = {name: tuple(one["offsets"]) for name, one in result["told"].items() if one["kept"]}
        fit.answered = tuple(
            task.model_copy(update={"offsets": kept[task.name]}) if task.name in kept else task for task in fit.tasks
        )


def some_rows(rows: NDArray[np.int64], task: Task, seed: int) -> NDArray[np.int64]:
    """The rows, or so many of them as choosing offsets may take: each class is moved past all others."""
    most = min(MOST_DRAWN, MOST_COMPARISONS // task.outputs**2)
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, 0x7E5]).permutation(rows)[:most])
