"""Which of a family's options do best on rows that were not learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import Judge
from plait.data.readers._base import Features

CHOOSING: Final = 3
"""Folds by which options are chosen."""

RARE: Final = 0.5
"""A class is rare that has a smaller share of the rows of the most frequent one."""

Option = TypeVar("Option")


def chosen(
    options: Sequence[Option], fitted: Callable[..., Any], features: Features, targets: NDArray[Any], outputs: int,
    folds: NDArray[np.int64], smoothing: float, weights: NDArray[np.float64] | None = None, judge: Judge | None = None,
    times: int = CHOOSING,
) -> Option:  # fmt: skip
    """The best on held-out rows: by the judge, then by the loss; of equals, the first.

    Args:
        options: At least one.
        fitted: Gives an estimator of an option, features, targets and weights.
        features: As in `Family.fit`, like `targets`, `outputs`, `folds`, `weights` and `judge`.
        targets: See there.
        outputs: See there.
        folds: See there; rows of every third of them are held out at once.
        smoothing: The least probability that a class is taken to have, like one that no other fold has.
        weights: See there.
        judge: See there.
        times: How often rows are held out at most; of five folds two, two and one.
    """
    if len(options) == 1:
        return options[0]
    thirds = folds % CHOOSING

    def value(option: Option) -> tuple[float, float]:
        told = np.full((len(targets), max(1, outputs)), np.nan)
        done = 0
        for fold in range(CHOOSING):
            inside, outside = np.flatnonzero(thirds == fold), np.flatnonzero(thirds != fold)
            if not len(inside) or not len(outside) or (outputs > 1 and len(np.unique(targets[outside])) < 2):
                continue
            if done == times:
                break
            done += 1
            model = fitted(option, features[outside], targets[outside], None if weights is None else weights[outside])
            if outputs == 1:
                told[inside, 0] = model.predict(features[inside])
                continue
            told[inside] = 0.0
            told[np.ix_(inside, model.classes_)] = model.predict_proba(features[inside])
        rows = np.flatnonzero(~np.isnan(told[:, 0]))
        counted = np.ones(len(rows)) if weights is None else weights[rows]
        if outputs == 1:
            return 0.0, -float((counted * np.square(told[rows, 0] - targets[rows])).sum())
        true = told[rows, targets[rows]].clip(smoothing)
        judged = judge(told[rows], targets[rows]) if judge is not None and len(rows) else None
        return judged if judged is not None else 0.0, float((counted * np.log(true)).sum())

    values = [value(option) for option in options]
    return options[max(range(len(options)), key=lambda place: (values[place], -place))]


def worth_weighing(targets: NDArray[Any], outputs: int, judge: Judge | None, weighed: bool) -> bool:
    """Whether a judge is to be asked if rows of rare classes should weigh more.

    Args:
        targets: As in `Family.fit`, like `outputs` and `judge`.
        outputs: See there.
        judge: See there.
        weighed: Whether rows have weights already.
    """
    if outputs == 1 or judge is None or weighed:
        return False
    counts = np.unique(targets, return_counts=True)[1]
    return len(counts) > 1 and bool(counts.min() < RARE * counts.max())
