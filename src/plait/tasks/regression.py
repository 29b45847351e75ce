"""Numeric targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from plait.tasks import weighted
from plait.tasks._base import TASK_KIND_REGISTRY, Task, TaskKind


class Regression(TaskKind):
    """A number; outputs are standardised predictions [rows, 1], the loss is the squared error in standardised units."""

    name: ClassVar[str] = "regression"
    classification: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("r2", "rmse", "mae", "spearman")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared error, [rows]."""
        return (outputs[:, 0] - targets).square()

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As `TaskKind.losses`: the gradient of a square."""
        error = outputs[:, 0] - targets
        return error.square(), (2 * error).unsqueeze(1)

    def surprise(self, chances: Tensor, targets: Tensor) -> Tensor:
        """As `TaskKind.surprise`: the squared error."""
        return (chances[:, :, 0] - targets).square()

    def probabilities(self, outputs: Tensor) -> Tensor:
        """The standardised predictions themselves, [rows, 1]."""
        return outputs

    def answers(self, task: Task, probabilities: NDArray[np.float64]) -> list[Any]:
        """Predictions in the column's unit, as floating-point numbers."""
        values = probabilities[:, 0] * task.scale + task.mean
        return [float(value) for value in values]

    def measure(
        self, task: Task, probabilities: NDArray[np.float64], targets: NDArray[np.float64], names: tuple[str, ...] = ()
    ) -> dict[str, float | None]:
        """R2, RMSE and MAE (in the column's unit), Spearman's rank correlation."""
        from scipy.stats import spearmanr

        wanted = names or self.metrics
        if len(targets) == 0 or not np.isfinite(probabilities).all():
            return dict.fromkeys(wanted)
        error = (probabilities[:, 0] - targets) * task.scale
        spread = float(((targets - targets.mean()) ** 2).sum()) * task.scale**2
        ranked = len(targets) > 1 and np.ptp(targets) > 0 and np.ptp(probabilities[:, 0]) > 0
        found = {
            "r2": 1 - float((error**2).sum()) / spread if spread > 0 else None,
            "rmse": float(np.sqrt((error**2).mean())),
            "mae": float(np.abs(error).mean()),
            "spearman": float(spearmanr(probabilities[:, 0], targets).statistic) if ranked else None,
        }
        return {name: found[name] for name in wanted}

    def formulas_under(
        self,
        task: Task,
        probabilities: NDArray[np.float64],
        targets: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> dict[str, Callable[[], NDArray[np.float64]]]:
        """As `TaskKind.formulas_under`."""
        guess = probabilities[:, 0]
        error = (guess - targets) * task.scale
        return {
            "r2": lambda: weighted.r2(guess, targets, weights),
            "rmse": lambda: np.sqrt(weighted.mean(error**2, weights)),
            "mae": lambda: weighted.mean(np.abs(error), weights),
            "spearman": lambda: weighted.spearman(guess, targets, weights),
        }


TASK_KIND_REGISTRY.register("regression")(Regression())
