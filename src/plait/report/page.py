"""The report: one self-contained page made from the content of `plait.json`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from plait.data.atomic import write_atomic
from plait.report import chosen, diagram, figures, headline, plot, searched, shares, words

MOST_OPEN: Final = 40
"""A table of more rows than this is folded up until it is asked for."""

Content = Mapping[str, Any]


def write_report(path: Path, content: Content) -> None:
    """Write the page atomically.

    Args:
        path: Where.
        content: The content of `plait.json`.

    Raises:
        InputError: It cannot be written.
    """
    write_atomic(path, render(content).encode("utf-8", "replace"))


def render(content: Content) -> str:
    """The page as HTML: no script, nothing loaded from elsewhere; every name from the table is escaped."""
    return _environment().get_template("page.html.jinja").render(page=context(content), most_open=MOST_OPEN)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("plait.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    for name in ("number", "signed", "interval", "count", "counted", "duration", "short", "percent"):
        environment.filters[name] = getattr(figures, name)
    environment.filters["reader"] = words.reader_words
    environment.filters["kind_key"] = plot.kind_key
    environment.filters["kind"] = lambda kind: words.KINDS.get(kind, kind)
    return environment


def context(content: Content) -> dict[str, Any]:
    """Everything the template shows, in the order of the page."""
    content = {**content, "tasks": shares.targets(content["tasks"])}
    return {**_head(content), **_leaderboard(content), **_data(content), **_chosen(content), **_making(content)}


def _head(content: Content) -> dict[str, Any]:
    return {
        "finished": content["finished"],
        "title": headline.title(content),
        "targets": headline.targets(content),
        "sources": headline.sources(content),
        "chosen": headline.chosen_row(content),
        "reading": headline.reading(content),
        "tiles": headline.tiles(content),
        "judged": headline.judged(content),
        "in_turns": bool(content.get("folds")),
        "score_unit": headline.score_unit(content["metric"]),
        "difference": headline.difference(content),
        "verdict": headline.verdict(content),
        "sentence": content["choice"]["sentence"],
    }


def _leaderboard(content: Content) -> dict[str, Any]:
    picture = plot.plot_of(content["leaderboard"], content["metric"])
    return {
        "score_words": words.score_words(content["metric"], content["tasks"]),
        "plot": picture,
        "caption": plot.caption(picture, _named(content, "group"), content["metric"]),
        "leaderboard": [_exact(row) for row in content["leaderboard"]],
        "has_test": headline.has_test(content),
    }


def _exact(row: Content) -> dict[str, Any]:
    """A leaderboard row with its spread over seeds or repeats."""
    known = [value for value in row["seeds"] if figures.is_known(value)]
    return {**row, "spread": statistics.stdev(known) if len(known) > 1 else None, "repeats": len(row["seeds"])}


def _named(content: Content, role: str) -> str | None:
    return next((column["name"] for column in content["schema"]["columns"] if column["role"] == role), None)


def _data(content: Content) -> dict[str, Any]:
    data = content["data"]
    columns = content["schema"]["columns"]
    return {
        "data": data,
        "parts": _parts(data),
        "parts_filled": len(shares.parts_of(data)),
        "modalities": content["modalities"],
        "missing": shares.missing(data, data["present"]),
        "unlabelled": shares.missing(data, data["labelled"]),
        "tasks": [
            {**task, "balance": shares.classes(data, task) if task["name"] in data["classes"] else None}
            for task in content["tasks"]
        ],
        "columns": columns,
        "aside": [column for column in columns if column["role"] not in ("input", "target")],
    }


def _parts(data: Content) -> list[dict[str, Any]]:
    """Every part with its rows and where its stretch of the bar of all rows begins and how long it is, percent."""
    total = sum(data["rows"].values())
    found: list[dict[str, Any]] = []
    begin = 0
    for part, rows in data["rows"].items():
        share = rows / total if total else 0.0
        start = 100 * begin / total if total else 0.0
        found.append(
            {"name": part, "rows": rows, "share": share, "start": round(start, 3), "length": round(100 * share, 3)}
        )
        begin += rows
    return found


def _chosen(content: Content) -> dict[str, Any]:
    return {
        "how": chosen.how(content),
        "programs": chosen.programs(content),
        "ties": chosen.ties(content),
        "drawings": diagram.diagrams(content),
        "discarded": content["discarded"],
        "paid": searched.paid(content),
        "finetuned": searched.finetuned(content),
        "search": searched.searched(content),
        "metrics": chosen.metrics(content),
        "robust": chosen.robust(content),
        "sharing": chosen.shared(content),
    }


def _making(content: Content) -> dict[str, Any]:
    names = [modality["name"] for modality in content["modalities"]]
    score = words.score_words(content["metric"], content["tasks"])
    longest = max(content["stages"].values(), default=0.0) or 1.0
    stages = [
        {
            "words": words.stage_words(name, names),
            "seconds": seconds,
            "length": round(100 * seconds / longest, 2),
            "share": seconds / (sum(content["stages"].values()) or 1.0),
        }
        for name, seconds in content["stages"].items()
    ]
    return {
        "stages": stages,
        "seconds": sum(content["stages"].values()),
        "facts": {"Seed": str(content["seed"]), "Limit": words.limit_words(content["limit"]), "Score": score},
        "versions": content["versions"],
        "notes": content["notes"],
        "test_words": words.test_words(content["data"]["rows"].get("test", 0), content["finished"]),
    }
