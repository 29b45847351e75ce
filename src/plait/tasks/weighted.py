"""Metrics under many weightings of the same rows at once, as the bootstrap needs them: no row is copied.

Legend: D weightings, n rows. A whole-number weight is the row so many times; all results are [D], NaN where undefined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Ranking = Callable[[NDArray[np.bool_], Floats, Floats], Floats]


def mean(values: Floats, weights: Floats) -> Floats:
    """Weighted mean of values [n]."""
    return _ratio(weights @ values, weights.sum(axis=1))


def balanced_accuracy(truth: Rows, guess: Rows, weights: Floats) -> Floats:
    """Mean recall over the classes that occur; `truth` and `guess` are class codes [n]."""
    true, _, hit = _class_sums(truth, guess, weights)
    return _mean_where(hit, true, true > 0)


def macro_f1(truth: Rows, guess: Rows, weights: Floats) -> Floats:
    """Mean F1 over the classes that occur or are answered."""
    true, answered, hit = _class_sums(truth, guess, weights)
    return _mean_where(2 * hit, true + answered, true + answered > 0)


def f1(truth: NDArray[np.bool_], guess: NDArray[np.bool_], weights: Floats) -> Floats:
    """F1 of what is true and answered, [n] each."""
    return _ratio(2 * weights @ (truth & guess), weights @ (truth.astype(np.float64) + guess))


def one_vs_rest(metric: Ranking, truth: Rows, chances: Floats, weights: Floats) -> Floats:
    """`auroc` or `average_precision`, the mean over the classes that occur; of two classes, that of the second.

    Args:
        metric: Which.
        truth: Class codes [n], none below 0.
        chances: [n, classes].
        weights: [D, n].
    """
    labels = [1] if chances.shape[1] == 2 else np.unique(truth)
    if len(truth) == 0:
        return np.full(len(weights), np.nan)
    return known_mean(np.stack([metric(truth == label, chances[:, label], weights) for label in labels]))


def spearman(one: Floats, other: Floats, weights: Floats) -> Floats:
    """Spearman's rank correlation of two columns [n]."""
    total = weights.sum(axis=1)
    ranks = [_ranks(values, weights) for values in (one, other)]
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (rank - ((rank * weights).sum(axis=1) / total)[:, None] for rank in ranks)
        spread = (weights * left**2).sum(axis=1) * (weights * right**2).sum(axis=1)
    return _ratio((weights * left * right).sum(axis=1), np.sqrt(spread))


def r2(guess: Floats, truth: Floats, weights: Floats) -> Floats:
    """1 - squared error / squared distance from the mean of the truth."""
    centre = _ratio(weights @ truth, weights.sum(axis=1))
    spread = (weights * (truth - centre[:, None]) ** 2).sum(axis=1)
    return 1 - _ratio(weights @ (guess - truth) ** 2, spread)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)


def known_mean(values: Floats) -> Floats:
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _mean_where(above: Floats, below: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Mean over the classes that are counted of the ratio of [D, classes]."""
    each = np.where(counted, above / np.where(counted, below, 1), 0)
    return _ratio(each.sum(axis=1), counted.sum(axis=1).astype(np.float64))


def _class_sums(truth: Rows, guess: Rows, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights [D, classes] of the rows that are of a class, are answered so, and both."""
    rows = np.arange(len(truth))
    _, codes = np.unique(np.concatenate([truth, guess]), return_inverse=True)
    shape = (len(truth), int(codes.max(initial=-1)) + 1)
    ones = np.ones(len(truth))
    one, other, both = (
        sparse.csr_matrix((values, (rows, places)), shape=shape)
        for values, places in (
            (ones, codes[: len(truth)]),
            (ones, codes[len(truth) :]),
            ((truth == guess).astype(np.float64), codes[: len(truth)]),
        )
    )
    true, answered, hit = (np.asarray((matrix.T @ weights.T).T) for matrix in (one, other, both))
    return true, answered, hit


def _ties(values: Floats) -> tuple[Rows, Rows]:
    """The rows in rising order, and where in it each stretch of equal values begins."""
    order = np.argsort(values, kind="stable")
    risen = values[order]
    return order, np.flatnonzero(np.concatenate([[True], risen[1:] != risen[:-1]]))


def auroc(positive: NDArray[np.bool_], chances: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve of one class; NaN where all rows of a weighting are of one side."""
    found, missed = _risen(positive, chances, weights)
    right = (found * (missed.cumsum(axis=1) - 0.5 * missed)).sum(axis=1)
    return _ratio(right, found.sum(axis=1) * missed.sum(axis=1))


def average_precision(positive: NDArray[np.bool_], chances: Floats, weights: Floats) -> Floats:
    """Average precision of one class; NaN where all rows of a weighting are of one side."""
    found, missed = _risen(positive, chances, weights)
    reached = found[:, ::-1].cumsum(axis=1)
    taken = reached + missed[:, ::-1].cumsum(axis=1)
    precision = (found[:, ::-1] * reached / np.where(taken > 0, taken, 1)).sum(axis=1)
    return np.where(missed.sum(axis=1) > 0, _ratio(precision, found.sum(axis=1)), np.nan)


def _risen(positive: NDArray[np.bool_], chances: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weights of the rows of the class, and of the others, at each chance that occurs, the lowest first."""
    order, starts = _ties(chances)
    sorted_weights, hits = weights[:, order], positive[order]
    found = np.add.reduceat(sorted_weights * hits, starts, axis=1)
    return found, np.add.reduceat(sorted_weights * ~hits, starts, axis=1)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Ranks [D, n] among the rows as often as they are weighted; equal values share the mean of theirs."""
    order, starts = _ties(values)
    sums = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = sums.cumsum(axis=1) - 0.5 * (sums - 1)
    place = np.zeros(len(values), np.int64)
    place[order] = np.searchsorted(starts, np.arange(len(values)), side="right") - 1
    return middle[:, place]
