"""The stage that chooses, by the rows that judge."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from plait.pipeline._base import COMPARED, Fit, Stage
from plait.search.choosing import Choice, choose


class ChooseStage(Stage):
    """The choice, by the rows that judge."""

    name = "choose"
    after: ClassVar[tuple[str, ...]] = COMPARED

    def inputs(self, fit: Fit) -> list[str]:
        """Metric and seed."""
        return [str(fit.options.metric), str(fit.options.seed)]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Choose by design: one standard error, the cheapest."""
        return asdict(choose(fit.trials, fit.tasks, fit.labels.at(fit.judged), fit.options.seed, fit.options.metric))

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The choice."""
        fit.choice = Choice.from_json(result)
