"""Gains of one ridge solution over another, with standard errors and tests, from a pass over validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from plait.search.screening.coding import Floats
from plait.search.screening.ridge import Gram, Solution, constant_errors
from plait.search.screening.sketch import Sketch, chunks
from plait.tasks.score import Labels

CLUSTERS = 64
"""Blocks of validation rows between which standard errors are taken."""


@dataclass(frozen=True)
class Held:
    """Validation rows: their positions, sorted, and the block of each, under `CLUSTERS`."""

    rows: NDArray[np.int64]
    cluster_of: NDArray[np.int64]


def held(labels: Labels, rows: NDArray[np.int64], seed: int) -> Held:
    """Deal validation rows out to blocks; groups stay together."""
    rng = np.random.default_rng([seed, 0xB10C])
    if labels.groups is None:
        return Held(rows, rng.permutation(np.arange(len(rows)) % CLUSTERS))
    names, codes = np.unique(labels.groups[rows], return_inverse=True)
    return Held(rows, rng.permutation(np.arange(len(names)) % CLUSTERS)[codes])


def students(agreement: Floats, level: float) -> tuple[Floats, float]:
    """Student's t of every test, and the limit above which one is beyond chance.

    Args:
        agreement: Sums by block of rows and test, [blocks, tests], of mean 0 where nothing is to be found; a block
            without rows is 0.
        level: Chance that any of all tests passes the limit where nothing is to be found (Bonferroni).

    Returns:
        [tests], and the limit; infinite where fewer than three blocks have rows.
    """
    filled = agreement[np.abs(agreement).sum(axis=1) > 0]
    count, total = len(filled), agreement.sum(axis=0)
    error = np.sqrt(np.square(filled - total / max(count, 1)).sum(axis=0) * count / max(count - 1, 1))
    t = np.divide(total, error, out=np.zeros_like(total), where=error > 0)
    return t, float(scipy.stats.t.isf(level / max(len(t), 1), count - 1)) if count > 2 else np.inf


@dataclass(frozen=True)
class Gain:
    """By how much one solution's score is higher than another's.

    Attributes:
        gain: The difference of the scores.
        standard_error: Of `gain`; infinite where too few blocks have rows.
        significant: Whether the added columns foretell, beyond chance, what the other solution leaves.
    """

    gain: float
    standard_error: float
    significant: bool


def gains(
    sketch: Sketch, grams: Sequence[Gram], held_out: Held, before: Solution, after: Sequence[Solution],
    added: Sequence[NDArray[np.int64]], tests: int, level: float, chunk: int,
) -> list[Gain]:  # fmt: skip
    """Compare solutions with one that has fewer columns.

    The standard error is a jackknife over blocks of rows (Efron and Tibshirani 1993, eq. 11.5). The test is a sharper
    one: what `before` leaves of the targets is regressed on the added columns, over training rows; the mean over
    validation rows of foretold x left is 0 where they say nothing. A difference of squared errors has twice the
    standard error relative to its size.

    Args:
        sketch: Reads columns.
        grams: One per group of tasks.
        held_out: Validation rows.
        before: The solution with fewer columns.
        after: Solutions with more.
        added: Which columns each of them adds.
        tests: Among how many solutions each was the best one.
        level: Chance that the best of `tests` is called significant where nothing is to be found.
        chunk: Rows read at once.
    """
    tasks = sum(len(gram.coding.tasks) for gram in grams)
    errors = np.zeros((CLUSTERS, len(after) + 2, tasks))  # of the constant predictor, before, and after
    agreement = np.zeros((CLUSTERS, len(after)))
    further = [
        [
            gram.further(at, before.columns, before.weights[g], one.penalties[g])
            for one, at in zip(after, added, strict=True)
        ]
        for g, gram in enumerate(grams)
    ]
    for part in chunks(np.arange(len(held_out.rows)), chunk):
        rows, clusters = held_out.rows[part], held_out.cluster_of[part]
        values, first = sketch.read(rows).astype(np.float64), 0
        for g, gram in enumerate(grams):
            some = gram.coding.labelled[rows]
            x, y, at = values[some], gram.coding.read(rows[some]), clusters[some]
            scale, task_of = 1 / constant_errors(gram)[gram.coding.task_of], first + gram.coding.task_of
            left = y - before.weights[g][0] - x[:, before.columns] @ before.weights[g][1:]
            middle = gram.solve(np.arange(0), 0)
            for number, residual in enumerate([y - middle, left]):
                _add(errors[:, number], at, task_of, residual)
            for number, (one, columns) in enumerate(zip(after, added, strict=True)):
                residual = y - one.weights[g][0] - x[:, one.columns] @ one.weights[g][1:]
                _add(errors[:, number + 2], at, task_of, residual)
                foretold = further[g][number][0] + x[:, columns] @ further[g][number][1:]
                agreement[:, number] += np.bincount(at, (foretold * left * scale).sum(axis=1), CLUSTERS)
            first += len(gram.coding.tasks)
    t = [students(agreement[:, [number]], level / max(tests, 1)) for number in range(len(after))]
    spreads = _jackknife(errors)
    return [
        Gain(one.score - before.score, float(spread), bool(one.score > before.score and value[0] > limit))
        for one, spread, (value, limit) in zip(after, spreads, t, strict=True)
    ]


def _add(sums: Floats, clusters: NDArray[np.int64], task_of: NDArray[np.int64], residual: Floats) -> None:
    """Add squares of residuals [rows, targets] to sums by block and task, [blocks, tasks]."""
    for column, task in enumerate(task_of):
        sums[:, task] += np.bincount(clusters, np.square(residual[:, column]), len(sums))


def _jackknife(errors: Floats) -> Floats:
    """Standard errors of gains [solutions] from squared errors [blocks, constant and before and solutions, tasks]."""
    filled = errors[errors[:, 0].sum(axis=1) > 0]
    count = len(filled)
    if count < 3:
        return np.full(errors.shape[1] - 2, np.inf)
    without = filled.sum(axis=0) - filled
    shares = (without[:, [1]] - without[:, 2:]) / np.maximum(without[:, [0]], 1e-9)
    scores = shares.mean(axis=2)  # [blocks, solutions]
    return np.asarray(np.sqrt((count - 1) / count * np.square(scores - scores.mean(axis=0)).sum(axis=0)))
