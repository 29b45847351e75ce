"""Ridge regression and its validation error from Gram matrices alone, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from plait.search.screening.coding import Coding, Floats
from plait.search.screening.sketch import Sketch, chunks

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""What is tried as ridge penalty, per training row; the one with the least validation error counts."""


@dataclass(frozen=True)
class Gram:
    """Sums of products of all columns: a column of ones, the sources', the targets'.

    Attributes:
        coding: The targets.
        train: Over labelled training rows, [1 + width + targets, same].
        validation: Over labelled validation rows, of the same shape.
    """

    coding: Coding
    train: Floats
    validation: Floats

    @property
    def width(self) -> int:
        """Number of the sources' columns."""
        return len(self.train) - len(self.coding.task_of) - 1

    @property
    def targets(self) -> NDArray[np.int64]:
        """Where the targets stand."""
        return np.arange(self.width + 1, len(self.train), dtype=np.int64)

    @property
    def covariance(self) -> Floats:
        """Covariance of the sources' columns over labelled training rows, [width, width]."""
        inside = slice(1, self.width + 1)
        mean = self.means
        return np.asarray(self.train[inside, inside] / self.train[0, 0] - np.outer(mean, mean))

    @property
    def means(self) -> Floats:
        """Means of the sources' columns over labelled training rows, [width]."""
        return np.asarray(self.train[0, 1 : self.width + 1] / self.train[0, 0])

    def solve(self, columns: NDArray[np.int64], penalty: float) -> Floats:
        """Ridge regression with a free intercept.

        Args:
            columns: Which of the sources' columns to use, counted from 0.
            penalty: Added to the covariance's diagonal: the penalty of the sum of squares is `penalty` x rows.

        Returns:
            [1 + columns, targets]: the intercepts and the weights.
        """
        at, targets, rows = columns + 1, self.targets, self.train[0, 0]
        mean, middle = self.train[0, at] / rows, self.train[0, targets] / rows
        if not len(columns):
            return np.asarray(middle[None, :])
        own = self.train[np.ix_(at, at)] / rows - np.outer(mean, mean)
        own[np.diag_indices(len(at))] += penalty
        cross = self.train[np.ix_(at, targets)] / rows - np.outer(mean, middle)
        weights = scipy.linalg.cho_solve(scipy.linalg.cho_factor(own, overwrite_a=True, check_finite=False), cross)
        return np.concatenate([(middle - mean @ weights)[None, :], weights])

    def further(self, columns: NDArray[np.int64], used: NDArray[np.int64], solution: Floats, penalty: float) -> Floats:
        """Ridge regression of what a solution leaves of the targets.

        Args:
            columns: Columns to regress it on.
            used: Columns of the solution.
            solution: [1 + used, targets].
            penalty: As in `solve`.

        Returns:
            [1 + columns, targets]: intercepts for which the mean over training rows is 0, and weights.
        """
        covariance, mean = self.covariance, self.means
        rows, inner = self.train[0, 0], self.train[np.ix_(columns + 1, self.targets)]
        middle = self.train[0, self.targets] / rows
        left = inner / rows - np.outer(mean[columns], middle) - covariance[np.ix_(columns, used)] @ solution[1:]
        own = covariance[np.ix_(columns, columns)] + penalty * np.eye(len(columns))
        weights = scipy.linalg.solve(own, left, assume_a="pos")
        return np.concatenate([-(mean[columns] @ weights)[None, :], weights])

    def errors(self, columns: NDArray[np.int64], solution: Floats) -> Floats:
        """Squared validation error of a solution by task, [tasks].

        ||Y - [1 X] W||^2 per target = diag(V' G V) with V = [-W; 1].
        """
        at = np.concatenate([[0], columns + 1, self.targets])
        turned = np.concatenate([-solution, np.eye(len(self.targets))])
        squares = (turned * (self.validation[np.ix_(at, at)] @ turned)).sum(axis=0)
        counted = np.bincount(self.coding.task_of, np.maximum(squares, 0), len(self.coding.tasks))
        return counted.astype(np.float64)


def grams_of(
    sketch: Sketch, codings: Sequence[Coding], train: NDArray[np.int64], validation: NDArray[np.int64], chunk: int
) -> list[Gram]:
    """One pass over training rows and one over validation rows; memory does not grow with their number.

    Args:
        sketch: Reads the sources' columns.
        codings: Read the targets; there is one Gram matrix for each, over its labelled rows.
        train: Positions of training rows.
        validation: Positions of validation rows.
        chunk: Rows read at once.
    """
    both = (_sums(sketch, codings, rows, chunk) for rows in (train, validation))
    return [Gram(*parts) for parts in zip(codings, *both, strict=True)]


def _sums(sketch: Sketch, codings: Sequence[Coding], rows: NDArray[np.int64], chunk: int) -> list[Floats]:
    """Sums of products over the labelled ones of some rows, one matrix per coding."""
    sums = [np.zeros((1 + sketch.width + len(coding.task_of),) * 2) for coding in codings]
    for part in chunks(rows, chunk):
        values = sketch.read(part).astype(np.float64)
        for gram, coding in zip(sums, codings, strict=True):
            some = coding.labelled[part]
            both = np.concatenate([np.ones((some.sum(), 1)), values[some], coding.read(part[some])], axis=1)
            gram += both.T @ both
    return sums


@dataclass(frozen=True)
class Solution:
    """Ridge solutions of all tasks on the same columns.

    Attributes:
        columns: The sources' columns used.
        weights: [1 + columns, targets] for every Gram matrix, at its best penalty.
        penalties: The best penalty for every Gram matrix.
        ratios: Squared validation error as a share of the constant predictor's, by task, [all tasks].
    """

    columns: NDArray[np.int64]
    weights: tuple[Floats, ...]
    penalties: tuple[float, ...]
    ratios: Floats

    @property
    def score(self) -> float:
        """The mean over tasks of 1 - squared error / that of the constant predictor; higher is better."""
        return float(np.mean(1 - self.ratios))


def solution_of(grams: Sequence[Gram], columns: NDArray[np.int64]) -> Solution:
    """Fit all tasks on some columns, on training rows, the penalty chosen on validation rows."""
    weights, ratios, penalties = [], [], []
    for gram in grams:
        constant = constant_errors(gram)
        tried = [gram.solve(columns, penalty) for penalty in (PENALTIES if len(columns) else PENALTIES[:1])]
        shares = [gram.errors(columns, one) / constant for one in tried]
        best = int(np.argmin([share.mean() for share in shares]))
        weights.append(tried[best])
        ratios.append(shares[best])
        penalties.append(PENALTIES[best])
    return Solution(columns, tuple(weights), tuple(penalties), np.concatenate(ratios))


def constant_errors(gram: Gram) -> Floats:
    """Squared validation error of the constant predictor by task, [tasks]; at least a billionth."""
    nothing = np.arange(0)
    return np.maximum(gram.errors(nothing, gram.solve(nothing, 0)), 1e-9)
