"""Trials as a stage leaves them: what they are and scored as JSON, outputs and weights as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plait.fusion.candidates import Candidate
from plait.search.evaluator import Trial
from plait.training.checkpoints import below


def described(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """What survives JSON of some trials."""
    return [
        {
            "candidate": trial.candidate.model_dump(exclude_defaults=True),
            "score": trial.score,
            "scores": trial.scores,
            "seconds": trial.seconds,
        }
        for trial in trials
    ]


def packed(trials: Sequence[Trial]) -> dict[str, Tensor]:
    """Outputs and weights of some trials, by names that tell their places."""
    tensors: dict[str, Tensor] = {}
    for number, trial in enumerate(trials):
        for seed, outputs in enumerate(trial.outputs):
            tensors |= {
                f"{number}/outputs/{seed}/{name}": torch.from_numpy(np.asarray(v)) for name, v in outputs.items()
            }
        tensors |= {f"{number}/weights/{name}": tensor for name, tensor in trial.weights.items()}
    return tensors


def unpacked(told: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> list[Trial]:
    """The trials that were described and packed."""
    return [_unpacked(number, one, tensors) for number, one in enumerate(told)]


def _unpacked(number: int, told: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Trial:
    seeds: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{number}/outputs/"):
            seed, task = name.split("/", 3)[2:]
            seeds.setdefault(int(seed), {})[task] = tensor.numpy()
    return Trial(
        Candidate.model_validate(told["candidate"]),
        tuple(seeds[seed] for seed in sorted(seeds)),
        told["score"],
        tuple(told["scores"]),
        float(told["seconds"]),
        below(f"{number}/weights/", tensors),
    )
