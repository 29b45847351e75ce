"""Ordinal targets: classes in an order, where a near miss is better than a far one.

References:
    Frank and Hall 2001, A simple approach to ordinal classification: K classes are K - 1 questions "more than this?".
    Epstein 1969, A scoring system for probability forecasts of ranked categories: forecasts are judged cut by cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.tasks import weighted
from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.classification import Multiclass


class Ordinal(Multiclass):
    """One of several classes in order; outputs are logits [rows, classes], as of any classes.

    The loss is the mean, over the K - 1 cuts between neighbouring classes, of the log loss of the answer to "is the
    class above this cut?", in nats; the answer's probability is the sum of those of the classes above. It is a proper
    score: the true distribution has the smallest expected loss; with two classes it is the log loss. Of two wrong
    classes the nearer one costs less, since it is on the right side of more cuts.

    The answer is the median class: the first with as much below or at it as above it. It is what minimises the expected
    distance to the truth; the most probable class may lie at an end while most of the probability is elsewhere.
    """

    name: ClassVar[str] = "ordinal"
    most_ranked: ClassVar[int] = 1
    thresholds: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy", "balanced_accuracy", "macro_f1", "mae", "rmse", "spearman", "log_loss",
    )  # fmt: skip

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean log loss over the cuts, [rows]. A class not seen in training (-1) is ignored (0)."""
        below, above = _log_cuts(outputs.double().log_softmax(dim=1), 1)
        right = torch.where(_is_above(targets, outputs.shape[1]), above, below)
        return (-right.mean(dim=1) * (targets >= 0)).to(outputs.dtype)

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As `TaskKind.losses`.

        With p_j the probabilities, B_k their sum up to cut k and A_k that above it, the derivative by output j of a row
        of class y is p_j - p_j (sum_{k < min(y, j)} 1 / A_k + sum_{k >= max(y, j)} 1 / B_k) / (K - 1).
        """
        classes, rows = outputs.shape[1:]
        chances = outputs.double().log_softmax(dim=1)
        below, above = _log_cuts(chances, 1)  # [predictors, cuts, rows]
        known = targets >= 0
        right = torch.where(_is_above(targets, classes).T, above, below)
        nothing = chances.new_full((len(chances), 1, rows), -torch.inf)
        up = torch.cat([nothing, (-above).logcumsumexp(dim=1)], dim=1)  # at m: over the cuts below m
        down = torch.cat([(-below).flip(1).logcumsumexp(dim=1).flip(1), nothing], dim=1)  # at m: over the others
        place, truth = torch.arange(classes, device=outputs.device)[:, None], targets.long().clamp(min=0)[None]
        expected = chances.shape
        lower = up.gather(1, torch.minimum(place, truth).expand(expected))
        upper = down.gather(1, torch.maximum(place, truth).expand(expected))
        pull = ((chances + lower).exp() + (chances + upper).exp()) / (classes - 1)
        gradients = (chances.exp() - pull) * known
        return (-right.mean(dim=1) * known).to(outputs.dtype), gradients.to(outputs.dtype)

    def surprise(self, chances: Tensor, targets: Tensor) -> Tensor:
        """As `TaskKind.surprise`, cut by cut."""
        logits = chances.clamp_min(1e-12).log()
        return self.loss(logits.flatten(0, 1), targets.repeat(len(chances))).view(chances.shape[:2])

    def guess(self, task: Task, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """The median class of every row, [rows]."""
        reached = probabilities.cumsum(axis=1) >= 0.5 * probabilities.sum(axis=1, keepdims=True) - 1e-9
        return np.asarray(reached.argmax(axis=1), dtype=np.int64)

    def _formulas(
        self, task: Task, probabilities: NDArray[np.float64], truth: NDArray[np.int64]
    ) -> dict[str, Callable[[], float | None]]:
        """Those of classes, and of the distance between answer and truth in the unit of the labels.

        A row whose class never occurred in training leaves the distances undefined: it has no place in the order.
        """
        from scipy.stats import spearmanr

        values, guess = class_values(task), self.guess(task, probabilities)
        error = values[guess] - values[truth]
        placed = bool((truth >= 0).all())
        ranked = placed and len(truth) > 1 and np.ptp(truth) > 0 and np.ptp(guess) > 0
        return super()._formulas(task, probabilities, truth) | {
            "mae": lambda: float(np.abs(error).mean()) if placed else None,
            "rmse": lambda: float(np.sqrt((error**2).mean())) if placed else None,
            "spearman": lambda: float(spearmanr(guess, truth).statistic) if ranked else None,
        }

    def formulas_under(
        self,
        task: Task,
        probabilities: NDArray[np.float64],
        targets: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> dict[str, Callable[[], NDArray[np.float64]]]:
        """As `TaskKind.formulas_under`."""
        found = super().formulas_under(task, probabilities, targets, weights)
        truth, guess = targets.astype(np.int64), self.guess(task, probabilities)
        if (truth < 0).any():
            nothing = np.full(len(weights), np.nan)
            return found | dict.fromkeys(("mae", "rmse", "spearman"), lambda: nothing)
        values = class_values(task)
        error = values[guess] - values[truth]
        return found | {
            "mae": lambda: weighted.mean(np.abs(error), weights),
            "rmse": lambda: np.sqrt(weighted.mean(error**2, weights)),
            "spearman": lambda: weighted.spearman(guess.astype(np.float64), truth.astype(np.float64), weights),
        }


def class_values(task: Task) -> NDArray[np.float64]:
    """What the classes are worth, [classes]: the numbers that they are, or their places where they are none."""
    values = [ordinal_value(text) for text in task.classes]
    numbers = np.array([value for value in values if value is not None])
    rising = len(numbers) == len(values) and bool((np.diff(numbers) > 0).all())
    return numbers if rising else np.arange(len(values), dtype=np.float64)


def _log_cuts(chances: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Log probabilities of being at or below, and above, each cut; both one shorter than the classes along `dim`."""
    cuts = chances.shape[dim] - 1
    below = chances.logcumsumexp(dim).narrow(dim, 0, cuts)
    above = chances.flip(dim).logcumsumexp(dim).flip(dim).narrow(dim, 1, cuts)
    return below.clamp(max=0.0), above.clamp(max=0.0)


def _is_above(targets: Tensor, classes: int) -> Tensor:
    """Whether each row's class is above each cut, [rows, classes - 1]."""
    return targets[:, None] > torch.arange(classes - 1, device=targets.device)


def ordinal_value(text: str) -> float | None:
    """The place of a label in the order: the number that it is; None for one that is no finite number."""
    try:
        value: Any = float(text) if "_" not in text else None
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) else None


TASK_KIND_REGISTRY.register("ordinal")(Ordinal())
