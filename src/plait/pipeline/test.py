"""The stage that reads the test rows, once, after the choice is written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plait.data.batches import Rows
from plait.explain.robustness import robustness
from plait.pipeline._base import COMPARED, Fit, Stage
from plait.pipeline.cache import encode_rows
from plait.pipeline.finetune import raw_rows
from plait.pipeline.narrator import Narrator
from plait.search.choosing import bootstrap_scores, intervals
from plait.tasks.intervals import with_intervals
from plait.tasks.score import LOWER_IS_BETTER, Labels, measure_all, score
from plait.training.model import Bag, CachedStates, Model

FAR, LARGE = 4.0, 0.1
"""A fall from the rows that judge to the test rows is told where it is so many standard errors, and such a share of the
score."""

FEWEST_UNITS = 30
"""Rows (or groups) of either kind below which nothing is told: few that agree by chance have no standard error."""


class TestStage(Stage):
    """Reads the test rows, once, after the choice is written down; scores every leaderboard row in one pass."""

    __test__ = False  # not a pytest class
    name = "test"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", *COMPARED, "choose", "thresholds", "refit")

    def inputs(self, fit: Fit) -> list[str]:
        """Metric and seed."""
        return [str(fit.options.metric), str(fit.options.seed)]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Score all candidates on the test rows; null figures where there are none."""
        if len(fit.test) == 0:
            return {"scores": None, "low": None, "high": None, "metrics": None, "robustness": None}
        states = [
            encode_rows(fit if number == 0 else replace(fit, networks=dict(networks), narrator=Narrator()), fit.test)
            for number, networks in enumerate([fit.networks, *(turn.networks for turn in fit.turns)])
        ]
        labels = fit.labels.at(fit.test)
        present = {name: fit.decoded[name].present[fit.test] for name in states[0]}
        rows = Rows(states[0], present, index=np.arange(len(fit.test)))
        raw = sorted({name for trial in fit.trials for name in trial.candidate.raw})
        values = {name: fit.decoded[name].values[fit.test] for name in raw}
        asked = [self._asked(fit, position, states, values) for position in range(len(fit.trials))]
        told = [ask(rows) for ask in asked]
        outputs = [{name: values.numpy() for name, values in one.items()} for one in told]
        drawn = bootstrap_scores(fit.tasks, [[one] for one in outputs], labels, fit.options.seed, fit.options.metric)
        low, high = intervals(drawn)
        returned = outputs[fit.chosen.chosen]
        scores = [score(fit.tasks, one, labels, fit.options.metric) for one in outputs]
        if fallen := _fallen(fit, scores, low, high):
            fit.note(fallen)
        return {
            "scores": scores,
            "low": low,
            "high": high,
            "metrics": with_intervals(fit.answered, returned, labels, measure_all(fit.answered, returned, labels)),
            "robustness": robustness(
                asked[fit.chosen.chosen],
                rows,
                fit.trials[fit.chosen.chosen].candidate.used,
                fit.answered,
                labels,
                returned,
                fit.options.metric,
            ),
        }

    def _asked(
        self,
        fit: Fit,
        position: int,
        states: Sequence[Mapping[str, NDArray[np.float32]]],
        values: Mapping[str, NDArray[Any]],
    ) -> Callable[[Rows], dict[str, Tensor]]:
        """What a trial says of the test rows, of which only presence is taken from what is asked.

        Args:
            fit: The fit.
            position: The trial's.
            states: Hidden states of the test rows by modality, for the fit's own networks and for those of every turn.
            values: The readers' arrays of the test rows, by modality, of all that some trial reads so.
        """
        trial = fit.trials[position]
        if fit.finetuned is not None and position == fit.chosen.chosen:  # its networks are its own
            model, raw = fit.finetuned, raw_rows(fit, fit.finetuned.names).at(fit.test)
            return lambda rows: model.predict(replace(raw, present=_spread(fit, raw, rows)))
        read = {name: values[name] for name in trial.candidate.raw}
        bag = Bag(
            [
                Model({n: CachedStates(fit.networks[n].widths) for n in module.modalities}, module, fit.tasks)
                for _, module in fit.copies(trial)
            ]
        )
        return lambda rows: bag.predict(
            [replace(rows, inputs=states[number], values=read) for number in range(len(bag.models))], 4096
        )

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""


def _fallen(
    fit: Fit, scores: Sequence[float | None], low: Sequence[float | None], high: Sequence[float | None]
) -> str | None:
    """What to tell where modalities alone do far worse on the test rows than on the rows that judge; None elsewhere.

    Nothing was chosen among single modalities' networks, so that their scores on both kinds of rows should agree.

    Args:
        fit: The fit.
        scores: Of every trial, on the test rows.
        low: Lower ends of their 95 % intervals.
        high: Upper ends.
    """
    units = [_units(fit.labels.at(rows)) for rows in (fit.judged, fit.test)]
    sign, told = -1 if fit.options.metric in LOWER_IS_BETTER else 1, []
    for trial, *ends, after in zip(fit.trials, fit.chosen.low, fit.chosen.high, low, high, scores, strict=True):
        known = [end for end in ends if end is not None]
        if trial.candidate.kind != "unimodal" or trial.score is None or after is None or len(known) < len(ends):
            continue
        error = math.hypot(known[1] - known[0], known[3] - known[2]) / (2 * 1.96)
        if trial.score - after > max(FAR * error, LARGE * abs(trial.score)):
            before = f"{trial.candidate.name} has {sign * trial.score:.3f} on the rows that judge"
            told.append(f"{before} and {sign * after:.3f} on the test")
    if not told or min(units) < FEWEST_UNITS:
        return None
    return (
        f"{'; '.join(told)}: far more than chance. Either the test rows are of another kind, or features of the other "
        "rows know their labels. What was chosen by those rows may not be the best for others."
    )


def _units(labels: Labels) -> int:
    """How many rows, or groups where there are groups, have a label."""
    some = labels.anything
    return int(some.sum()) if labels.groups is None else len(np.unique(labels.groups[some]))


def _spread(fit: Fit, raw: Rows, rows: Rows) -> dict[str, NDArray[np.bool_]]:
    """Presence in all rows of the table; of the test rows, as they are asked about."""
    found = {name: mask.copy() for name, mask in raw.present.items()}
    for name, mask in found.items():
        mask[fit.test] = rows.present[name]
    return found
