"""What a task is (one target column) and what a kind of task must know: loss, constant predictor, answers, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from plait._registry import Registry

LabelType = Literal["int", "float", "str", "bool"]


class Task(BaseModel):
    """What one head learns, with everything that was fitted on training labels: a target column, or one label of it.

    Attributes:
        name: The column; of one label of a column, `<column>__<label>`.
        kind: Name of the task kind.
        label_type: Type of the labels in the training table; predictions come in the same.
        classes: Class labels, sorted or in their order (classification), as text.
        mean, scale: Mean and standard deviation of the training labels (regression), in the column's unit.
        prior: The constant predictor's outputs: log frequencies of the classes [classes], or [0.0] (regression:
            the mean, in standardised units).
        column: The column that it belongs to, where that has a task for each of its labels.
        label: Which label of the column, in the type of the training table; None where the task is the whole column.
        share: How much it counts beside other tasks in training: the tasks of a column have 1 together.
        class_weights: How much a training row of each class weighs in the training loss; none for 1 each.
        offsets: What is added to each class's log probability before the highest is answered; none for 0 each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    label_type: LabelType
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    prior: tuple[float, ...] = ()
    column: str = ""
    label: int | str | None = None
    share: float = 1.0
    class_weights: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    @property
    def target(self) -> str:
        """The column of the table that it is learned from."""
        return self.column or self.name

    @property
    def outputs(self) -> int:
        """How many numbers a head gives for this task."""
        return len(self.prior)

    @property
    def labels(self) -> list[Any]:
        """The classes in the type of the training table."""
        return [typed_label(text, self.label_type) for text in self.classes]


def typed_label(text: str, label_type: LabelType) -> Any:
    """A class label, kept as text, in its own type."""
    if label_type == "bool":
        return text == "True"
    return {"int": int, "float": float, "str": str}[label_type](text)


class TaskKind(ABC):
    """What can be predicted and how it is judged. Stateless: everything fitted stands in `Task`.

    Outputs are what heads and late rules give: tensors [rows, task.outputs]. For classes they are logits (any constant
    may be added to a row); for numbers, the standardised prediction [rows, 1]. Encoded targets are tensors [rows].

    Attributes:
        metrics: Names of its metrics, the first is the one shown first.
        classification: Whether its answers are classes.
        ranking: Names of the metrics that rank the rows once for every class.
        most_ranked: Of no more classes than this they are given with intervals.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    classification: ClassVar[bool]
    ranking: ClassVar[tuple[str, ...]] = ()
    most_ranked: ClassVar[int] = 1

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss per row.

        Args:
            outputs: [rows, outputs].
            targets: [rows], encoded.

        Returns:
            [rows]: negative log likelihood in nats (classes), squared error in standardised units (numbers).
        """

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Losses of many predictors, and their gradients: for stacks, which need no graph of them.

        Args:
            outputs: [predictors, outputs, rows].
            targets: [rows], encoded.

        Returns:
            Losses [predictors, rows] as `loss` has them, and their derivatives by the outputs, in their shape.
        """
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            flat = leaf.transpose(1, 2).reshape(-1, outputs.shape[1])
            found = self.loss(flat, targets.repeat(len(outputs)))
            (gradients,) = torch.autograd.grad(found.sum(), leaf)
        return found.detach().view(len(outputs), -1), gradients

    @abstractmethod
    def surprise(self, chances: Tensor, targets: Tensor) -> Tensor:
        """Losses of many predictors from what `probabilities` gives of their outputs, which ensembles average.

        Args:
            chances: [predictors, rows, outputs].
            targets: [rows], encoded.

        Returns:
            [predictors, rows], as `loss` has them; a probability of 0 has a large finite one.
        """

    @abstractmethod
    def probabilities(self, outputs: Tensor) -> Tensor:
        """Class probabilities [rows, classes], or for numbers the standardised prediction [rows, 1]."""

    @abstractmethod
    def answers(self, task: Task, probabilities: NDArray[np.float64]) -> list[Any]:
        """Predictions in the type and unit of the training table, one per row."""

    @abstractmethod
    def measure(
        self, task: Task, probabilities: NDArray[np.float64], targets: NDArray[np.float64], names: tuple[str, ...] = ()
    ) -> dict[str, float | None]:
        """Metrics on labelled rows; None where one is undefined (a single class, too few rows, NaN among the answers).

        Args:
            task: The task.
            probabilities: [rows, outputs] as `probabilities` gives them.
            targets: [rows], encoded.
            names: Which metrics; all if empty.
        """

    def measure_under(
        self,
        task: Task,
        probabilities: NDArray[np.float64],
        targets: NDArray[np.float64],
        weights: NDArray[np.float64],
        names: tuple[str, ...] = (),
    ) -> dict[str, NDArray[np.float64]]:
        """Metrics of finite answers under several weightings of the rows, [draws]; NaN where one is undefined.

        Args:
            task: The task.
            probabilities: [rows, outputs] as `probabilities` gives them.
            targets: [rows], encoded.
            weights: Whole numbers [draws, rows]; 2 is the row twice.
            names: Which; all by default.
        """
        if len(targets) == 0:
            return {name: np.full(len(weights), np.nan) for name in names or self.metrics}
        formulas = self.formulas_under(task, probabilities, targets, weights)
        return {name: formulas[name]() for name in names or self.metrics}

    @abstractmethod
    def formulas_under(
        self,
        task: Task,
        probabilities: NDArray[np.float64],
        targets: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> dict[str, Callable[[], NDArray[np.float64]]]:
        """Every metric by name as `measure_under` gives it, worked out when it is called."""


TASK_KIND_REGISTRY: Registry[TaskKind] = Registry("task kind")
"""Task kinds by name."""


def row_weights(task: Task, targets: Tensor) -> Tensor:
    """How much each row weighs in the training loss by its class, [rows]; `targets` [rows] are encoded."""
    if not task.class_weights:
        return torch.ones_like(targets)
    weights = torch.tensor(task.class_weights, dtype=targets.dtype, device=targets.device)
    return weights[targets.long().clamp(min=0)]


def by_target(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """The tasks of every target column, in their order."""
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.target, []).append(task)
    return found


def chance_columns(task: Task) -> list[str]:
    """Names of the columns of a task's probabilities: one for each class, one for a label, none for numbers."""
    return [task.name] if task.label is not None else [f"{task.name}__{label}" for label in task.classes]


def constant_loss(task: Task, targets: Tensor) -> Tensor:
    """Loss per row [rows] of the constant predictor fitted on training labels; `targets` [rows] are encoded."""
    outputs = torch.tensor(task.prior, dtype=torch.float32).expand(len(targets), -1)
    return TASK_KIND_REGISTRY[task.kind].loss(outputs, targets)
