"""Scores over the trials of a search as a picture: a dot per trial, a line of the best so far per strategy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from plait.report.figures import count, counted, is_known, number
from plait.report.plot import Axis, axis_of_scores, nice_step

SIDE: Final = 1000
"""The picture's own units; it is stretched to the room there is."""

MOST_DOTS: Final = 6_000
SHAPES: Final = ("round", "square", "ring")
"""Marks of one cell, two cells, more."""

MANY: Final = 400
"""More dots than this are drawn smaller."""

FEWEST: Final = 30
"""Foretold architectures below which nothing is said of how far a surrogate could be trusted."""

TRUSTED: Final = 0.6
"""Median rank correlation from which a surrogate is called trustworthy; own choice, as is the next."""

ROUGH: Final = 0.3

Trial = Mapping[str, Any]


@dataclass(frozen=True)
class Dots:
    """Marks of one shape: an SVG path of strokes without length."""

    shape: str
    path: str


@dataclass(frozen=True)
class Series:
    """The trials of one strategy.

    Attributes:
        key: `searched` for the strategy that the fit was asked for, else `other-1`, `other-2`.
        name: The strategy.
        trials: How many.
        best: The best score in words.
        line: The best so far as a path; empty for a single trial.
        dots: Marks by number of cells.
    """

    key: str
    name: str
    trials: int
    best: str
    line: str
    dots: tuple[Dots, ...]


@dataclass(frozen=True)
class Progress:
    """The picture: series, shapes in use with their words, labels of both axes as (percent, text), and a caption."""

    series: tuple[Series, ...]
    shapes: tuple[tuple[str, str], ...]
    down: tuple[tuple[float, str], ...]
    across: tuple[tuple[float, str], ...]
    dense: bool
    caption: str


def progress(trials: Sequence[Trial], strategy: str, metric: str | None) -> Progress | None:
    """The picture; None where no trial has a score.

    Trials are counted by strategy: at the same place from the left, strategies have spent as many trials.
    """
    known = [trial["score"] for trial in trials if is_known(trial["score"])]
    axis = axis_of_scores(known, metric)
    if axis is None:
        return None
    by_proposer: dict[str, list[Trial]] = {}
    for trial in trials:
        by_proposer.setdefault(trial["proposer"], []).append(trial)
    names = sorted(by_proposer, key=lambda name: name != strategy)
    longest = max(map(len, by_proposer.values()))
    stride = -(-len(trials) // MOST_DOTS)
    series = []
    for place, name in enumerate(names):
        key = "searched" if place == 0 and name == strategy else f"other-{min(2, max(1, place))}"
        series.append(_series(key, name, by_proposer[name], axis, longest, stride))
    words = ("one cell", "two cells", "three cells or more")
    levels = {_shape(trial) for trial in trials}
    shapes = tuple((shape, words[place]) for place, shape in enumerate(SHAPES) if shape in levels)
    down = tuple((round(100 - at, 2), text) for at, text in axis.labels)
    caption = _caption(known, axis, stride, len(trials))
    return Progress(tuple(series), shapes, down, _across(longest), len(trials) > MANY, caption)


def _shape(trial: Trial) -> str:
    return SHAPES[min(max(int(trial["level"]), 1), len(SHAPES)) - 1]


def _series(key: str, name: str, trials: Sequence[Trial], axis: Axis, longest: int, stride: int) -> Series:
    dots: dict[str, list[str]] = {}
    for place, trial in enumerate(trials):
        if is_known(trial["score"]) and place % stride == 0:
            dots.setdefault(_shape(trial), []).append(f"M{_x(place, longest)} {_y(axis, trial['score'])}h0")
    scores = [trial["score"] if is_known(trial["score"]) else float("-inf") for trial in trials]
    best = list(accumulate(scores, max))
    told = number(best[-1])
    drawn = tuple(Dots(shape, "".join(dots[shape])) for shape in SHAPES if shape in dots)
    return Series(key, name, len(trials), told, _stairs(best, axis, longest), drawn)


def _x(place: int, longest: int) -> int:
    return round(SIDE * (place + 0.5) / longest)


def _y(axis: Axis, score: float) -> int:
    return round(SIDE * (1 - axis.at(score) / 100))


def _stairs(best: Sequence[float], axis: Axis, longest: int) -> str:
    """The best so far, a step wherever it rises."""
    path = ""
    at = None
    for place, score in enumerate(best):
        if not is_known(score):
            continue
        y = _y(axis, score)
        if at is None:
            path = f"M{_x(place, longest)} {y}"
        elif y != at:
            path += f"H{_x(place, longest)}V{y}"
        at = y
    return f"{path}H{_x(len(best) - 1, longest)}" if path else ""


def _across(longest: int) -> tuple[tuple[float, str], ...]:
    step = max(1, round(nice_step(max(longest, 6))))
    places = [1, *range(step, longest + 1, step)] if step > 1 else list(range(1, longest + 1))
    return tuple((round(100 * (place - 0.5) / longest, 2), count(place)) for place in places)


def _caption(known: Iterable[float], axis: Axis, stride: int, total: int) -> str:
    scores = list(known)
    low = sum(score < axis.low for score in scores)
    told = []
    if low:
        are = "trial lies" if low == 1 else "trials lie"
        told.append(f"{count(low)} {are} below the axis, down to {number(min(scores))}, drawn at its lower edge.")
    if total > len(scores):
        told.append(f"{counted(total - len(scores), 'trial')} without a score.")
    if stride > 1:
        told.append(f"One of {stride} trials is drawn.")
    return " ".join(told)


@dataclass(frozen=True)
class Surrogate:
    """Rank correlations by batch: a path of marks, the line through them, labels across, and one paragraph."""

    dots: str
    line: str
    across: tuple[tuple[float, str], ...]
    words: str


def surrogate(batches: Sequence[Mapping[str, Any]]) -> Surrogate | None:
    """How well the surrogate foretold the order of scores; None where there was none.

    The picture reaches from -1 at the bottom to 1 at the top.
    """
    if not batches:
        return None
    known = [batch for batch in batches if is_known(batch["spearman"])]
    points = [
        (round(SIDE * (place + 0.5) / len(batches)), round(SIDE * (0.5 - 0.45 * batch["spearman"])))
        for place, batch in enumerate(batches)
        if is_known(batch["spearman"])
    ]
    dots = "".join(f"M{x} {y}h0" for x, y in points)
    line = "M" + "L".join(f"{x} {y}" for x, y in points) if len(points) > 1 else ""
    step = -(-len(batches) // 6)
    across = tuple(
        (round(100 * (place + 0.5) / len(batches), 2), count(batches[place]["after"]))
        for place in range(0, len(batches), step)
    )
    return Surrogate(
        dots,
        line,
        across,
        _trust([batch["spearman"] for batch in known], sum(batch["asked"] for batch in known), len(batches)),
    )


def _trust(known: Sequence[float], asked: int, batches: int) -> str:
    before = "Before each batch" if batches > 1 else "Before its one batch"
    if not known:
        return f"{before} a surrogate foretold the scores; it cannot be told how well: the batches were too small."
    ordered = sorted(known)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    ends = f", from {number(ordered[0], 2)} to {number(ordered[-1], 2)}" if len(known) > 1 else ""
    if middle >= TRUSTED:
        verdict = "its order could be trusted to choose what to try next"
    elif middle >= ROUGH:
        verdict = "it was a rough guide: better than chance, wrong about many single architectures"
    else:
        verdict = "it could not be trusted: what it chose was hardly better than drawn at random"
    told = (
        f"{before} a surrogate foretold the scores of the architectures to come. The rank correlation with what they "
        f"then reached was {number(middle, 2)}{' in the median' if ends else ''}{ends} (1: the same order, 0: chance)"
    )
    if asked < FEWEST:
        return f"{told}. These are {asked} architectures, too few to say whether it could be trusted."
    return f"{told}, so {verdict}."
