"""The last stages: choose on validation rows, write what predicts, read the test rows once, draw the report."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from plait._version import __version__
from plait.data.atomic import write_json
from plait.data.batches import Rows
from plait.data.splits import PARTS
from plait.fusion.candidates import Candidate
from plait.pipeline._base import Fit, Stage
from plait.pipeline.encode import encode_rows
from plait.pipeline.evaluate import fit_labels, labels_of
from plait.pipeline.run import FORMAT, MANIFEST, file_digest
from plait.report.page import write_report
from plait.search.choosing import Choice, bootstrap_scores, choose
from plait.tasks.score import Labels, measure_all, score
from plait.training.checkpoints import load_into, save_tensors
from plait.training.model import CachedStates, Model

WEIGHTS = "weights.safetensors"


class ChooseStage(Stage):
    """The choice, by validation rows alone."""

    name = "choose"
    after: ClassVar[tuple[str, ...]] = ("evaluate",)

    def inputs(self, fit: Fit) -> list[str]:
        """Metric and seed."""
        return [str(fit.options.metric), str(fit.options.seed)]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Choose by design: one standard error, the cheapest."""
        rows = np.arange(len(fit.train), len(fit.train) + len(fit.validation))
        everything = fit_labels(fit)
        labels = Labels(
            {name: values[rows] for name, values in everything.targets.items()},
            {name: values[rows] for name, values in everything.labelled.items()},
            None if everything.groups is None else everything.groups[rows],
        )
        return asdict(choose(fit.trials, fit.tasks, labels, fit.options.seed, fit.options.metric))

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The choice."""
        fit.choice = Choice.from_json(result)


class RefitStage(Stage):
    """The returned predictor's weights: those of the networks that the choice reads, and of what combines them."""

    name = "refit"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "evaluate", "choose")

    def files(self, fit: Fit) -> list[str]:
        """The weights."""
        return [WEIGHTS]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Write them."""
        trial = fit.trials[_choice(fit).chosen]
        tensors: dict[str, Tensor] = {f"decision/{name}": tensor for name, tensor in trial.weights.items()}
        for number, name in enumerate(trial.candidate.used):
            tensors |= {f"network/{number}/{key}": value for key, value in fit.networks[name].state_dict().items()}
        save_tensors(fit.run.path / WEIGHTS, tensors)
        return {"weights": file_digest(fit.run.path / WEIGHTS)}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""


class TestStage(Stage):
    """Reads the test rows, once, after the choice is written down; scores every leaderboard row in one pass."""

    __test__ = False  # not a pytest class
    name = "test"
    after: ClassVar[tuple[str, ...]] = ("refit", "choose")

    def work(self, fit: Fit) -> dict[str, Any]:
        """Score all candidates on the test rows; null figures where there are none."""
        if len(fit.test) == 0:
            return {"scores": None, "low": None, "high": None, "metrics": None}
        states = encode_rows(fit, fit.test)
        labels = labels_of(fit, fit.test)
        rows = Rows(states, {n: fit.decoded[n].present[fit.test] for n in states}, index=np.arange(len(fit.test)))
        outputs = []
        for trial in fit.trials:
            module = trial.candidate.build(fit.widths(), fit.tasks)
            load_into(module, trial.weights, f"Trial {trial.candidate.name!r}")
            model = Model({n: CachedStates(fit.networks[n].widths) for n in module.modalities}, module, fit.tasks)
            outputs.append({name: values.numpy() for name, values in model.predict(rows, 4096).items()})
        drawn = bootstrap_scores(fit.tasks, [[one] for one in outputs], labels, fit.options.seed, fit.options.metric)
        low, high = np.nanquantile(drawn, [0.025, 0.975], axis=1)
        return {
            "scores": [score(fit.tasks, one, labels, fit.options.metric) for one in outputs],
            "low": [_finite(value) for value in low],
            "high": [_finite(value) for value in high],
            "metrics": measure_all(fit.tasks, outputs[_choice(fit).chosen], labels),
        }

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""


class ReportStage(Stage):
    """`plait.json`, with which the run is finished, and `report.html`."""

    name = "report"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "evaluate", "choose", "refit", "test")

    def files(self, fit: Fit) -> list[str]:
        """Both."""
        return [MANIFEST, "report.html"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Write both."""
        content = manifest(fit, fit.results["refit"]["weights"], fit.results["test"])
        write_report(fit.run.path / "report.html", content)
        write_json(fit.run.path / MANIFEST, content)
        return {}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""


def manifest(fit: Fit, weights: str, test: dict[str, Any]) -> dict[str, Any]:
    """The content of `plait.json`."""
    choice = _choice(fit)
    chosen = fit.trials[choice.chosen].candidate
    rows = np.arange(len(fit.train), len(fit.train) + len(fit.validation))
    everything = fit_labels(fit)
    labels = Labels(
        {name: values[rows] for name, values in everything.targets.items()},
        {name: values[rows] for name, values in everything.labelled.items()},
    )
    return {
        "format": FORMAT,
        "versions": _versions(),
        "seed": fit.options.seed,
        "metric": fit.options.metric,
        "limit": {"seconds": fit.options.limit, "trials": fit.options.trials},
        "schema": fit.source.schema.model_dump(),
        "tasks": [task.model_dump() for task in fit.tasks],
        "modalities": [_modality(fit, number, name) for number, name in enumerate(fit.networks)],
        "decision": chosen.model_dump(exclude_defaults=True),
        "architectures": _architectures(chosen),
        "used": list(chosen.used),
        "discarded": sorted({m.name for m in fit.source.schema.modalities} - set(chosen.used)),
        "weights": {"file": WEIGHTS, "sha256": weights},
        "leaderboard": _leaderboard(fit, test),
        "choice": {"sentence": choice.sentence, "fusion": asdict(choice.fusion) if choice.fusion else None},
        "metrics": {
            "validation": measure_all(fit.tasks, fit.trials[choice.chosen].outputs[0], labels),
            "test": test["metrics"],
        },
        "data": _data(fit),
        "stages": {name: round(seconds, 3) for name, seconds in fit.seconds.items()},
        "notes": fit.notes,
    }


def _architectures(chosen: Candidate) -> list[dict[str, Any]]:
    if chosen.architecture is None:
        return []
    cells = chosen.architecture.model_dump(mode="json", exclude_none=True)["cells"]
    return [{"text": str(chosen.architecture), "cells": cells}]


def _choice(fit: Fit) -> Choice:
    if fit.choice is None:
        raise ValueError("the stage `choose` has not run")
    return fit.choice


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "scikit-learn", "pyarrow")
    return {"plait": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


def _modality(fit: Fit, number: int, name: str) -> dict[str, Any]:
    modality = next(m for m in fit.modalities if m.name == name)
    history = fit.results[f"encode-{number}"]["history"]
    return {
        "name": name,
        "kind": modality.kind,
        "columns": list(modality.columns),
        "reader": fit.readers[name].model_dump(mode="json"),
        "encoder": fit.encoders[name],
        "widths": list(fit.networks[name].widths),
        "epochs": len(history),
    }


def _leaderboard(fit: Fit, test: dict[str, Any]) -> list[dict[str, Any]]:
    choice = _choice(fit)
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


def _data(fit: Fit) -> dict[str, Any]:
    """Rows by part, missing cells by modality and part, labels by task and part, classes."""
    parts = dict(zip(PARTS, (fit.train, fit.validation, fit.test), strict=True))
    present = {
        m.name: {part: int(fit.decoded[m.name].present[rows].sum()) for part, rows in parts.items()}
        for m in fit.source.schema.modalities
    }
    labelled = {
        task.name: {part: int(fit.labels.labelled[task.name][rows].sum()) for part, rows in parts.items()}
        for task in fit.tasks
    }
    classes = {
        task.name: {
            part: [
                int(((fit.labels.targets[task.name][rows] == index) & fit.labels.labelled[task.name][rows]).sum())
                for index in range(len(task.classes))
            ]
            for part, rows in parts.items()
        }
        for task in fit.tasks
        if task.classes
    }
    return {
        "table": str(fit.source.table.name),
        "rows": {part: len(rows) for part, rows in parts.items()},
        "skipped": len(fit.results["decode"]["bad"]),
        "present": present,
        "labelled": labelled,
        "classes": classes,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
