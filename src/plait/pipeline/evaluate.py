"""The stage that evaluates every candidate on cached hidden states and writes the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from plait.fusion.candidates import Candidate
from plait.pipeline._base import Fit, Stage
from plait.pipeline.trials import described, packed, unpacked
from plait.search.cka import last_similarities
from plait.search.competitors import CONCAT, competitors
from plait.search.ensemble import ensemble_of
from plait.search.evaluator import Evaluator, Trial
from plait.search.ledger import Ledger
from plait.search.sharing import apart, sharing, together
from plait.training.checkpoints import load_tensors, save_tensors
from plait.training.loop import Plan, passes

RESERVE = 0.1
"""Share of the whole limit kept back for what comes after: test rows, report."""


def fusion_plan(rows: int, seed: int) -> Plan:
    """How to train a fusion architecture: about 600 steps, at least 10 passes and at most 40."""
    batch_size = 64 if rows < 10_000 else 128
    epochs = passes(600, rows, batch_size, 10, 40)
    return Plan(epochs=epochs, batch_size=batch_size, learning_rate=3e-3, patience=max(4, epochs // 3), seed=seed)


def evaluator_of(fit: Fit) -> Evaluator:
    """Trains in full, from three seeds, on the hidden states of training and validation rows."""
    rows = np.concatenate([fit.train, fit.validation])
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
        """Evaluate, write the ledger, keep outputs and weights."""
        candidates = self.candidates(fit)
        evaluator = evaluator_of(fit)
        fit.narrator.begin("Comparing ways to combine", len(candidates))
        trials = evaluator.evaluate(candidates, self._seconds(fit), lambda name: fit.narrator.advance())
        trials, shares = self._shared(fit, evaluator, candidates, trials)
        every = [*fit.classical, *trials]
        together = ensemble_of(every, fit.tasks, evaluator.labels, evaluator.folds, fit.options.metric)
        trials += [together] if together else []
        fit.narrator.end()
        if evaluator.cut:
            fit.note(
                f"Time ended {evaluator.cut} trainings of fusion networks; a longer time limit lets them learn on."
            )
        Ledger(fit.run.path / "trials.sqlite").record([*fit.classical, *trials], "competitors", 0, fit.options.seed)
        save_tensors(fit.run.path / self.files(fit)[0], packed(trials))
        return {
            "cut": fit.options.limit if evaluator.cut else None,
            "trials": described(trials),
            "sharing": shares,
        }

    def _shared(
        self, fit: Fit, evaluator: Evaluator, candidates: Sequence[Candidate], trials: list[Trial]
    ) -> tuple[list[Trial], list[dict[str, Any]]]:
        """The trials, with one of networks that learn one target each in their place; and what sharing is worth."""
        alone = [at for at, candidate in enumerate(candidates) if candidate.only]
        if not alone:
            return trials, []
        shared = next(trial for trial in trials if trial.candidate.name == CONCAT)
        labels, options = evaluator.labels, fit.options
        composed = together(shared.candidate, [trials[at] for at in alone], fit.tasks, labels, options.metric)
        told = sharing(shared, composed, fit.tasks, labels, options.seed, options.metric)
        for one in told:
            if one["high"] is not None and one["high"] < 0:
                fit.note(
                    f"Target {one['target']!r} is learned worse together with the others: {one['difference']:+.4f} "
                    f"(95 % interval {one['low']:+.4f} to {one['high']:+.4f}) against a network of its own."
                )
        return [*(trial for trial in trials if not trial.candidate.only), composed], told

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

    def _seconds(self, fit: Fit) -> Any:
        """The time limit of one training, asked when it begins: an equal part of what is left for this stage."""
        limit = fit.options.limit
        if limit is None:
            return None
        return lambda trainings: max(0.0, (fit.clock.left - RESERVE * limit) / max(1, trainings))


def likeness_of(fit: Fit, names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Linear CKA of the last hidden layers of every two modalities, on training rows."""
    rows = np.concatenate([fit.train, fit.validation])
    widths = {name: fit.widths()[name] for name in names}
    return last_similarities(
        fit.states, {name: fit.decoded[name].present[rows] for name in names}, widths, np.arange(len(fit.train)),
        fit.options.seed,
    )  # fmt: skip
