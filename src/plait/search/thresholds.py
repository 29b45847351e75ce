"""Decision thresholds: offsets of the classes' log probabilities that make answers better by a metric of answers.

Probabilities stay as they are; only which class is answered changes. A metric such as balanced accuracy wants rare
classes answered more often than they are the most probable ones (Elkan 2001: thresholds follow from the costs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plait.search.evaluator import FOLDS
from plait.tasks._base import Task
from plait.tasks.classification import Multiclass

METRICS: Final = ("accuracy", "balanced_accuracy", "macro_f1")
"""Metrics of answers alone."""

FEWEST_ROWS: Final = 30
"""Fewer labelled rows that judge choose no thresholds."""

MOST_CLASSES: Final = 50

STEPS: Final = 32
"""Offsets that are tried for one class at a time, at the rows' own turning points."""

SWEEPS: Final = 2
DRAWS: Final = 500


@dataclass(frozen=True)
class Thresholds:
    """What thresholds are worth.

    Attributes:
        offsets: What is added to the classes' log probabilities, [classes].
        before, after: The metric without them, and with such as were chosen on other rows.
        standard_error: Of the paired difference, by bootstrap.
    """

    offsets: tuple[float, ...]
    before: float
    after: float
    standard_error: float

    @property
    def pays(self) -> bool:
        """Whether they help by more than one standard error."""
        return self.after - self.before > max(self.standard_error, 1e-12)


def thresholds(
    kind: Multiclass, metric: str, chances: NDArray[np.float64], truth: NDArray[np.int64],
    fold_of: NDArray[np.int64], groups: NDArray[np.int64] | None, seed: int,
) -> Thresholds | None:  # fmt: skip
    """Choose offsets for one task.

    Args:
        kind: The task's kind, whose answers are the most probable class.
        metric: One of `METRICS`.
        chances: Probabilities [n, classes] of labelled rows that judge, from parameters that never saw them.
        truth: Their classes [n].
        fold_of: Their folds [n]: a row is judged by offsets that the other folds chose.
        groups: Which rows are drawn together, [n]; None where each stands alone.
        seed: Of the bootstrap.

    Returns:
        None where there are too few rows, or too many classes.
    """
    if len(truth) < FEWEST_ROWS or chances.shape[1] > MOST_CLASSES or len(np.unique(truth)) < 2:
        return None
    logs = np.log(np.clip(chances, 1e-12, None))
    plain, fitted = logs.argmax(axis=1), logs.argmax(axis=1)
    for fold in range(FOLDS):
        inside = fold_of == fold
        if inside.any() and not inside.all():
            fitted[inside] = (logs[inside] + _best(kind, metric, logs[~inside], truth[~inside])).argmax(axis=1)
    _, units = np.unique(np.arange(len(truth)) if groups is None else groups, return_inverse=True)
    size = int(units.max()) + 1
    drawn = np.random.default_rng([seed, 0x7E5]).multinomial(size, np.full(size, 1 / size), DRAWS)
    weights = np.concatenate([np.ones((1, len(truth))), drawn.astype(np.float64)[:, units]])
    before, after = (kind.figure(metric, truth, guess, weights) for guess in (plain, fitted))
    difference = (after - before)[1:]
    known = difference[~np.isnan(difference)]
    return Thresholds(
        tuple(float(value) for value in _best(kind, metric, logs, truth)), float(before[0]), float(after[0]),
        float(known.std()) if len(known) else float("inf"),
    )  # fmt: skip


def _best(kind: Multiclass, metric: str, logs: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Offsets [classes] that are best on some rows: one class after another, as far as it helps."""
    offsets, ones = np.zeros(logs.shape[1]), np.ones((1, len(truth)))

    def value(tried: NDArray[np.float64]) -> float:
        return float(kind.figure(metric, truth, np.asarray((logs + tried).argmax(axis=1), np.int64), ones)[0])

    best = value(offsets)
    for _ in range(SWEEPS):
        before = best
        for place in range(1 if logs.shape[1] == 2 else 0, logs.shape[1]):
            others = np.delete(logs + offsets, place, axis=1).max(axis=1)
            turns = np.unique(others - logs[:, place])  # beyond its turn, a row is answered by this class
            middles = (turns[1:] + turns[:-1]) / 2
            for step in middles[np.unique(np.linspace(0, len(middles) - 1, STEPS).astype(int))] if len(middles) else ():
                tried = offsets.copy()
                tried[place] = step
                if (found := value(tried)) > best + 1e-12:
                    best, offsets = found, tried
        if best == before:
            break
    return np.asarray(offsets - offsets[0])


def told(task: Task, found: Thresholds, metric: str) -> str:
    """What was chosen, in a sentence."""
    pairs = list(zip(task.classes, found.offsets, strict=True))
    listed = ", ".join(f"{label} {offset:+.2f}" for label, offset in pairs[:6]) + (", ..." if len(pairs) > 6 else "")
    return (
        f"Answers of {task.name!r} go by thresholds chosen without test rows: the class is answered whose log "
        f"probability is highest after adding {listed}. {metric} rises from {found.before:.4f} to {found.after:.4f} "
        f"there, cross-fitted (standard error {found.standard_error:.4f}). Probabilities, and the figures of "
        "validation and of the leaderboard, are without them."
    )
