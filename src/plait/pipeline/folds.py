"""The stage that lets more rows judge where validation rows are few: training rows take turns in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plait.data.splits import TRAIN, VALIDATION, fold_rows
from plait.data.workers import in_order
from plait.encoders.threads import contained
from plait.fusion.candidates import Candidate
from plait.pipeline._base import Fit, Learned, Stage
from plait.pipeline.cache import encode_rows
from plait.pipeline.classical import classical_of
from plait.pipeline.encode import EncodeStage
from plait.pipeline.evaluate import RESERVE, evaluator_of, turns_of
from plait.pipeline.narrator import Narrator
from plait.pipeline.trials import described, packed, unpacked
from plait.search.evaluator import Trial, mean_of, weights_of
from plait.tasks.score import Outputs, score
from plait.tasks.targets import strata
from plait.training.checkpoints import load_into, load_tensors, save_tensors

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
        seconds: By stage, seconds that it may take; None goes by counts.
    """

    fit: Fit
    candidates: tuple[Candidate, ...]
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
    return Turn(turned, tuple(trial.candidate for trial in fit.trials), seconds)


def _turned(turn: Turn) -> dict[str, Tensor]:
    """Trials of all candidates, in their order, judged by the turn's rows; and the networks: as tensors."""
    fit, seconds = turn.fit, turn.seconds
    with contained():
        for number, modality in enumerate(fit.modalities):
            stage = EncodeStage(modality.name, number)
            network = stage.learn(fit, None if seconds is None else seconds[stage.name]).network
            fit.networks[modality.name] = network.eval().requires_grad_(False)
        fit.states = encode_rows(fit, fit.both)
        found, _ = classical_of(fit).evaluate([one for one in turn.candidates if one.classical], float("inf"))
        networks = [one for one in turn.candidates if not one.classical]
        each = None if seconds is None else partial(_share, seconds["evaluate"])
        trials = {trial.candidate.name: trial for trial in [*found, *evaluator_of(fit).evaluate(networks, each)]}
        learned = {
            f"network/{name}/{key}": value
            for name, network in fit.networks.items()
            for key, value in network.state_dict().items()
        }
        return learned | packed([trials[candidate.name] for candidate in turn.candidates])


def _workers(fit: Fit, turns: int) -> int:
    """How many turns go on at once; results do not depend on it. What only this process knows stays here."""
    known = all(type(network.encoder).__module__.startswith("plait.") for network in fit.networks.values())
    return max(1, min(turns, fit.options.processes)) if known and fit.options.torch_device() == "cpu" else 1


def _share(seconds: float, trainings: int) -> float:
    return seconds / max(1, trainings)


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
        if not turned:
            fit.narrator.end()
            save_tensors(path, {})
            return {"told": None, "rows": [], "trials": [], "cut": cut}
        judged, refitted = np.concatenate([fit.validation, *parts[: len(turned)]]), self._refitted(fit)
        fit.narrator.end()
        each = [fit.trials, *(unpacked(described(fit.trials), tensors) for tensors in turned)]
        trials = [self._pooled(fit, copies, judged, refitted) for copies in zip(*each, strict=True)]
        tensors = packed(trials)
        anew = tuple(f"{at}/weights/" for at, trial in enumerate(trials) if trial.candidate.name in refitted)
        for number, learned in enumerate(turned):
            kept = {n: v for n, v in learned.items() if "/outputs/" not in n and not n.startswith(anew)}
            tensors |= {f"turn/{number}/{name}": value for name, value in kept.items()}
        save_tensors(path, tensors)
        fit.note(
            f"{len(fit.validation)} validation rows tell little apart, so {len(judged)} rows are judged: in "
            f"{len(turned) + 1} parts, each by networks and models that learned from the other rows."
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
        found = in_order(_turned, turns, workers)
        for path in paths:
            if not path.exists():
                save_tensors(path, next(found))
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
        """What one turn learned, as `_packed` left it."""
        networks = {}
        for name, network in fit.networks.items():
            networks[name] = deepcopy(network)
            load_into(networks[name], _below(f"{prefix}network/{name}/", tensors), "stages/folds.safetensors")
        weights = {
            trial.candidate.name: _below(f"{prefix}{number}/weights/", tensors)
            for number, trial in enumerate(fit.trials)
        }
        return Learned(networks, {name: found for name, found in weights.items() if found})

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
        self, fit: Fit, copies: Sequence[Trial], judged: NDArray[np.int64],
        refitted: Mapping[str, Mapping[str, Tensor]],
    ) -> Trial:  # fmt: skip
        """A trial with its outputs on all judged rows, and their score.

        Args:
            fit: The fit.
            copies: The trial as the validation rows have it, then as those of every turn.
            judged: All these rows.
            refitted: Weights by name, of what was fitted anew.
        """
        trial, labels = copies[0], fit.labels.at(judged)
        outputs: tuple[Outputs, ...] = tuple(
            {task.name: np.concatenate([one[task.name] for one in turns]) for task in fit.tasks}
            for turns in zip(*(copy.outputs for copy in copies), strict=True)
        )
        scores = tuple(score(fit.tasks, one, labels, fit.options.metric) for one in outputs)
        weights = refitted.get(trial.candidate.name, trial.weights)
        return replace(trial, outputs=outputs, score=mean_of(scores), scores=scores, weights=weights)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names begin so, without that."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
