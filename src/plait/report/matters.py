"""What each choice mattered: mean scores of the trials by operation, activation, modality and layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

from plait.exceptions import InputError
from plait.fusion.architecture import Architecture
from plait.report.figures import MINUS, count, is_known, number, signed
from plait.report.plot import WORST_SCORE

Scored = Sequence[tuple[Architecture, float]]
Keys = Callable[[Architecture], Iterable[Any]]


@dataclass(frozen=True)
class Mean:
    """A mean score: of how many trials, in words, and where it stands in percent of the width."""

    label: str
    n: str
    value: str
    at: float


@dataclass(frozen=True)
class Split:
    """Trials with and without a modality: (mean, n) of both, and their difference."""

    name: str
    with_it: tuple[str, str]
    without: tuple[str, str]
    difference: str


@dataclass(frozen=True)
class Reached:
    """A layer: the mean of the trials that read it, how many they are, and how dark it is drawn, 0 to 1."""

    value: str
    n: str
    shade: float


@dataclass(frozen=True)
class Layers:
    """A modality's layers from shallow to deep; None for what no trial reads."""

    name: str
    cells: tuple[Reached | None, ...]


@dataclass(frozen=True)
class Matters:
    """All of it; `note` says what was left out or cut."""

    trials: int
    choices: tuple[tuple[str, tuple[Mean, ...]], ...]
    splits: tuple[Split, ...]
    layers: tuple[Layers, ...]
    deepest: int
    note: str


def matters(content: Mapping[str, Any]) -> Matters | None:
    """Averages over the trials that have a score; None for less than two."""
    worst = WORST_SCORE if content["metric"] is None else float("-inf")
    scored: dict[str, tuple[Architecture, float]] = {}
    unread = cut = 0
    for trial in content["search"]["trials"]:
        if not is_known(trial["score"]):
            continue
        architecture = _parsed(trial["text"])
        unread += architecture is None
        if architecture is not None and trial["text"] not in scored:
            cut += trial["score"] < worst
            scored[trial["text"]] = (architecture, max(worst, trial["score"]))
    if len(scored) < 2:
        return None
    told = list(scored.values())
    choices = _choices(told)
    note = f"Scores below {MINUS}1 count as {MINUS}1 ({count(cut)}). " if cut else ""
    note += f"{count(unread)} that this version cannot read are left out. " if unread else ""
    modalities = content["modalities"]
    deepest = max((len(modality["widths"]) for modality in modalities), default=0)
    names = [modality["name"] for modality in modalities]
    return Matters(len(told), choices, _splits(told, names), _layers(told, modalities), deepest, note.strip())


@cache
def _parsed(text: str) -> Architecture | None:
    try:
        return Architecture.parse(text)
    except InputError:  # an operation of a newer or older version
        return None


def _operations(architecture: Architecture) -> set[str]:
    """Operations of cells that combine something: over one source they are all the same."""
    return {cell.operation for cell in architecture.cells if len(cell.sources) > 1}


def _states(architecture: Architecture) -> set[tuple[str, int]]:
    return {source.state for cell in architecture.cells for source in cell.sources if source.state is not None}


def _choices(scored: Scored) -> tuple[tuple[str, tuple[Mean, ...]], ...]:
    """Mean scores by operation and activation, the best first, on one axis from the lowest to the highest of them."""
    groups = {
        "Operation": _means(scored, _operations),
        "Activation": _means(scored, lambda one: {cell.activation for cell in one.cells}),
    }
    place = _scale(mean for means in groups.values() for mean, _ in means.values())
    return tuple(
        (
            head,
            tuple(
                Mean(key, count(n), number(mean), round(4 + 92 * place(mean), 2))
                for key, (mean, n) in sorted(means.items(), key=lambda item: (-item[1][0], item[0]))
            ),
        )
        for head, means in groups.items()
    )


def _means(scored: Scored, keys: Keys) -> dict[Any, tuple[float, int]]:
    """(mean score, number of trials) by key."""
    found: dict[Any, list[float]] = {}
    for architecture, score in scored:
        for key in keys(architecture):
            found.setdefault(key, []).append(score)
    return {key: (fmean(scores), len(scores)) for key, scores in found.items()}


def _scale(values: Iterable[float]) -> Callable[[float], float]:
    known = list(values)
    low, high = min(known, default=0.0), max(known, default=1.0)
    return lambda value: (value - low) / (high - low) if high - low > 1e-12 else 0.5


def _splits(scored: Scored, names: Sequence[str]) -> tuple[Split, ...]:
    """Trials with and without each modality, the largest gain first."""
    found = []
    for name in names:
        sides: tuple[list[float], list[float]] = ([], [])
        for architecture, score in scored:
            sides[name not in architecture.modalities].append(score)
        means = [fmean(side) if side else None for side in sides]
        gap = means[0] - means[1] if means[0] is not None and means[1] is not None else None
        (yes, no) = ((number(mean), count(len(side))) for mean, side in zip(means, sides, strict=True))
        found.append((gap if gap is not None else float("-inf"), Split(name, yes, no, signed(gap))))
    return tuple(split for _, split in sorted(found, key=lambda pair: -pair[0]))


def _layers(scored: Scored, modalities: Sequence[Mapping[str, Any]]) -> tuple[Layers, ...]:
    means = _means(scored, _states)
    place = _scale(mean for mean, _ in means.values())

    def reached(state: tuple[str, int]) -> Reached | None:
        if state not in means:
            return None
        mean, n = means[state]
        return Reached(number(mean), count(n), round(place(mean), 3))

    return tuple(
        Layers(one["name"], tuple(reached((one["name"], layer)) for layer in range(len(one["widths"]))))
        for one in modalities
    )
