"""The stage that evaluates every candidate on cached hidden states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from plait.fusion.candidates import Candidate
from plait.pipeline._base import Fit, Stage
from plait.pipeline.trials import described, packed, unpacked
from plait.pipeline.turns import kept_for_turns
from plait.search.cka import last_similarities
from plait.search.competitors import CONCAT, competitors
from plait.search.evaluator import Evaluator
from plait.search.sharing import apart
from plait.training.checkpoints import load_tensors, save_tensors
from plait.training.loop import Plan, passes

RESERVE = 0.15
"""Share of the whole limit kept back for what comes after: ensembles, choice, test rows, report."""


def fusion_plan(rows: int, seed: int) -> Plan:
    """How to train a fusion architecture: about 600 steps, at least 10 passes and at most 40."""
    batch_size = 64 if rows < 10_000 else 128
    epochs = passes(600, rows, batch_size, 10, 40)
    return Plan(epochs=epochs, batch_size=batch_size, learning_rate=3e-3, patience=max(4, epochs // 3), seed=seed)


def evaluator_of(fit: Fit) -> Evaluator:
    """Trains in full, from three seeds, on the hidden states of training and validation rows."""
    rows = fit.both
    return Evaluator(
        fit.states, {name: fit.decoded[name].present[rows] for name in fit.networks}, fit.widths(), fit.tasks,
        fit.labels.at(rows), np.arange(len(fit.train)), np.arange(len(fit.train), len(rows)),
        fusion_plan(len(fit.train), fit.options.seed), fit.options.metric, fit.options.torch_device(),
    )  # fmt: skip


class EvaluateStage(Stage):
    """Trials of the standing competitors and of what the search found, each architecture from fresh seeds."""

    name = "evaluate"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "cache", "screen", "classical", "search")

    def inputs(self, fit: Fit) -> list[str]:
        """The networks, the metric."""
        return [*fit.encoder_results(), str(fit.options.metric), str(fit.options.seed)]

    def files(self, fit: Fit) -> list[str]:
        """Outputs and weights of every trial."""
        return ["stages/evaluate.safetensors"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Evaluate, keep outputs and weights."""
        candidates = self.candidates(fit)
        evaluator = evaluator_of(fit)
        fit.narrator.begin("Comparing ways to combine", len(candidates))
        trials = evaluator.evaluate(candidates, self._seconds(fit), lambda name: fit.narrator.advance())
        fit.narrator.end()
        if evaluator.cut:
            fit.note(
                f"Time ended {evaluator.cut} trainings of fusion networks; a longer time limit lets them learn on."
            )
        save_tensors(fit.run.path / self.files(fit)[0], packed(trials))
        return {"cut": fit.options.limit if evaluator.cut else None, "trials": described(trials)}

    def candidates(self, fit: Fit) -> list[Candidate]:
        """What competes in this fit."""
        kept = fit.results["screen"]["kept"]
        standing = competitors(fit.widths(), kept, likeness_of(fit, kept), fit.tasks)
        standing += [each for one in standing if one.name == CONCAT for each in apart(one, fit.tasks)]
        known = {str(candidate.architecture) for candidate in standing if not candidate.only}
        found = [Candidate.model_validate(told) for told in fit.results["search"]["finalists"]]
        fresh: dict[str, Candidate] = {}
        for candidate in found:
            if str(candidate.architecture) not in known:
                fresh.setdefault(str(candidate.architecture), candidate)
        return [*standing, *fresh.values()]

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The trials with their outputs and weights, classical ones among them."""
        fit.trials = [*fit.classical, *unpacked(result["trials"], load_tensors(fit.run.path / self.files(fit)[0]))]
        fit.judged = fit.validation

    def _seconds(self, fit: Fit) -> Callable[[int], float] | None:
        """The time limit of one training, asked when it begins: an equal part of what is left for this stage."""
        limit = fit.options.limit
        if limit is None:
            return None
        return lambda trainings: max(0.0, (fit.clock.left - RESERVE * limit - kept_for_turns(fit)) / max(1, trainings))


def likeness_of(fit: Fit, names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Linear CKA of the last hidden layers of every two modalities, on training rows."""
    rows = fit.both
    widths = {name: fit.widths()[name] for name in names}
    return last_similarities(
        fit.states, {name: fit.decoded[name].present[rows] for name in names}, widths, np.arange(len(fit.train)),
        fit.options.seed,
    )  # fmt: skip
