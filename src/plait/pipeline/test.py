"""The stage that reads the test rows, once, after the choice is written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from plait.data.batches import Rows
from plait.explain.robustness import robustness
from plait.pipeline._base import Fit, Stage
from plait.pipeline.cache import encode_rows
from plait.pipeline.finetune import raw_rows
from plait.search.choosing import bootstrap_scores, intervals
from plait.tasks.intervals import with_intervals
from plait.tasks.score import measure_all, score
from plait.training.model import CachedStates, Model


class TestStage(Stage):
    """Reads the test rows, once, after the choice is written down; scores every leaderboard row in one pass."""

    __test__ = False  # not a pytest class
    name = "test"
    after: ClassVar[tuple[str, ...]] = ("refit", "choose", "thresholds")

    def work(self, fit: Fit) -> dict[str, Any]:
        """Score all candidates on the test rows; null figures where there are none."""
        if len(fit.test) == 0:
            return {"scores": None, "low": None, "high": None, "metrics": None, "robustness": None}
        states = encode_rows(fit, fit.test)
        labels = fit.labels.at(fit.test)
        rows = Rows(states, {n: fit.decoded[n].present[fit.test] for n in states}, index=np.arange(len(fit.test)))
        models: list[tuple[Model, Rows, int | None]] = []
        for position, trial in enumerate(fit.trials):
            if fit.finetuned is not None and position == fit.chosen.chosen:  # its networks are its own
                models.append((fit.finetuned, raw_rows(fit, fit.finetuned.names).at(fit.test), None))
                continue
            module = fit.decision(trial)
            model = Model({n: CachedStates(fit.networks[n].widths) for n in module.modalities}, module, fit.tasks)
            read = replace(rows, values={n: fit.decoded[n].values[fit.test] for n in trial.candidate.raw})
            models.append((model, read, 4096))
        told = [model.predict(asked, size) for model, asked, size in models]
        outputs = [{name: values.numpy() for name, values in one.items()} for one in told]
        chosen, asked, size = models[fit.chosen.chosen]
        drawn = bootstrap_scores(fit.tasks, [[one] for one in outputs], labels, fit.options.seed, fit.options.metric)
        low, high = intervals(drawn)
        returned = outputs[fit.chosen.chosen]
        return {
            "scores": [score(fit.tasks, one, labels, fit.options.metric) for one in outputs],
            "low": low,
            "high": high,
            "metrics": with_intervals(fit.answered, returned, labels, measure_all(fit.answered, returned, labels)),
            "robustness": robustness(
                lambda one: chosen.predict(one, size),
                asked,
                fit.trials[fit.chosen.chosen].candidate.used,
                fit.answered,
                labels,
                returned,
                fit.options.metric,
            ),
        }

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""
