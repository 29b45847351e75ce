"""The stage that makes candidates of evaluated ones: networks of their own per target, and a greedy ensemble."""

from __future__ import annotations

from typing import Any, ClassVar

from plait.pipeline._base import Fit, Stage
from plait.pipeline.trials import described, packed, unpacked
from plait.search.competitors import CONCAT
from plait.search.ensemble import ensembles
from plait.search.evaluator import Trial, crossed
from plait.search.ledger import Ledger
from plait.search.sharing import sharing, together
from plait.tasks.score import Labels
from plait.training.checkpoints import load_tensors, save_tensors


class EnsembleStage(Stage):
    """What several candidates are together; then every score of the comparison is written into the ledger."""

    name = "ensemble"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "classical", "evaluate", "folds")

    def inputs(self, fit: Fit) -> list[str]:
        """The metric, the seed; and the search, which begins the ledger anew."""
        return [str(fit.options.metric), str(fit.options.seed), str((fit.run.marker("search") or {}).get("key"))]

    def files(self, fit: Fit) -> list[str]:
        """Outputs and weights of what was made."""
        return ["stages/ensemble.safetensors"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Compose, select, write the ledger."""
        labels, options = fit.labels.at(fit.judged), fit.options
        composed, shares = self._composed(fit, labels)
        competing = [*(trial for trial in fit.trials if not trial.candidate.only), *composed]
        selected = ensembles(
            competing, fit.tasks, labels, lambda repeat: crossed(labels, options.seed, repeat), options.metric
        )
        made = [*composed, *selected]
        Ledger(fit.run.path / "trials.sqlite").record([*competing, *selected], "competitors", 0, options.seed)
        save_tensors(fit.run.path / self.files(fit)[0], packed(made))
        return {"trials": described(made), "sharing": shares}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """What was made, in the place of its parts that answer one target alone."""
        made = []
        if result["trials"]:
            made = unpacked(result["trials"], load_tensors(fit.run.path / self.files(fit)[0]))
        fit.trials = [*(trial for trial in fit.trials if not trial.candidate.only), *made]

    def _composed(self, fit: Fit, labels: Labels) -> tuple[list[Trial], list[dict[str, Any]]]:
        """Networks that learn one target each, as one competitor; and what sharing is worth."""
        alone = [trial for trial in fit.trials if trial.candidate.only]
        if not alone:
            return [], []
        shared = next(trial for trial in fit.trials if trial.candidate.name == CONCAT)
        metric = fit.options.metric
        composed = together(shared.candidate, alone, fit.tasks, labels, metric)
        told = sharing(shared, composed, fit.tasks, labels, fit.options.seed, metric)
        for one in told:
            if one["high"] is not None and one["high"] < 0:
                fit.note(
                    f"Target {one['target']!r} is learned worse together with the others: {one['difference']:+.4f} "
                    f"(95 % interval {one['low']:+.4f} to {one['high']:+.4f}) against a network of its own."
                )
        return [composed], told
