"""Small multiples of bars: one row per modality or class, one column per part, each bar a share of the part's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plait.report.figures import count, percent

MOST_CLASSES: Final = 30
MISSING: Final = "missing"


@dataclass(frozen=True)
class Bar:
    """One bar: its length in percent of the column, what stands beside it, and what it says in full."""

    length: float
    text: str
    words: str


@dataclass(frozen=True)
class BarRow:
    """A label and one bar per part."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Shares:
    """Bars by part.

    Attributes:
        parts: (name, number of rows in words) of every column.
        rows: From top to bottom.
        scale: What a full bar stands for, in words.
        left_out: What is not drawn, in words; empty if everything is.
        total: Sum of all counts.
    """

    parts: tuple[tuple[str, str], ...]
    rows: tuple[BarRow, ...]
    scale: str
    left_out: str = ""
    total: int = 0


def parts_of(data: Mapping[str, Any]) -> dict[str, int]:
    """The parts that have rows, with their numbers of rows."""
    return {part: rows for part, rows in data["rows"].items() if rows}


def missing(data: Mapping[str, Any], filled: Mapping[str, Mapping[str, int]]) -> Shares:
    """Rows without a cell, by modality (`filled` is data["present"]) or by task (data["labelled"])."""
    parts = parts_of(data)
    counts = {name: [rows - filled[name].get(part, 0) for part, rows in parts.items()] for name in filled}
    return _shares(counts, parts, MISSING, full=1.0)


def targets(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tasks as the page shows them: those of the labels of one column as one, whose classes are the labels."""
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        if task.get("label") is None:
            found[task["name"]] = dict(task)
        else:
            told = found.setdefault(task["column"], {**task, "name": task["column"], "classes": []})
            told["classes"] = [*told["classes"], str(task["label"])]
    return list(found.values())


def classes(data: Mapping[str, Any], task: Mapping[str, Any]) -> Shares:
    """Labelled rows by class; the most frequent classes of the training rows where there are many."""
    by_part = data["classes"][task["name"]]
    lists = task["kind"] == "multilabel"  # a row may then have several, or none
    parts = {part: data["labelled"][task["name"]][part] if lists else sum(by_part[part]) for part in parts_of(data)}
    order = range(len(task["classes"]))
    shown = (
        sorted(order, key=lambda i: (-next(iter(by_part.values()))[i], i))[:MOST_CLASSES]
        if len(order) > MOST_CLASSES
        else order
    )
    counts = {task["classes"][index]: [by_part[part][index] for part in parts] for index in shown}
    rest = [index for index in order if index not in set(shown)]
    left_out = ""
    if rest:
        rows = sum(by_part[part][index] for part in parts for index in rest)
        left_out = (
            f"The {len(shown)} most frequent of {len(order):,} classes; "
            f"the other {len(rest):,} have {rows:,} rows together."
        )
    return _shares(counts, parts, "of the labelled rows", left_out=left_out)


def _shares(
    counts: Mapping[str, Sequence[int]],
    parts: Mapping[str, int],
    noun: str,
    full: float | None = None,
    left_out: str = "",
) -> Shares:
    """Bars of shares; a full bar is `full`, or the largest share there is."""
    found = [
        value / rows for values in counts.values() for value, rows in zip(values, parts.values(), strict=True) if rows
    ]
    scale = full or max(found, default=0.0) or 1.0
    rows = tuple(
        BarRow(
            name, tuple(_bar(value, total, scale, noun) for value, total in zip(values, parts.values(), strict=True))
        )
        for name, values in counts.items()
    )
    heads = tuple((part, count(total)) for part, total in parts.items())
    return Shares(heads, rows, percent(scale), left_out, sum(map(sum, counts.values())))


def _bar(value: int, total: int, scale: float, noun: str) -> Bar:
    share = value / total if total else 0.0
    text = f"{value:,} · {percent(share)}" if value and noun == MISSING else count(value)
    words = f"{value:,} of {total:,} rows ({percent(share)}) {noun}"
    return Bar(round(100 * min(1.0, share / scale), 2), text, words)
