"""95 % intervals of metrics: bootstrap over rows, or over groups of rows that belong together.

References:
    Efron and Tibshirani 1993, An introduction to the bootstrap: percentile intervals; whole groups where rows are not
    independent (Davison and Hinkley 1997, section 3.8).
    Bickel, Goetze and van Zwet 1997; Politis, Romano and Wolf 1999: of large tables, fewer rows are resampled and the
    deviations scaled by the root of the share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.score import Labels, Outputs
from plait.tasks.weighted import known_mean

MOST_DRAWS: Final = 1_000
FEWEST_DRAWS: Final = 100

BUDGET: Final = 20_000_000
"""Draws times rows times classes at most: some seconds."""

Interval = list[float] | None


def with_intervals(
    tasks: Sequence[Task], outputs: Outputs, labels: Labels, told: dict[str, dict[str, object]]
) -> dict[str, dict[str, object]]:
    """What `measure_all` told, and beside `n` and `metrics` `intervals`: {name: [low, high] or None}.

    Args:
        tasks: The tasks.
        outputs: By task.
        labels: Targets of the same rows; rows of a group are drawn together.
        told: As `measure_all` gives it for them.
    """
    for column, entry in told.items():
        members = [task for task in tasks if task.target == column]
        metrics = entry["metrics"]
        entry["intervals"] = _intervals(members, outputs, labels, dict(metrics) if isinstance(metrics, dict) else {})
    return told


def _intervals(
    tasks: Sequence[Task], outputs: Outputs, labels: Labels, points: dict[str, float | None]
) -> dict[str, Interval]:
    """Intervals of one column's metrics; the same draws for all its tasks."""
    rows = np.flatnonzero(labels.labelled[tasks[0].name])
    groups = np.arange(len(rows)) if labels.groups is None else labels.groups[rows]
    _, units = np.unique(groups, return_inverse=True)
    size = int(units.max(initial=-1)) + 1
    if size < 2:
        return dict.fromkeys(points)
    classes = max(5, sum(min(TASK_KIND_REGISTRY[task.kind].most_ranked, max(1, task.outputs - 1)) for task in tasks))
    rng = np.random.default_rng([0xC1, size])
    draws = int(np.clip(BUDGET // (classes * len(rows)), FEWEST_DRAWS, MOST_DRAWS))
    some = some_units(units, size, BUDGET // (classes * draws), rng)
    taken = np.flatnonzero(some[units])
    kept = int(some.sum())
    counts = rng.multinomial(kept, np.full(kept, 1 / kept), draws).astype(np.float64)
    weights = np.concatenate([np.ones((1, kept)), counts])[:, (some.cumsum() - 1)[units[taken]]]
    found = _under(tasks, outputs, labels, rows[taken], weights)
    shrunk = float(np.sqrt(kept / size))
    return {name: _ends(found[name], point, shrunk) if name in found else None for name, point in points.items()}


def some_units(units: NDArray[np.int64], size: int, most: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which units are drawn from: all, or of many rows so many as have about `most` rows; two at least."""
    if len(units) <= most:
        return np.ones(size, np.bool_)
    some = np.zeros(size, np.bool_)
    some[rng.permutation(size)[: max(2, size * most // len(units))]] = True
    return some


def _under(
    tasks: Sequence[Task], outputs: Outputs, labels: Labels, rows: NDArray[np.int64], weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Metrics [weightings] of a column: the mean over its tasks. Without those that would rank too many classes."""
    each = []
    for task in tasks:
        kind = TASK_KIND_REGISTRY[task.kind]
        chances = kind.probabilities(torch.from_numpy(np.asarray(outputs[task.name])[rows])).double().numpy()
        truth = labels.targets[task.name][rows].astype(np.float64)
        if not np.isfinite(chances).all():
            return {name: np.full(len(weights), np.nan) for name in kind.metrics}
        told = kind.metrics
        if chances.shape[1] > kind.most_ranked:
            told = tuple(name for name in told if name not in kind.ranking)
        each.append(kind.measure_under(task, chances, truth, weights, told))
    return {name: known_mean(np.stack([one[name] for one in each])) for name in each[0]}


def _ends(drawn: NDArray[np.float64], point: float | None, shrunk: float) -> Interval:
    """The interval around a metric from its values: of the rows as they are, then of the draws.

    It reaches to the metric where all draws lie on one side of it, as means over classes of few rows do: a draw lacks
    some of them. None where the metric is undefined, or is in more than half of the draws.
    """
    centre, values = drawn[0], drawn[1:][~np.isnan(drawn[1:])]
    if point is None or np.isnan(centre) or len(values) < 0.5 * (len(drawn) - 1):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    if shrunk < 1.0:
        low, high = point + shrunk * (low - centre), point + shrunk * (high - centre)
    return [min(float(low), point), max(float(high), point)]
