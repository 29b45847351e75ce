"""Greedy ensemble selection: trials that together predict better than each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from plait.fusion.candidates import Candidate
from plait.fusion.ensemble import averaged
from plait.search.evaluator import FOLDS, Trial
from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.score import Labels, Outputs, constant_rows, mean_score, score

MOST = 16
"""Rounds of selection; a trial may be taken more than once."""

NAME = "ensemble"

FEWEST_ROWS, MOST_NUMBERS = 2_000, 10_000_000
"""Members are selected by rows that have at most so many numbers in all trials, by so many rows at least: selection has
several copies of them in memory."""


class _Pool:
    """Probabilities (or predictions) of all trials on some rows, ready to be averaged.

    Args:
        trials: What may be taken.
        tasks: The tasks.
        labels: Targets of the rows that judge.
        rows: Which of these, [n].
    """

    def __init__(
        self, trials: Sequence[Trial], tasks: Sequence[Task], labels: Labels, rows: NDArray[np.int64]
    ) -> None:  # fmt: skip
        self.tasks, self.labels = tasks, labels.at(rows)
        self.told = {
            task.name: torch.stack(
                [
                    TASK_KIND_REGISTRY[task.kind].probabilities(
                        torch.from_numpy(np.asarray(trial.outputs[0][task.name])[rows])
                    )
                    for trial in trials
                ]
            ).double()
            for task in tasks
        }
        self.constant = {task.name: constant_rows(task, self.labels) for task in tasks}

    def value(self, task: Task, chances: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        """Scores [candidates] of probabilities [candidates, rows, outputs] on some of the pool's rows."""
        targets = torch.from_numpy(np.asarray(self.labels.targets[task.name][rows]))
        mask = torch.from_numpy(self.labels.labelled[task.name][rows])
        losses = TASK_KIND_REGISTRY[task.kind].surprise(chances, targets)
        constant = float(self.constant[task.name][rows][mask.numpy()].sum())
        return 1 - torch.where(mask, losses, 0.0).sum(dim=1) / constant if constant > 0 else torch.zeros(len(chances))

    def select(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each trial is taken, by some of the pool's rows: as long as it helps, at most `MOST` times."""
        at = torch.from_numpy(rows)
        parts = {task.name: self.told[task.name][:, at] for task in self.tasks}
        total = {name: torch.zeros_like(part[0]) for name, part in parts.items()}
        counts = np.zeros(len(next(iter(parts.values()))), np.int64)
        best, kept = -np.inf, counts.copy()
        for taken in range(1, MOST + 1):
            each = [self.value(task, (total[task.name] + parts[task.name]) / taken, rows) for task in self.tasks]
            scores = torch.from_numpy(mean_score(self.tasks, torch.stack(each).numpy()))
            chosen = int(scores.argmax())
            counts[chosen] += 1
            total = {name: total[name] + parts[name][chosen] for name in parts}
            if float(scores[chosen]) > best + 1e-9:
                best, kept = float(scores[chosen]), counts.copy()
        return kept


def ensembles(
    trials: Sequence[Trial], tasks: Sequence[Task], labels: Labels, folds: Callable[[int], NDArray[np.int64]],
    metric: str | None = None,
) -> list[Trial]:  # fmt: skip
    """The ensemble of all trials, and where they read several modalities, one of those that read the best one alone.

    Without the second, averaging would be taken for fusion: of one modality, too, several models are better than one.

    Args:
        trials: What may be taken; one that has no score is not.
        tasks: The tasks.
        labels: Targets of the rows that judge.
        folds: Fold of every one of them, by repeat.
        metric: What the trials are scored by; None for the default score.
    """
    known = [trial for trial in trials if trial.score is not None]
    found = [ensemble_of(known, tasks, labels, folds, metric)]
    alone = [trial for trial in known if len(trial.candidate.used) == 1]
    if alone and len({trial.candidate.used for trial in known}) > 1:
        name = max((float(trial.score or 0.0), trial.candidate.used) for trial in alone)[1][0]
        same = [trial for trial in alone if trial.candidate.used == (name,)]
        found.append(ensemble_of(same, tasks, labels, folds, metric, f"{NAME} of {name}"))
    return [one for one in found if one is not None]


def ensemble_of(
    trials: Sequence[Trial], tasks: Sequence[Task], labels: Labels, folds: Callable[[int], NDArray[np.int64]],
    metric: str | None = None, name: str = NAME,
) -> Trial | None:  # fmt: skip
    """Select an ensemble from trials, with replacement, by the default score (Caruana et al. 2004).

    What it is scored on is cross-fitted: a row's outputs come from the selection by the other folds.

    Args:
        trials: What may be taken; one that has no score is not.
        tasks: The tasks.
        labels: Targets of the rows that judge.
        folds: Fold of every one of them, by repeat.
        metric: What the trial is scored by; None for the default score.
        name: What the leaderboard calls it.

    Returns:
        The ensemble as a trial of its own; None with fewer than two trials to take from.
    """
    started = time.monotonic()
    known = [trial for trial in trials if trial.score is not None]
    if len(known) < 2:
        return None
    drawn = _drawn(len(labels), len(known) * sum(task.outputs for task in tasks))
    pool, fold_of = _Pool(known, tasks, labels, drawn), folds(0)
    told = {task.name: np.zeros((len(labels), task.outputs), np.float32) for task in tasks}
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of[drawn] != fold)
        if len(inside) and len(outside):
            for task, values in _mixed(known, tasks, pool.select(outside), inside).items():
                told[task][inside] = values
    counts = pool.select(np.arange(len(drawn)))
    places = [int(place) for place in np.flatnonzero(counts)]
    candidate = Candidate(
        name=name, kind="ensemble", members=tuple(known[place].candidate for place in places),
        counts=tuple(int(counts[place]) for place in places),
    )  # fmt: skip
    weights = {
        f"members.{number}.{name}": tensor
        for number, place in enumerate(places)
        for name, tensor in known[place].weights.items()
    }
    weights["weights"] = torch.tensor([counts[place] for place in places], dtype=torch.float32) / int(counts.sum())
    value = score(tasks, told, labels, metric)
    return Trial(candidate, (told,), value, (value,), time.monotonic() - started, weights)


def _mixed(
    trials: Sequence[Trial], tasks: Sequence[Task], counts: NDArray[np.int64], rows: NDArray[np.int64]
) -> Outputs:
    """Outputs of an ensemble on some rows."""
    taken = [trial for trial, count in zip(trials, counts, strict=True) if count]
    weights = torch.from_numpy(counts[counts > 0] / counts.sum()).float()
    return {
        task.name: averaged(
            task, torch.stack([torch.from_numpy(np.asarray(t.outputs[0][task.name])[rows]) for t in taken]), weights
        ).numpy()
        for task in tasks
    }


def _drawn(rows: int, numbers: int) -> NDArray[np.int64]:
    """Rows by which members are selected: all, or some where each has so many numbers that all would be too much."""
    most = max(FEWEST_ROWS, MOST_NUMBERS // numbers)
    return np.arange(rows) if rows <= most else np.sort(np.random.default_rng([rows, 0xCA2]).permutation(rows)[:most])
