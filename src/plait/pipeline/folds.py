"""The stage that lets more rows judge where validation rows are few: training rows take turns in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plait.data.splits import TRAIN, VALIDATION, fold_rows
from plait.pipeline._base import Fit, Stage
from plait.pipeline.cache import encode_rows
from plait.pipeline.classical import classical_of
from plait.pipeline.encode import EncodeStage
from plait.pipeline.evaluate import RESERVE, evaluator_of, turns_of
from plait.pipeline.narrator import Narrator
from plait.pipeline.trials import described, packed, unpacked
from plait.search.evaluator import Trial, mean_of, weights_of
from plait.tasks.score import Outputs, score
from plait.tasks.targets import strata
from plait.training.checkpoints import load_tensors, save_tensors

SLACK: Final = 1.3
"""A fold is begun where so many times what the comparison before it took is left of the time limit."""


class FoldsStage(Stage):
    """On small tables, the whole comparison again with other rows in the place of the validation rows.

    Few validation rows tell little apart. So the training rows are dealt into parts; each takes the place of the
    validation rows once, which are learned from instead: networks, classical models and ways to combine anew. Every
    row is then judged once, by what never saw its label, and candidates are compared on all of them. What predicts
    stays what was learned from the training rows, but for classical models of the readers' own features, which are
    fitted anew on training and validation rows.

    What was settled before stays: the readers, what screening keeps, which architectures the search found.
    """

    name = "folds"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "cache", "screen", "classical", "evaluate")

    def inputs(self, fit: Fit) -> list[str]:
        """The networks, the metric, the seed, the folds that are asked for."""
        options = fit.options
        return [*fit.encoder_results(), str(options.metric), str(options.seed), str(options.folds)]

    def files(self, fit: Fit) -> list[str]:
        """Outputs and weights of every trial."""
        return ["stages/folds.safetensors"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Turn by turn."""
        path, parts = fit.run.path / self.files(fit)[0], self._parts(fit)
        limit, done, told = fit.options.limit, [fit.validation], [_outputs(fit.trials)]
        names = [f"encode-{number}" for number in range(len(fit.modalities))]
        cost = sum(fit.seconds[name] for name in [*names, "classical", "evaluate"])
        fit.narrator.begin("Comparing again, judged by other rows", len(parts) + 1)
        for part in parts:
            if limit is not None and fit.clock.left - RESERVE * limit < SLACK * cost:
                break
            told.append(_outputs(self._turn(fit, np.setdiff1d(fit.both, part), part)))
            done.append(part)
            fit.narrator.advance()
        cut = limit if len(done) <= len(parts) else None
        if len(done) == 1:
            fit.narrator.end()
            save_tensors(path, {})
            return {"told": None, "rows": [], "trials": [], "cut": cut}
        refitted = self._refitted(fit)
        fit.narrator.end()
        judged = np.concatenate(done)
        trials = [self._pooled(fit, trial, told, judged, refitted) for trial in fit.trials]
        save_tensors(path, packed(trials))
        fit.note(
            f"{len(fit.validation)} validation rows tell little apart, so {len(judged)} rows are judged: in "
            f"{len(done)} parts, each by networks and models that learned from the other rows."
        )
        return {
            "told": {"parts": len(done), "rows": len(judged)}, "rows": judged.tolist(), "trials": described(trials),
            "cut": cut,
        }  # fmt: skip

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The trials as all judged rows have them."""
        if result["trials"]:
            fit.trials = unpacked(result["trials"], load_tensors(fit.run.path / self.files(fit)[0]))
            fit.judged = np.array(result["rows"], np.int64)

    def _parts(self, fit: Fit) -> list[NDArray[np.int64]]:
        """Training rows that take turns, part by part."""
        turns = turns_of(fit)
        if turns < 1:
            return []
        labels = fit.labels.at(fit.train)
        rng = np.random.default_rng([fit.options.seed, 0xF01D5])
        classes = strata(fit.source.table.take(fit.train), fit.source.schema.targets)
        fold_of = fold_rows(len(fit.train), turns, rng, classes, labels.groups)
        parts = [fit.train[fold_of == fold] for fold in range(turns)]
        return [part for part in parts if len(part) and len(part) < len(fit.train)]

    def _turn(self, fit: Fit, train: NDArray[np.int64], judged: NDArray[np.int64]) -> list[Trial]:
        """All trials, learned from some rows and judged by others."""
        parts = np.full(len(fit.parts), -1, np.int8)
        parts[train], parts[judged] = TRAIN, VALIDATION
        turned = replace(fit, parts=parts, networks={}, states={}, narrator=Narrator())
        limited = fit.options.limit is not None
        for number, modality in enumerate(fit.modalities):
            seconds = SLACK * fit.seconds[f"encode-{number}"] + 1 if limited else None
            network = EncodeStage(modality.name, number).learn(turned, seconds).network
            turned.networks[modality.name] = network.eval().requires_grad_(False)
        turned.states = encode_rows(turned, turned.both)
        candidates = [trial.candidate for trial in fit.trials]
        found, _ = classical_of(turned).evaluate([one for one in candidates if one.classical], float("inf"))
        networks = [one for one in candidates if not one.classical]
        seconds = SLACK * fit.seconds["evaluate"] + 1
        each = (lambda trainings: seconds / max(1, trainings)) if limited else None
        return [*found, *evaluator_of(turned).evaluate(networks, each)]

    def _refitted(self, fit: Fit) -> dict[str, dict[str, Tensor]]:
        """Weights of classical models of the readers' features, fitted on training and validation rows, by name."""
        candidates = [t.candidate for t in fit.trials if t.candidate.classical and not t.candidate.encoded]
        if not candidates:
            return {}
        parts = fit.parts.copy()
        parts[fit.validation] = TRAIN
        order = np.argsort(fit.both)
        states = {name: np.asarray(values)[order] for name, values in fit.states.items()}
        evaluator = classical_of(replace(fit, parts=parts, states=states))
        fitted = {one.name: evaluator.fitted(one) for one in candidates}
        return {name: weights_of(module) for name, module in fitted.items() if module is not None}

    def _pooled(
        self, fit: Fit, trial: Trial, told: Sequence[dict[str, tuple[Outputs, ...]]], judged: NDArray[np.int64],
        refitted: Mapping[str, Mapping[str, Tensor]],
    ) -> Trial:  # fmt: skip
        """A trial with its outputs on all judged rows, and their score."""
        name, labels = trial.candidate.name, fit.labels.at(judged)
        outputs: tuple[Outputs, ...] = tuple(
            {task.name: np.concatenate([one[task.name] for one in turns]) for task in fit.tasks}
            for turns in zip(*(part[name] for part in told), strict=True)
        )
        scores = tuple(score(fit.tasks, one, labels, fit.options.metric) for one in outputs)
        weights = refitted.get(name, trial.weights)
        return replace(trial, outputs=outputs, score=mean_of(scores), scores=scores, weights=weights)


def _outputs(trials: Sequence[Trial]) -> dict[str, tuple[Outputs, ...]]:
    return {trial.candidate.name: trial.outputs for trial in trials}
