"""The stage that trains the chosen architecture and its unimodal networks together, where that helps."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from plait.data.batches import Rows
from plait.objectives.supervised import Supervised
from plait.pipeline._base import COMPARED, Fit, Stage
from plait.pipeline.evaluate import RESERVE
from plait.search.choosing import bootstrap_scores, intervals, standard_error
from plait.search.evaluator import Trial
from plait.tasks.score import score
from plait.training.checkpoints import below, load_into, load_tensors, save_tensors
from plait.training.loop import Plan, Trainer
from plait.training.model import Model

EPOCHS = 8
LEARNING_RATE = 3e-4
"""A tenth of what encoders and architectures learn at: they are only to be brought together."""


def raw_rows(fit: Fit, names: tuple[str, ...]) -> Rows:
    """All rows with the decoded inputs of some modalities."""
    return Rows(
        {name: fit.decoded[name].values for name in names}, {name: fit.decoded[name].present for name in names},
        fit.labels.targets, fit.labels.labelled,
    )  # fmt: skip


def _stay_apart(fit: Fit, trial: Trial) -> bool:
    """Whether nothing is to be brought together: no architecture, too few rows, or given encoders alone; it is told."""
    if trial.candidate.architecture is None:
        return True
    if len(fit.judged) > len(fit.validation):
        fit.note(
            "Nothing is fine-tuned: rows take turns at being judged, and what is returned is a mean of several models."
        )
        return True
    apart = all(name in fit.given for name in trial.candidate.used)
    if apart:
        fit.note("Nothing is fine-tuned: every encoder that the returned architecture reads was given and is frozen.")
    return apart


class FinetuneStage(Stage):
    """Fine-tunes what was chosen end to end, if that is an architecture; kept if validation gains more than one
    standard error of the paired difference. The fine-tuned predictor is a leaderboard row of its own.

    Given encoders stay as they are."""

    name = "finetune"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", *COMPARED, "choose")

    def inputs(self, fit: Fit) -> list[str]:
        """The networks, metric and seed."""
        return [*fit.encoder_results(), str(fit.options.metric), str(fit.options.seed)]

    def files(self, fit: Fit) -> list[str]:
        """The weights."""
        return ["stages/finetune.safetensors"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Train together, and compare with what was chosen."""
        path = fit.run.path / self.files(fit)[0]
        trial = fit.trials[fit.chosen.chosen]
        limit = fit.options.limit
        seconds = None if limit is None else fit.clock.left - RESERVE * limit
        apart = _stay_apart(fit, trial)
        too_short = not apart and seconds is not None and seconds < self._epoch_seconds(fit)
        if too_short:
            fit.note("No time was left to fine-tune the returned architecture end to end; a longer time limit does.")
        if apart or too_short:
            save_tensors(path, {})
            return {"told": None, "trial": None, "cut": limit if too_short else None}
        if given := [name for name in trial.candidate.used if name in fit.given]:
            fit.note(f"Fine-tuning leaves given encoders as they are: {', '.join(given)}.")
        started = time.monotonic()
        model = self._model(fit, trial)
        rows, labels = raw_rows(fit, model.names), fit.labels.at(fit.validation)
        plan = Plan(
            EPOCHS, 64, LEARNING_RATE, patience=3, seed=fit.options.seed, seconds=seconds,
            modality_dropout=trial.candidate.modality_dropout,
        )  # fmt: skip
        trainer = Trainer(model, [Supervised()], plan, device=fit.options.torch_device())
        fit.narrator.begin("Fine-tuning end to end")
        history = trainer.fit(rows.at(fit.train[fit.labels.anything[fit.train]]), rows.at(fit.validation))
        fit.narrator.end()
        if trainer.cut:
            fit.note(
                f"Time ended the fine-tuning after {len(history)} of {EPOCHS} passes; a longer time limit lets it "
                "learn on."
            )
        predicted = model.predict(rows.at(fit.validation))
        outputs = {name: values.numpy() for name, values in predicted.items()}
        metric, seed = fit.options.metric, fit.options.seed
        before, after = (score(fit.tasks, one, labels, metric) for one in (trial.outputs[0], outputs))
        drawn = bootstrap_scores(fit.tasks, [[trial.outputs[0]], [outputs]], labels, seed, metric)
        error = standard_error(drawn[1] - drawn[0])
        gain = None if before is None or after is None else after - before
        low, high = intervals(drawn[1:])
        kept = gain is not None and gain > error
        tensors = {f"outputs/{name}": values for name, values in predicted.items()}
        save_tensors(path, tensors | {f"model/{name}": value for name, value in model.state_dict().items()})
        return {
            "told": {
                "tried": True, "before": before, "after": after, "difference": gain, "standard_error": error,
                "kept": kept, "epochs": len(history),
            },
            "trial": {"seconds": time.monotonic() - started, "low": low[0], "high": high[0]} if kept else None,
            "cut": limit if trainer.cut else None,
        }  # fmt: skip

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Where it helped, one row more in the leaderboard, which is the one returned."""
        if result["trial"] is None:
            return
        tensors = load_tensors(fit.run.path / self.files(fit)[0])
        trial, choice, told = fit.trials[fit.chosen.chosen], fit.chosen, result["told"]
        model = self._model(fit, trial)
        load_into(model, below("model/", tensors), "stages/finetune.safetensors")
        fit.finetuned = model.eval().requires_grad_(False)
        outputs = {task.name: tensors[f"outputs/{task.name}"].numpy() for task in fit.tasks}
        name = f"{trial.candidate.name}, fine-tuned"
        decision = {n: value.clone() for n, value in model.decision.state_dict().items()}
        fit.trials.append(
            Trial(
                trial.candidate.model_copy(update={"name": name}), (outputs,), told["after"], (told["after"],),
                result["trial"]["seconds"], decision,
            )
        )  # fmt: skip
        position = len(fit.trials) - 1
        scores = [-np.inf if one.score is None else one.score for one in fit.trials]
        place = sum(scores[other] > told["after"] for other in choice.order)
        fit.choice = replace(
            choice, chosen=position, order=(*choice.order[:place], position, *choice.order[place:]),
            low=(*choice.low, result["trial"]["low"]), high=(*choice.high, result["trial"]["high"]),
            tied=(*choice.tied, position),
            sentence=f"{choice.sentence} Fine-tuned end to end, it gains {told['difference']:+.4f} on validation rows "
            f"(standard error {told['standard_error']:.4f}).",
        )  # fmt: skip

    def _model(self, fit: Fit, trial: Trial) -> Model:
        decision = fit.decision(trial)
        networks = {name: deepcopy(fit.networks[name]).requires_grad_(True) for name in decision.modalities}
        return Model(networks, decision, fit.tasks)

    def _epoch_seconds(self, fit: Fit) -> float:
        """About how long one pass takes: that of each network, by its own stage's clock.

        A given encoder makes one pass in its own stage, whatever its heads make.
        """
        total = 0.0
        for number, modality in enumerate(fit.modalities):
            if modality.name in fit.trials[fit.chosen.chosen].candidate.used:
                given = modality.name in fit.given
                passes = 1 if given else len(fit.results[f"encode-{number}"]["history"])
                total += fit.seconds[f"encode-{number}"] / max(1, passes)
        return total
