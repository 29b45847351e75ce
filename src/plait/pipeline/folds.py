"""The stage that lets more rows judge where validation rows are few: training rows take turns in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plait.classical._base import FAMILIES
from plait.classical.fitting import UNLIMITED, Limits
from plait.data.readers._base import READERS
from plait.data.splits import TRAIN, VALIDATION, fold_rows
from plait.data.workers import in_order
from plait.encoders._base import ENCODERS
from plait.encoders.threads import contained
from plait.fusion.candidates import Candidate
from plait.fusion.late import LATE_RULES
from plait.fusion.operations import OPERATIONS
from plait.pipeline._base import Clock, Fit, Learned, Stage, identity
from plait.pipeline.cache import encode_rows
from plait.pipeline.classical import classical_of
from plait.pipeline.encode import EncodeStage
from plait.pipeline.evaluate import RESERVE, evaluator_of
from plait.pipeline.narrator import Narrator
from plait.pipeline.trials import described, packed, unpacked
from plait.pipeline.turns import turns_of, validation_is_drawn
from plait.search.evaluator import Trial, mean_of, weights_of
from plait.tasks._base import TASK_KIND_REGISTRY
from plait.tasks.score import Outputs, score
from plait.tasks.targets import strata
from plait.training.checkpoints import below, load_into, load_tensors, save_tensors

WORTHWHILE: Final = 8.0
"""Turns that take more seconds than this go to processes of their own, which take some to start."""

SLACK: Final = 1.3
"""A fold is begun where so many times what the comparison before it took is left of the time limit."""


@dataclass(frozen=True)
class Turn:
    """One comparison, ready to be made in any process.

    Attributes:
        fit: Its training and validation rows are those of the turn.
        candidates: What competes.
        limits: What one classical fit may cost.
        seconds: By stage, seconds that it may take; None goes by counts.
    """

    fit: Fit
    candidates: tuple[Candidate, ...]
    limits: Limits
    seconds: Mapping[str, float] | None


def _turn(fit: Fit, judged: NDArray[np.int64]) -> Turn:
    """The comparison that some rows judge; all others learn."""
    parts = np.full(len(fit.parts), -1, np.int8)
    parts[fit.both], parts[judged] = TRAIN, VALIDATION
    limited = fit.options.limit is not None
    options = replace(fit.options, table=None, validation=None, test=None, workers=1)
    turned = replace(
        fit, parts=parts, options=options, narrator=Narrator(), networks={}, states={}, screening=None, classical=[],
        trials=[],
    )  # fmt: skip
    seconds = {name: SLACK * seconds + 1 for name, seconds in fit.seconds.items()} if limited else None
    return Turn(turned, tuple(trial.candidate for trial in fit.trials), _limits(fit), seconds)


def _limits(fit: Fit) -> Limits:
    """What one classical fit may cost: as before, and some for other numbers of rows."""
    found = fit.results["classical"]["limits"]
    return Limits(**{name: SLACK * value for name, value in found.items() if value is not None})


def _turned(turn: Turn) -> dict[str, Tensor]:
    """Trials of all candidates, in their order, judged by the turn's rows; and the networks: as tensors."""
    fit, seconds = turn.fit, turn.seconds
    with contained():
        for number, modality in enumerate(fit.modalities):
            stage = EncodeStage(modality.name, number)
            network = stage.learn(fit, None if seconds is None else seconds[stage.name]).network
            fit.networks[modality.name] = network.eval().requires_grad_(False)
        fit.states = encode_rows(fit, fit.both)
        classical = [one for one in turn.candidates if one.classical]
        networks = [one for one in turn.candidates if not one.classical]
        evaluator = classical_of(fit)
        fitted, _ = evaluator.evaluate(classical, turn.limits)
        dear = [one for one in classical if all(trial.candidate is not one for trial in fitted)]
        fitted += evaluator.evaluate(dear, UNLIMITED)[0]  # what was fitted before is compared in every turn
        clock = Clock(None if seconds is None else seconds["evaluate"])
        share = None if seconds is None else lambda trainings: max(0.0, clock.left) / max(1, trainings)
        trained = evaluator_of(fit).evaluate(networks, share)
        trials = {id(trial.candidate): trial for trial in [*fitted, *trained]}
        learned = {
            f"network/{number}/{key}": value
            for number, modality in enumerate(fit.modalities)
            for key, value in fit.networks[modality.name].state_dict().items()
        }
        return learned | packed([trials[id(candidate)] for candidate in turn.candidates])


def _workers(fit: Fit, turns: int) -> int:
    """How many turns go on at once; results do not depend on it. What only this process knows stays here."""
    plugins = (READERS, ENCODERS, OPERATIONS, LATE_RULES, FAMILIES, TASK_KIND_REGISTRY)
    ours = all(_is_ours(registry[name]) for registry in plugins for name in registry)
    return max(1, min(turns, fit.options.processes)) if ours and fit.options.torch_device() == "cpu" else 1


def _is_ours(plugin: object) -> bool:
    kind = plugin if isinstance(plugin, type) else type(plugin)
    return kind.__module__.startswith("plait.")


class FoldsStage(Stage):
    """On small tables, the whole comparison again with other rows in the place of the validation rows.

    Few validation rows tell little apart. So the training rows are dealt into parts; each takes the place of the
    validation rows once, which are learned from instead: networks, classical models and ways to combine anew. Every
    row is then judged once, by what never learned its label, and candidates are compared on all of them. What predicts
    in the end is the mean of what all turns learned; but classical models of the readers' own features, which need no
    rows to stop by, are fitted once more, on training and validation rows.

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
        path, parts, limit = fit.run.path / self.files(fit)[0], self._parts(fit), fit.options.limit
        if not parts:
            save_tensors(path, {})
            return {"told": None, "rows": [], "trials": [], "cut": None}
        names = [f"encode-{number}" for number in range(len(fit.modalities))]
        cost = sum(fit.seconds[name] for name in [*names, "classical", "evaluate"])
        workers = _workers(fit, len(parts)) if cost > WORTHWHILE else 1
        fit.narrator.begin("Comparing again, judged by other rows", len(parts))
        turned: list[dict[str, Tensor]] = []
        for start in range(0, len(parts), workers):
            if limit is not None and fit.clock.left - RESERVE * limit < SLACK * cost:
                break
            turned += self._round(fit, parts[start : start + workers], start, workers)
        cut = limit if len(turned) < len(parts) else None
        if cut is not None:
            fit.note(
                f"Time ended the comparison on other rows after {len(turned)} of {len(parts)} turns; a longer time "
                "limit has more rows judged."
            )
        if not turned:
            fit.narrator.end()
            save_tensors(path, {})
            return {"told": None, "rows": [], "trials": [], "cut": cut}
        judged, refitted = np.concatenate([fit.validation, *parts[: len(turned)]]), self._refitted(fit)
        fit.narrator.end()
        each = [fit.trials, *(unpacked(described(fit.trials), tensors) for tensors in turned)]
        trials = [self._pooled(fit, copies, judged, refitted) for copies in zip(*each, strict=True)]
        tensors = packed(trials)
        anew = tuple(f"{at}/weights/" for at, trial in enumerate(trials) if identity(trial.candidate) in refitted)
        for number, learned in enumerate(turned):
            kept = {n: v for n, v in learned.items() if not _is_output(n) and not n.startswith(anew)}
            tensors |= {f"turn/{number}/{name}": value for name, value in kept.items()}
        save_tensors(path, tensors)
        few = f"{len(fit.validation)} validation rows tell little apart, so"
        fit.note(
            f"{few if fit.options.folds is None else 'As asked,'} {len(judged)} rows are judged: in {len(turned) + 1} "
            "parts, each by networks and models that learned from the other rows."
        )
        return {
            "told": {"parts": len(turned) + 1, "rows": len(judged)}, "rows": judged.tolist(),
            "trials": described(trials), "cut": cut,
        }  # fmt: skip

    def _round(
        self, fit: Fit, parts: Sequence[NDArray[np.int64]], first: int, workers: int
    ) -> list[dict[str, Tensor]]:  # fmt: skip
        """Some turns at once; each is kept as soon as it is done, for a fit that is killed and goes on."""
        paths = [self._kept(fit, first + number) for number in range(len(parts))]
        turns = [_turn(fit, part) for part, path in zip(parts, paths, strict=True) if not path.exists()]
        missing = [path for path in paths if not path.exists()]
        for tensors, path in zip(in_order(_turned, turns, workers), missing, strict=True):
            save_tensors(path, tensors)
            fit.narrator.advance()
        return [load_tensors(path) for path in paths]

    def _kept(self, fit: Fit, number: int) -> Path:
        return fit.run.stages / f"{self.name}-{number}.{fit.key[:16]}.checkpoint"

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The trials as all judged rows have them; turns that were kept are no longer needed."""
        for checkpoint in fit.run.stages.glob(f"{self.name}-*.checkpoint"):
            checkpoint.unlink()
        if not result["trials"]:
            return
        tensors = load_tensors(fit.run.path / self.files(fit)[0])
        fit.trials = unpacked(result["trials"], tensors)
        fit.judged = np.array(result["rows"], np.int64)
        fit.turns = [self._learned(fit, f"turn/{number}/", tensors) for number in range(result["told"]["parts"] - 1)]

    def _learned(self, fit: Fit, prefix: str, tensors: Mapping[str, Tensor]) -> Learned:
        """What one turn learned, as `_turned` left it."""
        networks = {}
        for number, modality in enumerate(fit.modalities):
            network = networks[modality.name] = deepcopy(fit.networks[modality.name])
            load_into(network, below(f"{prefix}network/{number}/", tensors), "stages/folds.safetensors")
        weights = {
            identity(trial.candidate): below(f"{prefix}{number}/weights/", tensors)
            for number, trial in enumerate(fit.trials)
        }
        return Learned(networks, {key: found for key, found in weights.items() if found})

    def _parts(self, fit: Fit) -> list[NDArray[np.int64]]:
        """Training rows that take turns, part by part."""
        turns, asked = turns_of(fit), fit.options.folds
        if asked is not None and asked > 1 and not validation_is_drawn(fit):
            fit.note(f"--folds {asked} is not followed: validation rows are given, and they alone judge.")
        if turns < 1:
            return []
        labels = fit.labels.at(fit.train)
        rng = np.random.default_rng([fit.options.seed, 0xF01D5])
        classes = strata(fit.source.table.take(fit.train), fit.source.schema.targets)
        fold_of = fold_rows(len(fit.train), turns, rng, classes, labels.groups)
        parts = [fit.train[fold_of == fold] for fold in range(turns)]
        found = [part for part in parts if len(part) and len(part) < len(fit.train)]
        if asked is not None and len(found) < asked - 1:
            fit.note(f"--folds {asked}: there are rows (or groups of rows) for {len(found) + 1} parts only.")
        return found

    def _refitted(self, fit: Fit) -> dict[str, dict[str, Tensor]]:
        """Weights of classical models of the readers' features, fitted on training and validation rows; by identity."""
        candidates = [t.candidate for t in fit.trials if t.candidate.classical and not t.candidate.encoded]
        if not candidates:
            return {}
        parts = fit.parts.copy()
        parts[fit.validation] = TRAIN
        order = np.argsort(fit.both)
        states = {name: np.asarray(values)[order] for name, values in fit.states.items()}
        evaluator = classical_of(replace(fit, parts=parts, states=states))
        fitted = {identity(one): evaluator.fitted(one, _limits(fit)) for one in candidates}
        return {key: weights_of(module) for key, module in fitted.items() if module is not None}

    def _pooled(
        self, fit: Fit, copies: Sequence[Trial], judged: NDArray[np.int64],
        refitted: Mapping[str, Mapping[str, Tensor]],
    ) -> Trial:  # fmt: skip
        """A trial with its outputs on all judged rows, and their score.

        Args:
            fit: The fit.
            copies: The trial as the validation rows have it, then as those of every turn.
            judged: All these rows.
            refitted: Weights by identity, of what was fitted anew.
        """
        trial, labels = copies[0], fit.labels.at(judged)
        outputs: tuple[Outputs, ...] = tuple(
            {task.name: np.concatenate([one[task.name] for one in turns]) for task in fit.tasks}
            for turns in zip(*(copy.outputs for copy in copies), strict=False)  # parts of 500 rows have no repeats
        )
        scores = tuple(score(fit.tasks, one, labels, fit.options.metric) for one in outputs)
        weights = refitted.get(identity(trial.candidate), trial.weights)
        return replace(trial, outputs=outputs, score=mean_of(scores), scores=scores, weights=weights)


def _is_output(name: str) -> bool:
    """Whether a tensor of a turn is an output of a trial, by its name: PLACE/outputs/..."""
    return name.split("/", 2)[1] == "outputs"
