"""Made training rows for classical models: numbers with empty cells, terms, several tasks, gaps in everything."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from plait.classical.fitting import Fitting
from plait.tasks import Task
from plait.tasks.score import Labels


def prior_of(classes: int) -> tuple[float, ...]:
    """Equal frequencies."""
    return tuple(float(value) for value in np.log(np.full(classes, 1 / classes)))


KIND = Task(name="kind", kind="multiclass", label_type="str", classes=("a", "b", "c", "never"), prior=prior_of(4))
FLAG = Task(name="flag", kind="binary", label_type="str", classes=("no", "yes"), prior=prior_of(2))
SIZE = Task(name="size", kind="regression", label_type="float", prior=(0.0,))
TASKS = (KIND, FLAG, SIZE)


def made(rows: int = 120, seed: int = 0, groups: bool = False):
    """(features, present, labels) of `rows` rows: `numbers` [rows, 4] dense, `words` [rows, 12] sparse."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, rows)
    numbers = rng.normal(size=(rows, 4)).astype(np.float32) + 2 * kind[:, None]
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    words = rng.poisson(0.4, (rows, 12)).astype(np.float32)
    words[np.arange(rows), kind] += 2
    features = {"numbers": numbers, "words": sparse.csr_array(words)}
    present = {name: rng.random(rows) < 0.8 for name in features}
    features["numbers"][~present["numbers"]] = 0
    targets = {"kind": kind, "flag": kind > 0, "size": kind - 1 + rng.normal(0, 0.1, rows)}
    labels = Labels(
        {name: values.astype(np.float32) for name, values in targets.items()},
        {name: rng.random(rows) < 0.8 for name in targets},
        np.arange(rows) // 4 if groups else None,
    )
    return features, present, labels


def fitting_of(rows: int = 120, seed: int = 0, groups: bool = False, tasks: tuple[Task, ...] = TASKS) -> Fitting:
    """Ready to fit on made rows."""
    return Fitting(*made(rows, seed, groups)[:2], tasks, made(rows, seed, groups)[2], seed)
