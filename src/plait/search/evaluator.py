"""Evaluates candidates on cached hidden states: trains what has weights, fits what is fitted on validation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.data.batches import Rows
from plait.data.splits import fold_rows
from plait.encoders.cache import moments_of
from plait.fusion.architecture import Architecture
from plait.fusion.candidates import Candidate, Decision
from plait.fusion.late import LateFusion, decisions_of
from plait.fusion.moddrop import block_diagonal
from plait.fusion.network import WIDTH, FusionNetwork
from plait.fusion.stack import Member, Sizes
from plait.fusion.stack.weights import inherited, pieces_of, state_dict_of
from plait.search.stacked import STACK, Learned, StackTrainer
from plait.tasks._base import Task
from plait.tasks.score import Labels, Outputs, score
from plait.training.loop import Plan, seeded_build
from plait.training.model import CachedStates, Model

FOLDS = 5
SMALL_VALIDATION = 500
REPEATS = 10
MOST_FITTED = 50
"""Repeats times tasks at most: each task has a rule to fit in each repeat; a mean over tasks is steadier anyway."""
SEEDS = 3
MOST_OUTPUTS = 6_400
"""Architectures times outputs in one stack at most: with many classes the heads are most of the work, and what time
cuts short is a stack."""

Advance = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One evaluated candidate.

    Attributes:
        candidate: What was evaluated.
        outputs: Outputs on the rows that judge, one per seed or repeat; a row's outputs never come from parameters
            that saw its label.
        score: Mean score over `outputs`; None where none of these has a label, or one of `outputs` is not finite.
        scores: The score of each of `outputs`, None where it has none.
        seconds: Wall-clock time it took.
        weights: State dict of the decision module to be used for prediction.
    """

    candidate: Candidate
    outputs: tuple[Outputs, ...]
    score: float | None
    scores: tuple[float | None, ...]
    seconds: float
    weights: Mapping[str, Tensor] = field(default_factory=dict)


class Evaluator:
    """Evaluates candidates on the cached hidden states of one table.

    Args:
        states: Hidden states by modality, [rows, sum of widths], mapped from the cache.
        present: By modality, [rows] of bool.
        widths: By modality, widths of layers 0..L+1.
        tasks: The tasks.
        labels: Encoded targets of all rows.
        train: Positions of training rows.
        validation: Positions of validation rows.
        plan: How to train what has weights.
        metric: None for the default score, or a metric's name.
        device: Where to train.
        seeds: How often an architecture is trained, each time from a seed of its own.
        stack: Architectures that are trained together, at most; fewer where the tasks have many classes.

    `cut` counts the trainings that time ended.
    """

    def __init__(
        self, states: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.bool_]],
        widths: Mapping[str, Sequence[int]], tasks: Sequence[Task], labels: Labels, train: NDArray[np.int64],
        validation: NDArray[np.int64], plan: Plan, metric: str | None = None, device: str = "cpu",
        seeds: int = SEEDS, stack: int = STACK,
    ) -> None:  # fmt: skip
        self.seeds = seeds
        self.stack = max(1, min(stack, MOST_OUTPUTS // sum(task.outputs for task in tasks)))
        self.widths, self.tasks, self.plan, self.metric, self.device = widths, tuple(tasks), plan, metric, device
        everything = Rows(states, present, labels.targets, labels.labelled)
        self.train, self.validation = everything.at(train[labels.anything[train]]), everything.at(validation)
        self.labels = Labels(
            {name: values[validation] for name, values in labels.targets.items()},
            {name: values[validation] for name, values in labels.labelled.items()},
            None if labels.groups is None else labels.groups[validation],
        )
        self.groups, self.cut = labels.groups, 0
        self._moments: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}

    def by(self, plan: Plan, seeds: int) -> Evaluator:
        """The same rows under another plan."""
        other = copy(self)
        other.plan, other.seeds, other.cut = plan, seeds, 0
        return other

    def within(self, train: int, validation: int) -> Evaluator:
        """The same with no more rows than these; of more, some are drawn from the plan's seed."""
        other, rng = copy(self), np.random.default_rng([self.plan.seed, 0x5EA2C4])
        other._moments = {}
        if len(self.train) > train:
            other.train = self.train.at(np.sort(rng.permutation(self.train.index)[:train]))
        if len(self.validation) > validation:
            drawn = np.sort(rng.permutation(len(self.validation))[:validation])
            other.validation, other.labels = self.validation.at(self.validation.index[drawn]), self.labels.at(drawn)
        return other

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        seconds: Callable[[int], float] | None = None,
        advance: Advance | None = None,
    ) -> list[Trial]:
        """Evaluate every candidate.

        Args:
            candidates: What competes.
            seconds: Asked before every training with the number of trainings still to come: its time limit. None goes
                by counts alone.
            advance: Told the name of every candidate that is done.
        """
        trials: dict[int, Trial] = {}
        places = [number for number, candidate in enumerate(candidates) if candidate.trained]
        # What is trained comes first: a time limit is shared out among trainings, and late rules need little.
        trained = self._trained([candidates[number] for number in places], seconds)
        trials |= zip(places, trained, strict=True)
        for number in places:
            if advance:
                advance(candidates[number].name)
        for number, candidate in enumerate(candidates):
            if number not in trials:
                trials[number] = self._trial(candidate)
                if advance:
                    advance(candidate.name)
        return [trials[number] for number in range(len(candidates))]

    def _trial(self, candidate: Candidate) -> Trial:
        started = time.monotonic()
        outputs, module = self._untrained(candidate)
        scores = tuple(score(self.tasks, one, self.labels, self.metric) for one in outputs)
        return trial_of(candidate, outputs, scores, time.monotonic() - started, module)

    def _model(self, module: Decision) -> Model:
        return Model({name: CachedStates(self.widths[name]) for name in module.modalities}, module, self.tasks)

    def _only(self, rows: Rows, module: Decision) -> Rows:
        """The rows with the modalities that a module reads; the others need not be touched."""
        return replace(rows, inputs={name: rows.inputs[name] for name in module.modalities})

    def _outputs(self, module: Decision) -> dict[str, NDArray[np.float32]]:
        told = self._model(module).predict(self._only(self.validation, module), batch_size=4096)
        return {name: values.numpy() for name, values in told.items()}

    @cached_property
    def trainer(self) -> StackTrainer:
        """Trains architectures, many at once."""
        return self._trainer(
            name for name in self.widths if not all(rows.present[name][rows.index].all() for rows in self._parts)
        )

    @cached_property
    def dropping(self) -> StackTrainer:
        """Trains architectures where any modality may be dropped."""
        return self._trainer(self.widths)

    def _trainer(self, gaps: Iterable[str]) -> StackTrainer:
        sizes = Sizes(self.widths, tuple(task.outputs for task in self.tasks), WIDTH, frozenset(gaps))
        return StackTrainer(*self._parts, self.labels, sizes, self.tasks, self.moments, self.device, self.stack)

    @property
    def _parts(self) -> tuple[Rows, Rows]:
        return self.train, self.validation

    def _trained(self, candidates: Sequence[Candidate], seconds: Callable[[int], float] | None) -> list[Trial]:
        """Trials of architectures: those of which no modality is dropped together, then the others."""
        trials: dict[int, Trial] = {}
        for rate in sorted({candidate.modality_dropout for candidate in candidates}):
            places = [at for at, candidate in enumerate(candidates) if candidate.modality_dropout == rate]
            later = len(candidates) - len(trials) - len(places)
            found = self._together([candidates[at] for at in places], rate, later * self.seeds, seconds)
            trials |= zip(places, found, strict=True)
        return [trials[at] for at in range(len(candidates))]

    def _together(
        self, candidates: Sequence[Candidate], rate: float, others: int, seconds: Callable[[int], float] | None
    ) -> list[Trial]:
        """Trials of architectures, trained together from one seed after another; so many others are still to come."""
        learned: list[list[Learned]] = []
        started = time.monotonic()
        trainer = self.dropping if rate else self.trainer
        before = trainer.cut
        for offset in range(self.seeds):
            seed = self.plan.seed + 1000 * offset
            later = others + (self.seeds - offset - 1) * len(candidates)
            members = [self._first(candidate, seed, trainer.sizes) for candidate in candidates]
            learned.append(
                trainer.whole(
                    members, replace(self.plan, seed=seed, modality_dropout=rate), self.metric,
                    None if seconds is None else partial(_limit, seconds, later),
                )
            )  # fmt: skip
        self.cut += trainer.cut - before
        each = (time.monotonic() - started) / max(1, len(candidates))
        found = []
        for candidate, *seeds in zip(candidates, *learned, strict=True):
            scores = tuple(one.score for one in seeds)
            found.append(
                trial_of(candidate, tuple(one.outputs for one in seeds), scores, each, self.network(seeds[0].member))
            )
        return found

    def _first(self, candidate: Candidate, seed: int, sizes: Sizes) -> Member:
        """An architecture before its first step."""
        if candidate.architecture is None:
            raise TypeError(f"{candidate.name} is no architecture")
        member = Member(candidate.architecture, seed, only=candidate.only)
        weights = member.fresh(sizes).weights if candidate.modality_dropout else None
        if weights is None:
            return member
        return replace(member, weights=block_diagonal(member.architecture, sizes, weights))

    def rung(
        self, members: Sequence[Member], first: int, last: int, left: Callable[[], float] | None = None
    ) -> list[Learned]:
        """Train on, from pass `first` up to pass `last` of the plan, and score; see `StackTrainer.piece`."""
        return self.trainer.piece(members, self.plan, first, last, self.metric, left)

    def begun(self, architecture: Architecture, parents: Sequence[Member] = ()) -> Member:
        """A member to begin with: fresh, but for what its parents learned of the same cells and sources."""
        member = Member(architecture, self.plan.seed).fresh(self.trainer.sizes)
        known = [(parent.architecture, parent.weights) for parent in parents if parent.weights is not None]
        if known and member.weights is not None:
            inherited(member.weights, architecture, self.trainer.sizes, known)
        return member

    def network(self, member: Member) -> FusionNetwork:
        """A member of a stack as a network of its own."""
        with seeded_build(0):  # its fresh weights are not used
            made = FusionNetwork(member.architecture, self.widths, self.tasks)
        made.set_moments({source: self.moments(*source) for source in made.sources})
        if member.weights is not None:
            state = state_dict_of(pieces_of(member.architecture, self.trainer.sizes), member.weights)
            made.load_state_dict(made.state_dict() | state)
        return made.eval()

    def moments(self, modality: str, layer: int) -> tuple[Tensor, Tensor]:
        """Mean and deviation [width] of a layer over the training rows that have the modality."""
        if (modality, layer) not in self._moments:
            rows = self.train.index[self.train.present[modality][self.train.index]]
            mean, deviation = moments_of(self.train.inputs[modality], rows)
            cuts = np.cumsum(self.widths[modality])[:-1]
            for number, pair in enumerate(zip(np.split(mean, cuts), np.split(deviation, cuts), strict=True)):
                self._moments[modality, number] = (torch.from_numpy(pair[0]), torch.from_numpy(pair[1]))
        return self._moments[modality, layer]

    def _untrained(self, candidate: Candidate) -> tuple[tuple[Outputs, ...], Decision]:
        module = candidate.build(self.widths, self.tasks)
        if not isinstance(module, LateFusion) or not any(rule.fitted for rule in module.rules):
            return (self._outputs(module),), module
        decisions, present = self._decisions(module)
        few = len(self.validation) < SMALL_VALIDATION
        repeats = max(1, min(REPEATS, MOST_FITTED // len(self.tasks))) if few else 1
        outputs = tuple(self._cross_fitted(candidate, decisions, present, repeat) for repeat in range(repeats))
        self._fit(module, decisions, present, np.arange(len(self.validation)))
        return outputs, module

    def _decisions(self, module: LateFusion) -> tuple[list[Tensor], Tensor]:
        """Decisions per task [M, rows, C] and presence [M, rows] on the validation rows."""
        last = {}
        for name in module.order:
            flat = np.asarray(self.validation.inputs[name][self.validation.index])
            last[name] = torch.from_numpy(flat[:, -self.widths[name][-1] :])
        masks = [torch.from_numpy(self.validation.present[name][self.validation.index]) for name in module.order]
        return decisions_of(last, self.tasks), torch.stack(masks)

    def _fit(self, module: LateFusion, decisions: list[Tensor], present: Tensor, rows: NDArray[np.int64]) -> None:
        at = torch.from_numpy(rows)
        module.fit(
            [decision[:, at] for decision in decisions],
            present[:, at],
            [torch.from_numpy(self.labels.targets[task.name][rows]) for task in self.tasks],
            [torch.from_numpy(self.labels.labelled[task.name][rows]) for task in self.tasks],
        )

    def _cross_fitted(self, candidate: Candidate, decisions: list[Tensor], present: Tensor, repeat: int) -> Outputs:
        """Outputs on the validation rows, each from parameters fitted on the other folds."""
        told = {task.name: np.zeros((len(self.validation), task.outputs), np.float32) for task in self.tasks}
        fold_of = self.folds(repeat)
        for fold in range(FOLDS):
            inside = np.flatnonzero(fold_of == fold)
            module = candidate.build(self.widths, self.tasks)
            if not isinstance(module, LateFusion):
                raise TypeError(f"{candidate.name} is no late fusion")
            self._fit(module, decisions, present, np.flatnonzero(fold_of != fold))
            at = torch.from_numpy(inside)
            for task, rule, decision in zip(self.tasks, module.rules, decisions, strict=True):
                told[task.name][inside] = rule(decision[:, at], present[:, at]).numpy()
        return told

    def folds(self, repeat: int) -> NDArray[np.int64]:
        """Fold of every validation row, [rows]; groups stay together; fixed by seed and repeat."""
        return crossed(self.labels, self.plan.seed, repeat)


def crossed(labels: Labels, seed: int, repeat: int = 0) -> NDArray[np.int64]:
    """Fold of every row that is judged, [rows], for what is fitted on such rows; groups stay together."""
    rng = np.random.default_rng([seed, 0xF01D, repeat])
    return fold_rows(len(labels), FOLDS, rng, groups=labels.groups)


def _limit(seconds: Callable[[int], float], later: int, left: int) -> float:
    """Seconds for one training, where beside those left of this seed there are those of later ones."""
    return seconds(left + later)


def trial_of(
    candidate: Candidate, outputs: tuple[Outputs, ...], scores: tuple[float | None, ...], seconds: float,
    module: Decision,
) -> Trial:  # fmt: skip
    """The trial of a module as it is, with the mean of its scores."""
    return Trial(candidate, outputs, mean_of(scores), scores, seconds, weights_of(module))


def weights_of(module: Decision) -> dict[str, Tensor]:
    """A copy of a module's state dict, in memory of its own."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def mean_of(scores: Sequence[float | None]) -> float | None:
    """The mean over seeds or repeats; None where one of them has no score, or there are none."""
    known = [value for value in scores if value is not None]
    return float(np.mean(known)) if known and len(known) == len(scores) else None
