"""Does it help the targets to be learned together? One network for all of them, beside one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from plait.fusion.candidates import Candidate
from plait.search.choosing import bootstrap_scores, intervals
from plait.search.evaluator import Trial, mean_of
from plait.tasks._base import Task, by_target
from plait.tasks.score import Labels, score

MOST: Final = 16
"""Of more targets than this, none is learned apart: that would cost as many networks."""


def apart(shared: Candidate, tasks: Sequence[Task]) -> list[Candidate]:
    """The same architecture once for each target, to be learned from that target's labels alone.

    Args:
        shared: An architecture.
        tasks: All tasks.

    Returns:
        Nothing with a single target, or too many.
    """
    targets = by_target(tasks)
    if not 1 < len(targets) <= MOST:
        return []
    return [
        shared.model_copy(update={"name": f"{shared.name}, {target} alone", "only": tuple(task.name for task in own)})
        for target, own in targets.items()
    ]


def together(
    shared: Candidate, trials: Sequence[Trial], tasks: Sequence[Task], labels: Labels, metric: str | None
) -> Trial:
    """One competitor made of networks that each learned one target: each answers its own.

    Args:
        shared: What all of them are, learned together.
        trials: Those that `apart` named, in its order.
        tasks: All tasks.
        labels: Targets of the rows that judge.
        metric: What the trial is scored by; None for the default score.
    """
    candidate = Candidate(
        name=f"{shared.name}, a network per target", kind=shared.kind, members=tuple(one.candidate for one in trials),
        counts=(1,) * len(trials),
    )  # fmt: skip
    outputs = tuple(
        {name: told[name] for one, told in zip(trials, seeds, strict=True) for name in one.candidate.only}
        for seeds in zip(*(one.outputs for one in trials), strict=True)
    )
    scores = tuple(score(tasks, one, labels, metric) for one in outputs)
    weights: dict[str, torch.Tensor] = {
        f"members.{number}.{name}": tensor for number, one in enumerate(trials) for name, tensor in one.weights.items()
    }
    return Trial(candidate, outputs, mean_of(scores), scores, sum(one.seconds for one in trials), weights)


def sharing(
    shared: Trial, alone: Trial, tasks: Sequence[Task], labels: Labels, seed: int, metric: str | None
) -> list[dict[str, Any]]:
    """What sharing is worth to every target, on the rows that judge.

    Returns:
        Per target {"target", "shared", "alone": scores or None, "difference", "low", "high": shared less alone, with
        its 95 % interval, or None}.
    """
    found = []
    for target, own in by_target(tasks).items():
        sides = [shared.outputs, alone.outputs]
        drawn = bootstrap_scores(own, sides, labels, seed, metric)
        (low,), (high,) = intervals((drawn[0] - drawn[1])[None])
        one, other = (mean_of([score(own, told, labels, metric) for told in side]) for side in sides)
        difference = None if one is None or other is None else one - other
        found.append(
            {"target": target, "shared": one, "alone": other, "difference": difference, "low": low, "high": high}
        )  # fmt: skip
    return found
