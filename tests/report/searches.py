"""Contents with a found architecture and a search, made by chance from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from contents import content, fusion, modality, row

from plait.fusion.architecture import Architecture

OPERATIONS = ("concat", "product", "low-rank", "tensor", "gate", "max", "mean")
ACTIVATIONS = ("relu", "tanh")
NAMES = ("image", "sound", "text", "table", "video", "depth")


def some_modalities(count: int, layers: int = 6, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Modalities of `layers` layers, raw and outputs included."""
    given = [*names, *NAMES][:count] if count <= len(NAMES) else [f"view {number}" for number in range(count)]
    widths = [784, *(8 * 2 ** min(place, 5) for place in range(layers - 2)), 10]
    return [modality(name, widths=widths) for name in given]


def tree(rng: random.Random, modalities: Sequence[dict[str, Any]], cells: int, every: bool = False) -> Architecture:
    """A tree of cells; with `every`, the first cell reads a layer of every modality."""
    free: list[int] = []
    made = []
    for number in range(1, cells + 1):
        taken = rng.sample(free, rng.randint(0, min(2, len(free)))) if number < cells else free
        free = [cell for cell in free if cell not in taken] + [number]
        least = 0 if len(taken) > 1 else 1
        size = len(modalities) if every and number == 1 else rng.randint(least, min(3, len(modalities)))
        drawn = rng.sample(modalities, size)
        states = [{"modality": one["name"], "layer": rng.randrange(len(one["widths"]))} for one in drawn]
        sources = [*states, *({"cell": cell} for cell in taken)]
        operation = rng.choice(OPERATIONS) if len(sources) > 1 else "concat"
        if operation == "tensor" and len(sources) > 3:
            operation = "gate"
        made.append({"sources": sources, "operation": operation, "activation": rng.choice(ACTIVATIONS)})
    return Architecture.model_validate({"cells": made})


def found(architecture: Architecture, modalities: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A content whose returned row is this architecture, with the weights of its gates."""
    text = str(architecture)
    names = [one["name"] for one in modalities]
    rows = [
        row(text, "architecture", 0.93, 0.91, chosen=True), row("late product", "late", 0.89, 0.87),
        row(names[0], "unimodal", 0.75, 0.7),
    ]  # fmt: skip
    choice = {
        "sentence": f"{text} has the highest validation score.",
        "fusion": fusion() | {"better": text, "than": names[0]},
    }
    gates = [
        _gate(number, [str(source) for source in cell.sources])
        for number, cell in enumerate(architecture.cells, 1)
        if cell.operation == "gate"
    ]
    cells = architecture.model_dump(mode="json", exclude_none=True)["cells"]
    made = content(modalities=modalities, rows=rows, choice=choice)
    return made | {
        "architectures": [{"text": text, "cells": cells}], "used": list(architecture.modalities),
        "gates": gates or None, "discarded": sorted(set(names) - set(architecture.modalities)), **more,
    }  # fmt: skip


def _gate(cell: int, sources: Sequence[str]) -> dict[str, Any]:
    total = sum(range(1, len(sources) + 1))
    mean = [(place + 1) / total for place in range(len(sources))]
    return {
        "cell": cell, "sources": list(sources), "mean": mean, "low": [0.6 * one for one in mean],
        "high": [min(1.0, 1.3 * one) for one in mean],
    }  # fmt: skip


def search(
    modalities: Sequence[dict[str, Any]], trials: int = 64, seed: int = 0, finalists: Sequence[str] = ()
) -> dict[str, Any]:
    """A search: half of the trials progressive, half at random; a few without a score."""
    rng = random.Random(seed)
    half = trials // 2
    made = [_trial(rng, modalities, place / max(1, half), "progressive") for place in range(half)]
    made += [_trial(rng, modalities, None, "random") for _ in range(trials - half)]
    batches = [
        {"after": after, "asked": 16, "spearman": round(rng.uniform(0.3, 0.85), 3)} for after in range(16, half, 16)
    ]
    return {
        "strategy": "progressive",
        "space": {
            "size": 123_456_789_012, "max_cells": 3, "operations": list(OPERATIONS), "activations": list(ACTIVATIONS),
        },
        "trials": made, "surrogate": batches, "finalists": list(finalists),
    }  # fmt: skip


def _trial(
    rng: random.Random, modalities: Sequence[dict[str, Any]], progress: float | None, proposer: str
) -> dict[str, Any]:
    level = rng.randint(1, 3) if progress is None else 1 + (progress > 0.35) + (progress > 0.7)
    architecture = tree(rng, modalities, level)
    score = rng.gauss(0.7 + 0.04 * len(architecture.modalities) + 0.06 * (progress or 0.0), 0.05)
    return {
        "text": str(architecture), "score": None if rng.random() < 0.02 else score, "level": level,
        "proposer": proposer, "seconds": 0.4,
    }  # fmt: skip


FINETUNE = {
    "tried": True, "before": 0.91, "after": 0.92, "difference": 0.01, "standard_error": 0.004, "kept": True,
    "epochs": 5,
}  # fmt: skip
