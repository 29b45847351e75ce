"""Classical models in the leaderboard: which compete, what they may cost, and their trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plait.classical._base import FAMILIES, STACK, ClassicalSpec
from plait.classical.decision import ClassicalDecision
from plait.classical.features import numbers_in
from plait.classical.fitting import UNLIMITED, Fitting, Limits
from plait.data.batches import Rows
from plait.data.readers._base import Features, Reader
from plait.fusion.candidates import Candidate
from plait.search.evaluator import Advance, Evaluator, Trial, trial_of
from plait.tasks.score import Labels, score
from plait.training.model import CachedStates, Model

MOST_ROWS: Final = 50_000
MOST_NUMBERS: Final = 40_000_000
"""Rows, and features in all of them, that classical models are fitted on; of more, some are drawn."""

SAMPLE: Final = 1_000
"""Rows by which it is known how many features there are: of terms, those that occur count."""

STACK_SHARE: Final = 1 / 3
"""Share of the budget that is for stacks alone: they would starve the models that they stand on."""


def classical_competitors(names: Sequence[str], kept: Sequence[str], raw: Sequence[str]) -> list[Candidate]:
    """Every family on every modality alone and on all that are fused; and a stack of those.

    Args:
        names: All modalities.
        kept: Those that are fused.
        raw: Those whose reader has features; of the others, the encoder's last hidden layer is read.
    """
    every = "all" if "all" not in names else "all together"
    found = [_candidate(f"{family} of {name}", family, [name], raw) for name in sorted(names) for family in FAMILIES]
    if len(kept) > 1:
        found += [_candidate(f"{family} of {every}", family, kept, raw) for family in FAMILIES]
    # Hidden states of training rows know their labels: a stack would trust them most, whatever they are worth.
    return [*found, _candidate(STACK, STACK, [name for name in kept if name in raw] or kept, raw)]


def _candidate(name: str, family: str, modalities: Sequence[str], raw: Sequence[str]) -> Candidate:
    ordered = tuple(sorted(modalities))
    spec = ClassicalSpec(family=family, modalities=ordered, raw=tuple(one for one in ordered if one in raw))
    return Candidate(name=name, kind="classical", classical=spec)


class ClassicalEvaluator:
    """Fits classical models on training rows and scores them on validation rows.

    Args:
        evaluator: Its rows, tasks, labels and metric.
        values: The readers' arrays of the same rows, by modality, of those that have features.
        readers: By modality.
        threads: How many tasks are fitted at once; results do not depend on it.
    """

    def __init__(
        self, evaluator: Evaluator, values: Mapping[str, NDArray[Any]], readers: Mapping[str, Reader], threads: int = 1
    ) -> None:
        self.evaluator, self.values, self.readers = evaluator, values, readers
        train = evaluator.train
        rows = train.index
        sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)]
        some = sum(numbers_in(self._features(name, sample)) for name in evaluator.widths)
        most = min(MOST_ROWS, max(1, MOST_NUMBERS * len(sample) // max(1, some)))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng([evaluator.plan.seed, 0xC1A5]).permutation(rows)[:most])
        self.fitting = Fitting(
            {name: self._features(name, rows) for name in evaluator.widths},
            {name: train.present[name][rows] for name in evaluator.widths}, evaluator.tasks,
            Labels(train.targets, train.labelled, evaluator.groups).at(rows), evaluator.plan.seed, evaluator.metric,
            threads,
        )  # fmt: skip

    def _features(self, name: str, rows: NDArray[np.int64]) -> Features:
        """What models read of some rows of a modality, [rows, n]."""
        if name in self.values:
            found = self.readers[name].features(self.values[name][rows])
            if found is None:
                raise ValueError(f"the reader of {name!r} has no features")
            return found
        widths = self.evaluator.widths[name]
        return np.asarray(self.evaluator.train.inputs[name][rows, sum(widths[:-2]) : sum(widths[:-1])])

    def limits(self, candidates: Sequence[Candidate], budget: float) -> Limits:
        """What one fit may cost where all of them together may cost a budget, and those of stacks their share of it."""
        specs = [one.classical for one in candidates if one.classical]
        single, fold = (
            level([cost for one in specs if (one.family == STACK) is stack for cost in self.fitting.costs(one)], part)
            for stack, part in ((False, (1 - STACK_SHARE) * budget), (True, STACK_SHARE * budget))
        )
        return Limits(single, fold)

    def evaluate(
        self, candidates: Sequence[Candidate], limits: Limits, left: Callable[[], float] | None = None,
        advance: Advance | None = None,
    ) -> tuple[list[Trial], list[str]]:  # fmt: skip
        """Trials of the candidates, the cheapest first.

        Args:
            candidates: Classical ones.
            limits: What one fit may cost.
            left: Seconds by the clock; without any, the rest is left out. None reads no clock.
            advance: Told the name of every candidate that is done.

        Returns:
            The trials, and the names of those that were left out: too dear, or no time left.
        """
        costs = {one.name: self.fitting.costs(one.classical) for one in candidates if one.classical}
        trials, out = [], []
        for candidate in sorted(candidates, key=lambda one: (sum(costs[one.name]), one.name)):
            started = time.monotonic()
            late = left is not None and left() <= 0
            module = None if late else self.fitted(candidate, limits)
            if module is None:
                out.append(candidate.name)
            else:
                trials.append(self._trial(candidate, module, started))
            if advance:
                advance(candidate.name)
        return trials, out

    def fitted(self, candidate: Candidate, limits: Limits = UNLIMITED) -> ClassicalDecision | None:
        """A candidate's model, fitted on the training rows; None where it costs too much."""
        module = candidate.build(self.evaluator.widths, self.evaluator.tasks, self.readers)
        if candidate.classical is None or not isinstance(module, ClassicalDecision):
            raise TypeError(f"{candidate.name} is no classical model")
        model = self.fitting.fit(candidate.classical, limits)
        if model is None:
            return None
        module.adopt(model)
        return module

    def _trial(self, candidate: Candidate, module: ClassicalDecision, started: float) -> Trial:
        evaluator = self.evaluator
        networks = {name: CachedStates(evaluator.widths[name]) for name in candidate.used}
        told = Model(networks, module, evaluator.tasks).predict(self._rows(candidate), batch_size=4096)
        outputs = {name: values.numpy() for name, values in told.items()}
        value = score(evaluator.tasks, outputs, evaluator.labels, evaluator.metric)
        return trial_of(candidate, (outputs,), (value,), time.monotonic() - started, module)

    def _rows(self, candidate: Candidate) -> Rows:
        """The validation rows with what a candidate reads."""
        rows = self.evaluator.validation
        return replace(
            rows, inputs={name: rows.inputs[name] for name in candidate.used},
            values={name: self.values[name] for name in candidate.raw},
        )  # fmt: skip


def level(costs: Sequence[float], budget: float) -> float:
    """The limit at which costs, each cut down to it, come to a budget; infinite where they do not reach it.

    Example:
        >>> level([1.0, 2.0, 9.0, 9.0], 11.0)
        4.0
    """
    rest = budget
    for place, cost in enumerate(sorted(costs)):
        share = rest / (len(costs) - place)
        if cost > share:
            return share
        rest -= cost
    return float("inf")
