"""The top of the page: what was learned, what was returned, its key figures, and whether fusion paid, as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plait.report.figures import DASH, counted, interval, is_known, number, short, signed
from plait.report.words import LOWER_IS_BETTER, listed, metric_head, metric_words
from plait.search import choosing

MOST_FIGURES: Final = 4
PERCENTAGES: Final = frozenset({"accuracy", "balanced_accuracy"})

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Tile:
    """Key figures of one part: the score, its interval, and the first metric of each task."""

    part: str
    rows: str
    value: str
    interval: str
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Difference:
    """The best fused row against the best single modality: words, and a picture in percent of its width."""

    kind: str
    value: str
    interval: str
    zero: float
    at: float
    low: float
    high: float


def title(content: Content) -> str:
    """The page's title."""
    return f"{targets(content)} from {sources(content)}"


def targets(content: Content) -> str:
    """What was learned."""
    return listed([task["name"] for task in content["tasks"]], 3, "targets")


def sources(content: Content) -> str:
    """From which modalities."""
    return listed([modality["name"] for modality in content["modalities"]], 4, "modalities")


def reading(content: Content) -> str:
    """How many of the modalities the returned row reads, where it does not read all; else empty."""
    every, used = len(content["modalities"]), len(content["used"])
    return f"It reads {used} of {every} modalities." if used < every else ""


def chosen_row(content: Content) -> Mapping[str, Any]:
    """The leaderboard's row of what was returned."""
    found: Mapping[str, Any] = next(row for row in content["leaderboard"] if row["chosen"])
    return found


def has_test(content: Content) -> bool:
    """Whether there are test figures."""
    return bool(content["data"]["rows"].get("test")) and content["metrics"]["test"] is not None


def tiles(content: Content) -> list[Tile]:
    """Key figures of validation and test."""
    row = chosen_row(content)
    found = [_tile(content, "validation", row["validation"], row["interval"])]
    if has_test(content):
        found.append(_tile(content, "test", row["test"], row["test_interval"]))
    return found


def judged(content: Content) -> str:
    """How many rows candidates were compared on."""
    folds = content.get("folds")
    if not folds:
        return counted(content["data"]["rows"].get("validation", 0), "row")
    return f"{counted(folds['rows'], 'row')} in {folds['parts']} turns"


def _tile(content: Content, part: str, value: float | None, ends: Sequence[float | None]) -> Tile:
    rows = judged(content) if part == "validation" else counted(content["data"]["rows"].get(part, 0), "row")
    told = interval(ends[0], ends[1])
    words = "" if told == DASH else f"95 % interval {told}"
    return Tile(part, rows, number(value), words, tuple(_figures(content, part)))


def _figures(content: Content, part: str) -> list[tuple[str, str]]:
    """The first metric of each task, but not the one that is the score already."""
    told = content["metrics"][part] or {}
    found = []
    for task in content["tasks"]:
        metrics = told.get(task["name"], {}).get("metrics", {})
        name = next((key for key in metrics if key != content["metric"]), None)
        if name is not None:
            of = f" of {short(task['name'], 24)}" if len(content["tasks"]) > 1 else ""
            found.append((f"{metric_head(name)}{of}", metric_text(name, metrics[name])))
    return found[:MOST_FIGURES]


def metric_text(name: str, value: float | None) -> str:
    """A metric as it stands in the headline: accuracies in percent."""
    if name in PERCENTAGES and value is not None and math.isfinite(value):
        return f"{100 * value:.1f} %"
    return number(value)


def verdict(content: Content) -> str:
    """Whether fusion paid, in a few words that say the same as `choice.sentence`."""
    fusion = content["choice"]["fusion"]
    if fusion is None:
        return "Nothing to fuse" if len(content["modalities"]) == 1 else "Not compared"
    return choosing.verdict(choosing.Comparison(**fusion), len(content["used"]) > 1)


def difference(content: Content) -> Difference | None:
    """The paired difference that decides whether fusion paid; None where nothing was compared."""
    fusion = content["choice"]["fusion"]
    if fusion is None or not all(is_known(fusion[key]) for key in ("low", "high", "difference")):
        return None
    low, high = min(0.0, fusion["low"], fusion["difference"]), max(0.0, fusion["high"], fusion["difference"])
    zero, at, left, right = (
        round(4 + 92 * (value - low) / ((high - low) or 1.0), 2)
        for value in (0.0, fusion["difference"], fusion["low"], fusion["high"])
    )
    ends = f"{signed(fusion['low'])} to {signed(fusion['high'])}"
    return Difference(
        _kind_of(content, fusion["better"]),
        signed(fusion["difference"]),
        f"95 % interval {ends}",
        zero,
        at,
        left,
        right,
    )


def _kind_of(content: Content, name: str) -> str:
    return next((row["kind"] for row in content["leaderboard"] if row["name"] == name), "other")


def score_unit(metric: str | None) -> str:
    """What the large figures are."""
    if metric is None:
        return "score"
    return f"{metric_words(metric)}, sign turned" if metric in LOWER_IS_BETTER else metric_words(metric)
