"""Planted problems: made hidden states in which one way of combining, and no other, carries the label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.search.evaluator import Evaluator
from plait.search.screening import Screening
from plait.tasks import Task
from plait.tasks.score import Labels
from plait.training.loop import Plan

TRAIN, VALIDATION = 3_000, 1_500
CODE = 8
"""Numbers that carry something in a layer of `WIDTH`."""

LOUD = 15.0
"""Deviation of what a modality says that does not know."""

WIDTH = 12
LAYERS = 4
"""Layers 0..3 of every modality."""

TASK = Task(name="y", kind="binary", label_type="int", classes=("0", "1"), prior=(float(np.log(0.5)),) * 2)

States = dict[str, list[NDArray[np.float64]]]


@dataclass(frozen=True)
class Problem:
    """Hidden states by modality and layer, [rows, WIDTH] each, and labels [rows] of 0 and 1."""

    states: States
    labels: NDArray[np.int64]

    def evaluator(self, plan: Plan, seeds: int = 1) -> Evaluator:
        """An evaluator on its rows."""
        return Evaluator(*self._told, plan, seeds=seeds)

    def screening(self) -> Screening:
        """What screening says of its rows."""
        return Screening.of(*self._told)

    @property
    def _told(self) -> tuple[Any, ...]:
        """States, presence, widths, tasks, labels, rows for training and for validation."""
        rows = len(self.labels)
        flat = {name: np.concatenate(layers, axis=1).astype(np.float32) for name, layers in self.states.items()}
        present = {name: np.ones(rows, np.bool_) for name in flat}
        labels = Labels({"y": self.labels.astype(np.float32)}, {"y": np.ones(rows, np.bool_)})
        widths = {name: [WIDTH] * LAYERS for name in flat}
        return flat, present, widths, (TASK,), labels, np.arange(TRAIN), np.arange(TRAIN, rows)


def _noise(rng: np.random.Generator, *names: str) -> States:
    return {name: [rng.normal(size=(TRAIN + VALIDATION, WIDTH)) for _ in range(LAYERS)] for name in names}


def product(seed: int) -> Problem:
    """The sign of an inner product of a.1 and b.2: each of them alone, and any sum of the two, says nothing."""
    rng = np.random.default_rng([seed, 1])
    states = _noise(rng, "a", "b")
    labels = (states["a"][1][:, :CODE] * states["b"][2][:, :CODE]).sum(axis=1) > 0
    return Problem(states, labels.astype(np.int64))


def agreeing(seed: int) -> Problem:
    """Whether the first numbers of a.1 and b.2 have the same sign: no other layers, and no sum, say anything.

    Unlike in `product`, most operations can use the two, if one cell reads both.
    """
    rng = np.random.default_rng([seed, 5])
    states = _noise(rng, "a", "b")
    return Problem(states, (states["a"][1][:, 0] * states["b"][2][:, 0] > 0).astype(np.int64))


def middle_layer(seed: int) -> Problem:
    """Layer 1 of `a` alone carries the label; the last ones have lost it."""
    rng = np.random.default_rng([seed, 2])
    states = _noise(rng, "a", "b")
    labels = rng.integers(0, 2, TRAIN + VALIDATION)
    states["a"][1][:, :CODE] += 0.7 * (2 * labels[:, None] - 1)
    return Problem(states, labels)


def noise_modality(seed: int) -> Problem:
    """`a` and `b` carry half of the label each, in their last hidden layers; `c` is noise."""
    rng = np.random.default_rng([seed, 3])
    states = _noise(rng, "a", "b", "c")
    labels = rng.integers(0, 2, TRAIN + VALIDATION)
    for name in ("a", "b"):
        states[name][2][:, :CODE] += 0.3 * (2 * labels[:, None] - 1)
    return Problem(states, labels)


def changing_modality(seed: int) -> Problem:
    """In every row either a.2 or b.2 knows the label, and the other one is loud; a number in each says which it is."""
    rng = np.random.default_rng([seed, 4])
    states = _noise(rng, "a", "b")
    labels, knows = rng.integers(0, 2, (2, TRAIN + VALIDATION))
    for place, name in enumerate(("a", "b")):
        told = (knows == place)[:, None]
        said = np.where(told, 0.8 * (2 * labels[:, None] - 1), 0.0)
        states[name][2][:, :CODE] = said + np.where(told, 1.0, LOUD) * rng.normal(size=(len(labels), CODE))
        states[name][2][:, CODE] = np.where(told, 2.0, -2.0)[:, 0] + 0.3 * rng.normal(size=len(labels))
    return Problem(states, labels)


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "product": product, "middle layer": middle_layer, "noise modality": noise_modality,
    "changing modality": changing_modality,
}  # fmt: skip
