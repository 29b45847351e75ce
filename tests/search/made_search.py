"""A small search problem: cached hidden states of two modalities, a class and a number to learn."""

from __future__ import annotations

import numpy as np

from plait.fusion import Candidate
from plait.search import Evaluator, Trial
from plait.tasks import Task
from plait.tasks.score import Labels
from plait.training import Plan

KIND = Task(name="kind", kind="binary", label_type="str", classes=("a", "b"), prior=(-0.6931472, -0.6931472))
SIZE = Task(name="size", kind="regression", label_type="float", prior=(0.0,))
BOTH = (KIND, SIZE)


def labels_of(rows: int, seed: int = 0, groups: np.ndarray | None = None, tasks: tuple[Task, ...] = BOTH) -> Labels:
    """Targets of all rows; a fifth of the labels is missing."""
    rng = np.random.default_rng([seed, 1])
    truth = rng.permutation(np.arange(rows) % 2).astype(np.float32)
    targets = {"kind": truth, "size": (truth - 0.5 + rng.normal(size=rows)).astype(np.float32)}
    labelled = {name: rng.random(rows) < 0.8 for name in targets}
    hidden = {name: np.where(labelled[name], values, 0).astype(np.float32) for name, values in targets.items()}
    kept = [task.name for task in tasks]
    return Labels({name: hidden[name] for name in kept}, {name: labelled[name] for name in kept}, groups)


def states_of(labels: Labels, seed: int = 0, quality: tuple[float, ...] = (2.0, 1.0)) -> dict[str, np.ndarray]:
    """Hidden states [rows, 4 + 5 + outputs] by modality, from better to worse: two layers, and the outputs."""
    rng = np.random.default_rng([seed, 2])
    rows, found = len(labels), {}
    for name, good in zip("abcdef", quality, strict=False):
        parts = []
        if "kind" in labels.targets:
            signal = good * (2 * labels.targets["kind"] - 1) + rng.normal(size=rows)
            parts += [-signal / 2, signal / 2]
        if "size" in labels.targets:
            parts.append(labels.targets["size"] * good / (1 + good) + 0.3 * rng.normal(size=rows))
        outputs = np.stack(parts, axis=1)
        layers = outputs @ rng.normal(size=(outputs.shape[1], 9)) + 0.5 * rng.normal(size=(rows, 9))
        found[name] = np.concatenate([layers, outputs], axis=1).astype(np.float32)
    return found


def presence_of(rows: int, names: str = "ab", seed: int = 0, share: float = 0.85) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, 3])
    return {name: rng.random(rows) < share for name in names}


def evaluator_of(
    rows: int = 120,
    *,
    tasks: tuple[Task, ...] = BOTH,
    labels: Labels | None = None,
    states: dict[str, np.ndarray] | None = None,
    present: dict[str, np.ndarray] | None = None,
    plan: Plan | None = None,
    metric: str | None = None,
    validation: int | None = None,
) -> Evaluator:
    """An evaluator; the last `validation` rows (half of all by default) are for validation."""
    labels = labels or labels_of(rows, tasks=tasks)
    states = states or states_of(labels)
    present = present or presence_of(rows, "".join(states))
    half = rows - (rows // 2 if validation is None else validation)
    outputs = sum(task.outputs for task in tasks)
    widths = dict.fromkeys(states, (4, 5, outputs))
    plan = plan or Plan(epochs=3, batch_size=32, seed=0)
    return Evaluator(states, present, widths, tasks, labels, np.arange(half), np.arange(half, rows), plan, metric)


def trial_of(
    name: str, kind: str, outputs: list[np.ndarray], score: float | None, modalities: tuple[str, ...] = ("a", "b")
) -> Trial:
    """A trial on the task `size` with outputs [rows] per seed, as if evaluated."""
    how = {"modality": modalities[0]} if len(modalities) == 1 else {"rule": "mean", "modalities": modalities}
    made = tuple({"size": values.astype(np.float32)[:, None]} for values in outputs)
    return Trial(Candidate(name=name, kind=kind, **how), made, score, (score,) * len(outputs), 0.0)
