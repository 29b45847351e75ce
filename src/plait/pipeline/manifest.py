"""The content of `plait.json`: all that `predict` and the report need to know of a run."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait._version import __version__
from plait.data.splits import PARTS
from plait.fusion.candidates import Candidate
from plait.pipeline._base import Fit
from plait.pipeline.refit import WEIGHTS
from plait.pipeline.run import FORMAT
from plait.tasks._base import Task, by_target
from plait.tasks.intervals import with_intervals
from plait.tasks.score import measure_all


def manifest(fit: Fit, test: dict[str, Any]) -> dict[str, Any]:
    """The content of `plait.json`."""
    choice, refit = fit.chosen, fit.results["refit"]
    chosen = fit.trials[choice.chosen].candidate
    return {
        "format": FORMAT,
        "finished": True,
        "versions": _versions(),
        "seed": fit.options.seed,
        "metric": fit.options.metric,
        "class_weights": fit.options.class_weights,
        "limit": {"seconds": fit.options.limit, "trials": fit.options.trials},
        "schema": fit.source.schema.model_dump(),
        "tasks": [task.model_dump() for task in fit.answered],
        "modalities": [_modality(fit, number, name) for number, name in enumerate(fit.networks)],
        "decision": chosen.model_dump(exclude_defaults=True),
        "architectures": _architectures(chosen),
        "used": list(chosen.used),
        "discarded": sorted({m.name for m in fit.source.schema.modalities} - set(chosen.used)),
        "weights": {"file": WEIGHTS, "sha256": refit["files"][WEIGHTS], "models": refit["models"]},
        "leaderboard": _leaderboard(fit, test),
        "choice": {
            "sentence": choice.sentence,
            "fusion": asdict(choice.fusion) if choice.fusion else None,
            "search": asdict(choice.search) if choice.search else None,
        },
        "search": _search(fit),
        "sharing": fit.results["ensemble"]["sharing"] or None,
        "folds": fit.results["folds"]["told"],
        "gates": refit["gates"] or None,
        "finetune": fit.results["finetune"]["told"],
        "thresholds": fit.results["thresholds"]["told"] or None,
        "metrics": {
            "validation": _validation(fit),
            "test": test["metrics"],
        },
        "robustness": test["robustness"],
        "data": _data(fit),
        "stages": {name: round(seconds, 3) for name, seconds in fit.seconds.items()},
        "notes": fit.notes,
    }


def _validation(fit: Fit) -> dict[str, Any]:
    """Figures of what was returned on the rows that judge."""
    outputs, labels = fit.trials[fit.chosen.chosen].outputs[0], fit.labels.at(fit.judged)
    return with_intervals(fit.tasks, outputs, labels, measure_all(fit.tasks, outputs, labels))


def _architectures(chosen: Candidate) -> list[dict[str, Any]]:
    """All that the returned predictor holds, those of an ensemble one after another."""
    every, found = [chosen], []
    while every:
        one = every.pop(0)
        every = [*one.members, *every]
        found += [one.architecture] if one.architecture is not None else []
    return [{"text": str(one), "cells": one.model_dump(mode="json", exclude_none=True)["cells"]} for one in found]


def _search(fit: Fit) -> dict[str, Any] | None:
    """What was searched and tried; None where there was nothing to search."""
    result = fit.results["search"]
    if result["told"] is None:
        return None
    return {**result["told"], "finalists": [candidate["name"] for candidate in result["finalists"]]}


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "scikit-learn", "skops", "pyarrow")
    return {"plait": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


def _modality(fit: Fit, number: int, name: str) -> dict[str, Any]:
    modality = next(m for m in fit.modalities if m.name == name)
    learned = fit.results[f"encode-{number}"]
    return {
        "name": name,
        "kind": modality.kind,
        "columns": list(modality.columns),
        "reader": fit.readers[name].model_dump(mode="json"),
        "encoder": fit.encoders[name],
        "encoder_from": learned.get("from"),
        "sha256": next(iter(learned["files"].values())),
        "widths": list(fit.networks[name].widths),
        "epochs": len(learned["history"]),
        "cut": learned["cut"] is not None,
    }


def _leaderboard(fit: Fit, test: dict[str, Any]) -> list[dict[str, Any]]:
    choice = fit.chosen
    table = []
    for position in choice.order:
        trial = fit.trials[position]
        at = {name: test[name][position] if test[name] else None for name in ("scores", "low", "high")}
        table.append(
            {
                "name": trial.candidate.name,
                "kind": trial.candidate.kind,
                "validation": trial.score,
                "test": at["scores"],
                "seconds": round(trial.seconds, 4),
                "chosen": position == choice.chosen,
                "tied": position in choice.tied,
                "seeds": trial.scores,
                "interval": [choice.low[position], choice.high[position]],
                "test_interval": [at["low"], at["high"]],
                "text": str(trial.candidate.architecture) if trial.candidate.architecture else None,
                "used": list(trial.candidate.used),
            }
        )
    return table


def _counts(fit: Fit, tasks: Sequence[Task], rows: NDArray[np.int64]) -> list[int]:
    """Labelled rows of every class of a column; of a column of lists, rows of every label."""
    found = []
    for task in tasks:
        codes = fit.labels.targets[task.name][rows][fit.labels.labelled[task.name][rows]].astype(np.int64)
        counts = np.bincount(codes[codes >= 0], minlength=len(task.classes))
        found += counts[1:].tolist() if task.label is not None else counts.tolist()
    return found


def _data(fit: Fit) -> dict[str, Any]:
    """Rows by part, missing cells by modality and part, labels by task and part, classes."""
    parts = dict(zip(PARTS, (fit.train, fit.validation, fit.test), strict=True))
    present = {
        m.name: {part: int(fit.decoded[m.name].present[rows].sum()) for part, rows in parts.items()}
        for m in fit.source.schema.modalities
    }
    labelled = {
        column: {part: int(fit.labels.labelled[tasks[0].name][rows].sum()) for part, rows in parts.items()}
        for column, tasks in by_target(fit.tasks).items()
    }
    classes = {
        column: {part: _counts(fit, tasks, rows) for part, rows in parts.items()}
        for column, tasks in by_target(fit.tasks).items()
        if tasks[0].classes
    }
    return {
        "table": str(fit.source.table.name),
        "rows": {part: len(rows) for part, rows in parts.items()},
        "skipped": len(fit.results["decode"]["bad"]),
        "present": present,
        "labelled": labelled,
        "classes": classes,
    }
