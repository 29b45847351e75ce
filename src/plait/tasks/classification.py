"""Binary and multiclass targets: one class out of several."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from plait.tasks import weighted
from plait.tasks._base import TASK_KIND_REGISTRY, Task, TaskKind


class Multiclass(TaskKind):
    """One of several classes; outputs are logits [rows, classes], the loss is the log loss in nats."""

    name: ClassVar[str] = "multiclass"
    classification: ClassVar[bool] = True
    most_ranked: ClassVar[int] = 50
    ranking: ClassVar[tuple[str, ...]] = ("auroc", "average_precision")
    thresholds: ClassVar[bool] = True
    """Whether offsets decide what is answered."""

    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "log_loss",
    )  # fmt: skip

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Negative log likelihood of the true class, [rows]. A class not seen in training (-1) is ignored (0)."""
        return F.cross_entropy(outputs, targets.long(), reduction="none", ignore_index=-1)

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As `TaskKind.losses`: the gradient of the log loss is the softmax less 1 at the true class."""
        known = targets >= 0
        truth = targets.long().clamp(min=0)
        rows = outputs.shape[2]
        chances = outputs.log_softmax(dim=1)
        at = truth * rows + torch.arange(rows, device=outputs.device)
        losses = chances.flatten(1).index_select(1, at).neg_().mul_(known)
        hit = torch.zeros(outputs.shape[1:], device=outputs.device).scatter_(0, truth[None], 1.0)
        return losses, chances.exp_().sub_(hit).mul_(known)

    def surprise(self, chances: Tensor, targets: Tensor) -> Tensor:
        """As `TaskKind.surprise`: the negative logarithm of the true class's probability."""
        at = targets.long().clamp(min=0).expand(len(chances), -1).unsqueeze(2)
        return -chances.gather(2, at).squeeze(2).clamp_min(1e-12).log() * (targets >= 0)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax of the logits, [rows, classes]."""
        return outputs.softmax(dim=-1)

    def answers(self, task: Task, probabilities: NDArray[np.float64]) -> list[Any]:
        """The guessed class of every row."""
        labels = task.labels
        return [labels[index] for index in self.guess(task, probabilities)]

    def guess(self, task: Task, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """The index of the class that is answered, [rows]: the most probable one, after the task's offsets."""
        if task.offsets:
            probabilities = np.log(np.clip(probabilities, 1e-12, None)) + np.array(task.offsets)
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)

    def figure(
        self, metric: str, truth: NDArray[np.int64], guess: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """A metric of answers alone, under several weightings [draws]: accuracy, balanced_accuracy or macro_f1."""
        if metric == "accuracy":
            return weighted.mean((truth == guess).astype(np.float64), weights)
        return (weighted.balanced_accuracy if metric == "balanced_accuracy" else weighted.macro_f1)(
            truth, guess, weights
        )

    def measure(
        self, task: Task, probabilities: NDArray[np.float64], targets: NDArray[np.float64], names: tuple[str, ...] = ()
    ) -> dict[str, float | None]:
        """Accuracy, balanced accuracy, macro-F1, AUROC and average precision (one-vs-rest, macro), log loss.

        Macro-F1 is the mean over the classes that occur among labels or answers, as in scikit-learn. A row whose class
        never occurred in training (target -1) counts as wrong in the accuracies and F1; log loss is then undefined,
        since the true class has no probability.
        """
        wanted = names or self.metrics
        if len(targets) == 0 or not np.isfinite(probabilities).all():
            return dict.fromkeys(wanted)
        formulas = self._formulas(task, probabilities, targets.astype(np.int64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class without rows: scikit-learn warns, the figures below are defined
            return {name: formulas[name]() for name in wanted}

    def _formulas(
        self, task: Task, probabilities: NDArray[np.float64], truth: NDArray[np.int64]
    ) -> dict[str, Callable[[], float | None]]:
        """Every metric by name, worked out when it is called."""
        from sklearn import metrics

        guess, seen = self.guess(task, probabilities), truth >= 0
        return {
            "accuracy": lambda: float((truth == guess).mean()),
            "balanced_accuracy": lambda: float(metrics.balanced_accuracy_score(truth, guess)),
            "macro_f1": lambda: float(metrics.f1_score(truth, guess, average="macro")),
            "auroc": lambda: _one_vs_rest(metrics.roc_auc_score, truth[seen], probabilities[seen]),
            "average_precision": lambda: _one_vs_rest(
                metrics.average_precision_score, truth[seen], probabilities[seen]
            ),
            "log_loss": lambda: float(_log_losses(probabilities, truth).mean()) if seen.all() else None,
        }

    def formulas_under(
        self,
        task: Task,
        probabilities: NDArray[np.float64],
        targets: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> dict[str, Callable[[], NDArray[np.float64]]]:
        """As `TaskKind.formulas_under`."""
        truth = targets.astype(np.int64)
        guess, seen = self.guess(task, probabilities), truth >= 0

        def ranked(metric: weighted.Ranking) -> NDArray[np.float64]:
            return weighted.one_vs_rest(metric, truth[seen], probabilities[seen], weights[:, seen])

        nothing = np.full(len(weights), np.nan)
        return {
            **{
                name: partial(self.figure, name, truth, guess, weights)
                for name in ("accuracy", "balanced_accuracy", "macro_f1")
            },
            "auroc": partial(ranked, weighted.auroc),
            "average_precision": partial(ranked, weighted.average_precision),
            "log_loss": lambda: weighted.mean(_log_losses(probabilities, truth), weights) if seen.all() else nothing,
        }


class Binary(Multiclass):
    """One of two classes; AUROC and average precision are those of the second class in sorted order."""

    name: ClassVar[str] = "binary"


def _log_losses(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    return -np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, None))


def _one_vs_rest(metric: Any, truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Mean over the classes that occur; for two classes, that of the second. None unless two classes occur."""
    occurring = np.unique(truth)
    if len(occurring) < 2:
        return None
    if probabilities.shape[1] == 2:
        return float(metric(truth == 1, probabilities[:, 1]))
    return float(np.mean([metric(truth == label, probabilities[:, label]) for label in occurring]))


TASK_KIND_REGISTRY.register("multiclass")(Multiclass())
TASK_KIND_REGISTRY.register("binary")(Binary())
