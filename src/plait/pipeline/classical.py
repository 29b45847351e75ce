"""The stage that fits classical models: scikit-learn on the readers' arrays, or on hidden states."""

from __future__ import annotations

import math
from dataclasses import asdict, astuple
from importlib.metadata import version
from typing import Any, ClassVar

from plait.pipeline._base import Fit, Stage
from plait.pipeline.evaluate import RESERVE, evaluator_of
from plait.pipeline.trials import described, packed, unpacked
from plait.pipeline.turns import turns_of
from plait.search.classical import ClassicalEvaluator, classical_competitors
from plait.training.checkpoints import load_tensors, save_tensors

BUDGET = 90.0
"""Seconds that fitting may cost for a task, by estimates from shapes alone: no clock has a say."""

TURN_BUDGET = 45.0
"""The same where rows take turns at being judged, for every turn."""

MOST_TASKS = 12
"""Tasks that are paid for."""

SHARE = 0.3
"""Share of the time left that it may take where time is limited."""


def classical_of(fit: Fit) -> ClassicalEvaluator:
    """Fits classical models on the training rows and scores them on the validation rows."""
    values = {name: fit.decoded[name].values[fit.both] for name in _read_raw(fit)}
    return ClassicalEvaluator(evaluator_of(fit), values, fit.readers, fit.options.processes)


def _read_raw(fit: Fit) -> list[str]:
    """Modalities of which classical models read what the reader has, not hidden states."""
    return [name for name in fit.networks if fit.readers[name].has_features]


class ClassicalStage(Stage):
    """Trials of classical models; they compete with all others, and may be members of the ensemble."""

    name = "classical"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "cache", "screen")

    def inputs(self, fit: Fit) -> list[str]:
        """The networks, the metric, the seed, who shares the budget, and scikit-learn's version, which decides, too."""
        options = fit.options
        return [
            *fit.encoder_results(), str(options.metric), str(options.seed), str(options.folds), version("scikit-learn"),
        ]  # fmt: skip

    def files(self, fit: Fit) -> list[str]:
        """Outputs and models of every trial."""
        return ["stages/classical.safetensors"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Fit, score, keep."""
        candidates = classical_competitors(list(fit.networks), fit.results["screen"]["kept"], _read_raw(fit))
        fit.narrator.begin("Fitting classical models", len(candidates))
        limit = fit.options.limit
        seconds = None if limit is None else max(0.0, fit.clock.left - RESERVE * limit) * SHARE
        end = None if seconds is None else fit.clock.left - seconds
        evaluator = classical_of(fit)
        budget = (TURN_BUDGET if turns_of(fit) else BUDGET) * min(MOST_TASKS, len(fit.tasks))
        limits = evaluator.limits(candidates, budget if seconds is None else min(budget, seconds))
        trials, out = evaluator.evaluate(
            candidates, limits, None if end is None else lambda: fit.clock.left - end,
            lambda name: fit.narrator.advance(),
        )  # fmt: skip
        fit.narrator.end()
        late = end is not None and fit.clock.left <= end
        hurried = seconds is not None and (seconds < budget or late)
        cut = min(astuple(limits)) < math.inf
        if out:
            why = "a longer time limit fits them" if hurried else "so many features and classes would cost too much"
            fit.note(f"Of {len(candidates)} classical models, {len(out)} were not fitted: {why}.")
        save_tensors(fit.run.path / self.files(fit)[0], packed(trials))
        return {
            "cut": limit if hurried and (out or cut) else None, "trials": described(trials),
            "limits": {name: None if value == math.inf else value for name, value in asdict(limits).items()},
        }  # fmt: skip

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The trials; a file without any is not read, as safetensors would refuse it."""
        if result["trials"]:
            fit.classical = unpacked(result["trials"], load_tensors(fit.run.path / self.files(fit)[0]))
