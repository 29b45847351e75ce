"""What was returned: how it decides, which layers of which modalities it reads, and every metric it reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plait.report.figures import count, number
from plait.report.headline import chosen_row, has_test
from plait.report.words import HOW, LOWER_IS_BETTER, metric_head

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Layer:
    """One layer of a modality's network: its number, what it is, and whether the returned predictor reads it."""

    label: str
    words: str
    read: bool


@dataclass(frozen=True)
class Strip:
    """A modality's layers from shallow to deep."""

    name: str
    used: bool
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class MetricRow:
    """A metric of a task by part."""

    label: str
    lower: bool
    values: tuple[str, ...]


@dataclass(frozen=True)
class Metrics:
    """All metrics of a task; `parts` are (name, labelled rows)."""

    task: str
    kind: str
    parts: tuple[tuple[str, str], ...]
    rows: tuple[MetricRow, ...]


def how(content: Content) -> str:
    """How the returned row decides, in one sentence."""
    return HOW.get(chosen_row(content)["kind"], "")


def programs(content: Content) -> list[list[str]]:
    """The architectures' cells, one line each."""
    return [one["text"].split("; ") for one in content["architectures"]]


def ties(content: Content) -> list[str]:
    """Other rows within one standard error of the best."""
    return [row["name"] for row in content["leaderboard"] if row["tied"] and not row["chosen"]]


def strips(content: Content) -> list[Strip]:
    """Every modality's layers, those that are read marked; discarded modalities last."""
    read = reads(content)
    found = [
        Strip(
            modality["name"],
            modality["name"] in content["used"],
            tuple(
                _layer(number_of, len(modality["widths"]), width, (modality["name"], number_of) in read)
                for number_of, width in enumerate(modality["widths"])
            ),
        )
        for modality in content["modalities"]
    ]
    known = {strip.name for strip in found}
    found += [Strip(name, False, ()) for name in content["discarded"] if name not in known]
    return sorted(found, key=lambda strip: not strip.used)


def reads(content: Content) -> set[tuple[str, int]]:
    """(modality, layer) of all that the returned predictor reads: sources of cells, or else networks' outputs."""
    sources = [source for one in content["architectures"] for cell in one["cells"] for source in cell["sources"]]
    states = {(source["modality"], source["layer"]) for source in sources if source.get("modality") is not None}
    if states:
        return states
    last = {modality["name"]: len(modality["widths"]) - 1 for modality in content["modalities"]}
    return {(name, last[name]) for name in content["used"] if name in last}


def _layer(number_of: int, layers: int, width: int, read: bool) -> Layer:
    if number_of == 0:
        what = "near-raw input"
    elif number_of == layers - 1:
        what = "outputs for the targets"
    else:
        what = "pooled hidden state"
    label = "out" if number_of == layers - 1 else str(number_of)
    return Layer(label, f"layer {number_of}: {what}, {width:,} wide" + (", read" if read else ""), read)


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
        )
        for name in names
    )
    return Metrics(task["name"], task["kind"], tuple((part, count(told[part]["n"])) for part in parts), tuple(rows))
