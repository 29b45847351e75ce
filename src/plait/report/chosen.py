"""What was returned: how it decides, its program, and every metric it reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plait.report.figures import count, interval, number, signed
from plait.report.headline import chosen_row, has_test
from plait.report.words import HOW, LOWER_IS_BETTER, classical_words, metric_head

Content = Mapping[str, Any]


@dataclass(frozen=True)
class MetricRow:
    """A metric of a task by part, with its intervals in words; those are empty where there is none."""

    label: str
    lower: bool
    values: tuple[str, ...]
    intervals: tuple[str, ...]


@dataclass(frozen=True)
class Metrics:
    """All metrics of a task; `parts` are (name, labelled rows)."""

    task: str
    kind: str
    parts: tuple[tuple[str, str], ...]
    rows: tuple[MetricRow, ...]


def how(content: Content) -> str:
    """How the returned row decides, in a sentence or two."""
    classical = content["decision"].get("classical")
    told = classical_words(classical) if classical else HOW.get(chosen_row(content)["kind"], "")
    if (models := content["weights"].get("models", 1)) > 1:
        told += f" {models} of its kind, each learned without some of the rows, answer together: their mean."
    return told


def programs(content: Content) -> list[list[str]]:
    """The architectures' cells, one line each."""
    return [one["text"].split("; ") for one in content["architectures"]]


def ties(content: Content) -> list[str]:
    """Other rows within one standard error of the best."""
    return [row["name"] for row in content["leaderboard"] if row["tied"] and not row["chosen"]]


def metrics(content: Content) -> list[Metrics]:
    """Every metric of every task on validation and, where there is one, test."""
    parts = ["validation", "test"] if has_test(content) else ["validation"]
    return [_metrics(content, task, parts) for task in content["tasks"]]


def _metrics(content: Content, task: Mapping[str, Any], parts: list[str]) -> Metrics:
    told = {part: (content["metrics"][part] or {}).get(task["name"], {"n": 0, "metrics": {}}) for part in parts}
    names = list(dict.fromkeys(name for part in parts for name in told[part]["metrics"]))
    rows = (
        MetricRow(
            metric_head(name),
            name in LOWER_IS_BETTER,
            tuple(number(told[part]["metrics"].get(name), 4) for part in parts),
            tuple(_interval(told[part], name) for part in parts),
        )
        for name in names
    )
    return Metrics(task["name"], task["kind"], tuple((part, count(told[part]["n"])) for part in parts), tuple(rows))


def _interval(told: Mapping[str, Any], name: str) -> str:
    ends = told.get("intervals", {}).get(name)
    return interval(*ends) if ends else ""


@dataclass(frozen=True)
class Robust:
    """Test figures where only some modalities are left.

    Attributes:
        heads: Of the columns after the score: a task's first metric each.
        rows: (modalities that are left, score, figures).
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]


def robust(content: Content) -> Robust | None:
    """What is left of the test figures without some modalities; None without test rows, or with one modality."""
    told = content.get("robustness") or []
    if len(told) < 2:
        return None
    tasks = [task["name"] for task in content["tasks"]]
    first = {name: next(iter(told[0]["tasks"][name]["metrics"])) for name in tasks}
    heads = tuple(
        metric_head(first[name]) if len(tasks) == 1 else f"{metric_head(first[name])}, {name}" for name in tasks
    )
    return Robust(
        heads,
        tuple(
            (
                " + ".join(one["present"]),
                number(one["score"], 4),
                tuple(number(one["tasks"][name]["metrics"][first[name]], 4) for name in tasks),
            )
            for one in told
        ),
    )


def shared(content: Content) -> list[tuple[str, str, str, str, str]]:
    """What it is worth to each target to be learned with the others: target, two scores, difference, interval."""
    return [
        (
            one["target"], number(one["shared"], 4), number(one["alone"], 4), signed(one["difference"], 4),
            interval(one["low"], one["high"]),
        )
        for one in content.get("sharing") or []
    ]  # fmt: skip
