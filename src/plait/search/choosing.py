"""Chooses among evaluated candidates without self-deception: paired bootstrap and the one-standard-error rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.search.evaluator import Trial
from plait.tasks._base import Task
from plait.tasks.intervals import some_units
from plait.tasks.score import Labels, Outputs, score, weighted_scores

DRAWS = 1_000
METRIC_DRAWS = 200
FEWEST_ROWS = 1_000
METRIC_NUMBERS = 5_000_000
"""Draws times rows times outputs for a metric: where there are more rows, some of them are resampled."""

CHUNK_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Comparison:
    """The difference of two candidates' scores on the same rows, with its standard error and 95 % interval."""

    better: str
    than: str
    difference: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        chosen: Position of the returned candidate.
        best: Position of the candidate with the highest validation score.
        order: Positions, best validation score first.
        low, high: 95 % interval of every candidate's score, in the order of the candidates; None without a score.
        tied: Positions within one standard error of the best.
        fusion: The best candidate of several modalities against the best single one; None where one of them is missing.
        search: The best candidate that a search found against the best that always competes; None without either.
        sentence: Why, in words.
    """

    chosen: int
    best: int
    order: tuple[int, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    tied: tuple[int, ...]
    fusion: Comparison | None
    search: Comparison | None
    sentence: str

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Choice:
        """The choice that `dataclasses.asdict` described, after a journey through JSON."""
        fusion, search = (Comparison(**told[name]) if told[name] else None for name in ("fusion", "search"))
        return cls(
            int(told["chosen"]), int(told["best"]), tuple(told["order"]), tuple(told["low"]), tuple(told["high"]),
            tuple(told["tied"]), fusion, search, str(told["sentence"]),
        )  # fmt: skip


def bootstrap_scores(
    tasks: Sequence[Task], outputs: Sequence[Sequence[Outputs]], labels: Labels, seed: int, metric: str | None = None
) -> NDArray[np.float64]:
    """Scores of several candidates under the same bootstrap draws of rows (or of groups, where there are groups).

    For a metric, fewer of many rows are resampled, and deviations scaled by the root of their share (see
    `plait.tasks.intervals`).

    Args:
        tasks: The tasks.
        outputs: Per candidate, its outputs of every seed; a candidate's score is the mean over them.
        labels: Targets of the same rows.
        seed: Same seed, same draws.
        metric: None for the default score.

    Returns:
        [candidates, draws]; NaN where a draw has no score.
    """
    rng = np.random.default_rng([seed, 0xB007])
    groups = labels.groups if labels.groups is not None else np.arange(len(labels))
    _, codes = np.unique(groups, return_inverse=True)
    size = int(codes.max(initial=-1)) + 1
    if metric is not None:
        most = max(FEWEST_ROWS, METRIC_NUMBERS // (METRIC_DRAWS * sum(task.outputs for task in tasks)))
        some = some_units(codes, size, most, rng)
        if not some.all():
            taken = np.flatnonzero(some[codes])
            parts = [[{name: np.asarray(v)[taken] for name, v in one.items()} for one in seeds] for seeds in outputs]
            part = bootstrap_scores(tasks, parts, labels.at(taken), seed, metric)
            once = _scores(tasks, parts, labels.at(taken), np.ones((1, len(taken))), metric)
            full = _scores(tasks, outputs, labels, np.ones((1, len(labels))), metric)
            with np.errstate(invalid="ignore"):
                return _finite(full + np.sqrt(some.mean()) * (part - once))
    draws = DRAWS if metric is None else METRIC_DRAWS
    step = max(1, CHUNK_NUMBERS // max(len(labels), 1))
    chunks = []
    for start in range(0, draws, step):
        counts = rng.multinomial(size, np.full(size, 1 / size), min(step, draws - start)).astype(np.float64)
        chunks.append(_scores(tasks, outputs, labels, counts[:, codes], metric))
    return _finite(np.concatenate(chunks, axis=1))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _scores(
    tasks: Sequence[Task], outputs: Sequence[Sequence[Outputs]], labels: Labels, weights: NDArray[np.float64],
    metric: str | None,
) -> NDArray[np.float64]:  # fmt: skip
    """Scores [candidates, weightings], each the mean over a candidate's outputs."""
    return np.stack(
        [np.mean([weighted_scores(tasks, one, labels, weights, metric) for one in seeds], axis=0) for seeds in outputs]
    )


def intervals(drawn: NDArray[np.float64]) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Lower and upper ends of 95 % intervals of bootstrap draws [candidates, draws]; None where no draw has a score."""
    known = [row[~np.isnan(row)] for row in drawn]
    ends = [np.quantile(row, [0.025, 0.975]) if len(row) else None for row in known]
    low, high = (tuple(None if end is None else float(end[side]) for end in ends) for side in (0, 1))
    return low, high


def standard_error(difference: NDArray[np.float64]) -> float:
    """Deviation over the draws [draws] that have a score; 0 without any."""
    known = difference[~np.isnan(difference)]
    return float(known.std()) if len(known) else 0.0


def choose(
    trials: Sequence[Trial], tasks: Sequence[Task], labels: Labels, seed: int, metric: str | None = None
) -> Choice:
    """Choose the cheapest candidate whose paired difference to the best is within one standard error of it.

    Of equally cheap ones, the best; of those with equal values of a metric, the one with the best default score, which
    sees how sure the answers are. Where the metric is undefined for all of them, the default score decides.

    Args:
        trials: All evaluated candidates.
        tasks: The tasks.
        labels: Targets of the rows that judge.
        seed: Seed of the bootstrap.
        metric: None for the default score.
    """
    points = np.array(
        [-np.inf if trial.score is None or not np.isfinite(trial.score) else trial.score for trial in trials]
    )
    costs = [trial.candidate.cost for trial in trials]
    alike = Counter(zip(points, costs, strict=True))
    losses = [
        -_default_score(trial, tasks, labels) if metric and alike[point, cost] > 1 and np.isfinite(point) else 0.0
        for trial, point, cost in zip(trials, points, costs, strict=True)
    ]
    order = tuple(sorted(range(len(trials)), key=lambda i: (-points[i], costs[i], losses[i], trials[i].candidate.name)))
    best = order[0]
    if not np.isfinite(points).any():
        unknown = (None,) * len(trials)
        name = trials[best].candidate.name
        if metric and labels.anything.any():
            plain = [replace(trial, score=_default_score(trial, tasks, labels)) for trial in trials]
            choice = choose(plain, tasks, labels, seed)
            why = f"{metric} is undefined on the rows that judge, so the default score decides. "
            return replace(choice, low=unknown, high=unknown, sentence=why + choice.sentence)
        sentence = f"No validation row has a label, so nothing could be compared: {name} is the cheapest."
        return Choice(best, best, order, unknown, unknown, (best,), None, None, sentence)
    drawn = bootstrap_scores(tasks, [trial.outputs for trial in trials], labels, seed, metric)
    errors = [standard_error(drawn[best] - row) for row in drawn]
    tied = tuple(i for i in order if points[best] - points[i] <= errors[i])
    chosen = min(tied, key=lambda i: (costs[i], order.index(i)))
    low, high = intervals(drawn)
    fused = [len(trial.candidate.used) > 1 for trial in trials]
    fusion = _best_against_best(trials, points, drawn, fused)
    # An ensemble is of both kinds: it may hold what the search found.
    found = [None if trial.candidate.members else bool(trial.candidate.proposer) for trial in trials]
    search = _best_against_best(trials, points, drawn, found)
    sentence = _sentence(trials, chosen, best, fusion) + _search_sentence(search)
    return Choice(chosen, best, order, low, high, tied, fusion, search, sentence)


def _default_score(trial: Trial, tasks: Sequence[Task], labels: Labels) -> float:
    """The mean over its outputs; minus infinity where one has none."""
    scores = [score(tasks, one, labels) for one in trial.outputs]
    return float(np.mean([-np.inf if value is None else value for value in scores]))


def compare(
    trials: Sequence[Trial], points: NDArray[np.float64], drawn: NDArray[np.float64], one: int, other: int
) -> Comparison | None:
    """The paired difference of two candidates; None if no draw has a score of both."""
    difference = drawn[one] - drawn[other]
    (low,), (high,) = intervals(difference[None])
    if low is None or high is None:
        return None
    return Comparison(
        trials[one].candidate.name, trials[other].candidate.name, float(points[one] - points[other]),
        standard_error(difference), low, high,
    )  # fmt: skip


def _best_against_best(
    trials: Sequence[Trial], points: NDArray[np.float64], drawn: NDArray[np.float64], ours: Sequence[bool | None]
) -> Comparison | None:
    """The best candidate that is one of ours against the best that is not; None if one of them is missing.

    Candidates of which None says that they are neither are left out.
    """
    scored = [i for i in range(len(trials)) if np.isfinite(points[i])]
    sides = [[i for i in scored if ours[i] is side] for side in (True, False)]
    if not all(sides):
        return None
    one, other = (max(side, key=lambda i: float(points[i])) for side in sides)
    return compare(trials, points, drawn, one, other)


def _sentence(trials: Sequence[Trial], chosen: int, best: int, fusion: Comparison | None) -> str:
    name, top = trials[chosen].candidate.name, trials[best].candidate.name
    why = (
        f"{name} has the highest validation score and nothing cheaper comes within one standard error of it."
        if chosen == best
        else f"{top} has the highest validation score; {name} is the cheapest within one standard error of it."
    )
    if fusion is None and all(len(trial.candidate.used) == 1 for trial in trials):
        return f"{why} There is one modality, so there was nothing to fuse."
    if fusion is None:
        return f"{why} Fusion could not be compared with single modalities: one side has no score."
    return f"{why} {verdict(fusion, len(trials[chosen].candidate.used) > 1)}: {_told(fusion)}."


def _told(difference: Comparison) -> str:
    return (
        f"{difference.better} against {difference.than}: {difference.difference:+.4f} "
        f"(95 % interval {difference.low:+.4f} to {difference.high:+.4f})"
    )


def _search_sentence(search: Comparison | None) -> str:
    """Whether the search found anything better than what always competes; empty without a search."""
    if search is None:
        return ""
    pays = "pays" if search.low > 0 else "found nothing as good" if search.high < 0 else "found nothing clearly better"
    return (
        f" The search {pays}: the best architecture it found differs by {search.difference:+.4f} (95 % interval "
        f"{search.low:+.4f} to {search.high:+.4f}) from {search.than}, the best of what always competes."
    )


def verdict(fusion: Comparison, fused: bool) -> str:
    """Whether fusion pays, in a few words.

    Args:
        fusion: The best candidate of several modalities against the best single one.
        fused: Whether the returned candidate reads several modalities.
    """
    if fusion.low > 0:
        return "Fusion pays"
    if fusion.high < 0:
        return "Fusion makes it worse"
    return "Whether fusion pays is undecided" if fused else "Fusion does not pay"
