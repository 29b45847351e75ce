"""Late fusion: every modality decides alone, and a rule combines the decisions."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait._registry import Registry
from plait.encoders._base import HiddenStates
from plait.tasks._base import TASK_KIND_REGISTRY, Task

FLOOR: Final = 1e-7
STACKING_FLOOR: Final = -10.0

STACKING_CLASSES: Final = 100
"""Stacking has a weight for every pair of classes and modality: its cost grows with the square of their number."""


class LateRule(nn.Module, ABC):
    """Combines the decisions of several modalities on one task; one instance per rule and task.

    Legend: M modalities, B rows, C classes.

    Order of calls: `fit` on validation rows, if `fitted`; then `forward` any number of times. For classes a decision is
    a row of log probabilities [C]; for numbers it is the standardised prediction [1]. Absent modalities have no say.

    Attributes:
        fitted: Whether the rule has parameters that are fitted on validation rows.
    """

    name: ClassVar[str]
    fitted: bool = False

    def __init__(self, task: Task, modalities: int) -> None:
        super().__init__()
        self.task = task
        self.classification = TASK_KIND_REGISTRY[task.kind].classification
        self.prior: Tensor
        self.register_buffer("prior", torch.tensor(task.prior), persistent=False)

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether the rule can be had for a task at a fair cost; it competes where it suits every task."""
        return True

    def fit(self, decisions: Tensor, present: Tensor, targets: Tensor) -> None:
        """Fit the parameters on labelled validation rows; nothing to do by default.

        Args:
            decisions: [M, B, C].
            present: [M, B] of bool.
            targets: [B], encoded.
        """

    def forward(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Outputs [B, C] from decisions [M, B, C] and presence [M, B]; rows without any modality get the prior."""
        rule = self.classes if self.classification else self.numbers
        known = torch.where(present[:, :, None], decisions, self.prior)  # what stands in an absent place is never used
        return torch.where(present.any(dim=0)[:, None], rule(known, present), self.prior)

    @abstractmethod
    def classes(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Log probabilities (up to a constant) [B, C] of the combination."""

    @abstractmethod
    def numbers(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Standardised predictions [B, 1] of the combination."""


LATE_RULES: Registry[type[LateRule]] = Registry("late fusion rule")
"""Late fusion rules by name."""


def _mean(values: Tensor, present: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted mean over the present modalities: [M, B, C], [M, B], [M] to [B, C]."""
    share = present.to(values.dtype) if weights is None else present * weights.to(values.dtype)[:, None]
    total = share.sum(0)
    return (values * share[:, :, None]).sum(0) / torch.where(total > 0, total, 1)[:, None]


class _NeedsSpread(LateRule):
    """Base of rules that, for numbers, need each modality's residual variance, fitted on validation rows."""

    def __init__(self, task: Task, modalities: int) -> None:
        super().__init__(task, modalities)
        self.fitted = not self.classification
        self.variance: Tensor
        self.register_buffer("variance", torch.ones(modalities))

    def fit(self, decisions: Tensor, present: Tensor, targets: Tensor) -> None:
        """Mean squared error of every modality where it is present; 1, the constant predictor's, if it never is."""
        if not self.classification:
            error = (decisions[:, :, 0] - targets).square()
            mean = (error * present).sum(1) / present.sum(1).clamp_min(1)
            self.variance.copy_(torch.where(present.any(1), mean.clamp_min(1e-6), 1))


@LATE_RULES.register("vote")
class Vote(LateRule):
    """Majority vote; the mean of the probabilities breaks ties. For numbers, the median."""

    name: ClassVar[str] = "vote"

    def classes(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Log of (votes + mean probability): the mean is at most 1, so it never overrules a majority."""
        votes = nn.functional.one_hot(decisions.argmax(-1), decisions.shape[-1])
        count = (votes * present[:, :, None]).sum(0)
        return ((count + _mean(decisions.exp(), present)) / (present.sum(0)[:, None] + 1)).clamp_min(FLOOR).log()

    def numbers(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Median over the present modalities."""
        hidden = decisions.masked_fill(~present[:, :, None], float("nan"))
        return torch.nan_to_num(torch.nanquantile(hidden, 0.5, dim=0))


@LATE_RULES.register("mean")
class Mean(LateRule):
    """Mean of the probabilities (sum rule, Kittler et al. 1998), or of the numbers."""

    name: ClassVar[str] = "mean"

    def classes(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Log of the mean probability."""
        return _mean(decisions.exp(), present).clamp_min(FLOOR).log()

    def numbers(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Mean number."""
        return _mean(decisions, present)


@LATE_RULES.register("weighted-mean")
class WeightedMean(LateRule):
    """Mean with one weight per modality, at least 0 and of sum 1, that minimises the loss on validation rows."""

    name: ClassVar[str] = "weighted-mean"
    fitted: bool = True

    def __init__(self, task: Task, modalities: int) -> None:
        super().__init__(task, modalities)
        self.weights: Tensor
        self.register_buffer("weights", torch.full((modalities,), 1 / modalities))

    def fit(self, decisions: Tensor, present: Tensor, targets: Tensor) -> None:
        """L-BFGS over the logarithms of the weights, with a weak pull (1e-3) towards equal ones."""
        from scipy.optimize import minimize

        kind = TASK_KIND_REGISTRY[self.task.kind]
        values = (decisions.exp() if self.classification else decisions).double()

        def loss_and_slope(logarithms: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            free = torch.tensor(logarithms, requires_grad=True)
            mixed = _mean(values, present, free.softmax(0))
            outputs = mixed.clamp_min(FLOOR).log() if self.classification else mixed
            loss = kind.loss(outputs, targets.double())[present.any(0)].mean() + 1e-3 * free.square().sum()
            torch.autograd.backward(loss)
            return float(loss.detach()), np.asarray(free.grad)

        if present.any():
            found = minimize(loss_and_slope, np.zeros(len(decisions)), jac=True, method="L-BFGS-B")
            self.weights.copy_(torch.tensor(found.x).softmax(0))

    def classes(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Log of the weighted mean probability."""
        return _mean(decisions.exp(), present, self.weights).clamp_min(FLOOR).log()

    def numbers(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Weighted mean number."""
        return _mean(decisions, present, self.weights)


@LATE_RULES.register("product")
class Product(_NeedsSpread):
    """Product rule (Kittler et al. 1998, eq. 7): prod_m p_m(y) / p(y)^(M-1).

    For numbers, the product of one Gaussian per modality: the mean weighted by precision, the residual variances
    fitted on validation rows.
    """

    name: ClassVar[str] = "product"

    def classes(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Sum of log probabilities less (modalities present - 1) times the log prior."""
        total = (decisions * present[:, :, None]).sum(0) - (present.sum(0) - 1).clamp_min(0)[:, None] * self.prior
        return total.log_softmax(-1)

    def numbers(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Mean weighted by precision."""
        return _mean(decisions, present, 1 / self.variance)


@LATE_RULES.register("max")
class Max(_NeedsSpread):
    """Max rule (Kittler et al. 1998): the largest probability any modality gives, normalised.

    For numbers, the prediction of the surest modality: the one with the smallest residual variance among those present.
    """

    name: ClassVar[str] = "max"

    def classes(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Log of the largest probability, normalised."""
        hidden = decisions.masked_fill(~present[:, :, None], float("-inf"))
        return torch.nan_to_num(hidden.amax(0), neginf=float(np.log(FLOOR))).log_softmax(-1)

    def numbers(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Prediction of the present modality with the smallest variance."""
        variance = self.variance[:, None].expand_as(present)
        surest = variance.masked_fill(~present, float("inf")).argmin(0)  # [B]
        return decisions.gather(0, surest[None, :, None]).squeeze(0)


@LATE_RULES.register("stacking")
class Stacking(LateRule):
    """Stacked generalisation (Wolpert 1992): a linear model over all decisions, fitted on validation rows.

    Logistic regression over log probabilities (at least -10, each modality's less their mean, so that only their
    differences count), or ridge regression over numbers; an absent modality decides as the prior does.
    """

    name: ClassVar[str] = "stacking"
    fitted: bool = True

    def __init__(self, task: Task, modalities: int) -> None:
        super().__init__(task, modalities)
        self.weights: Tensor
        self.bias: Tensor
        self.register_buffer("weights", torch.eye(task.outputs).repeat(modalities, 1) / modalities)  # the mean
        self.register_buffer("bias", torch.zeros(task.outputs))

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Up to `STACKING_CLASSES` classes."""
        return task.outputs <= STACKING_CLASSES

    def _features(self, decisions: Tensor, present: Tensor) -> Tensor:
        """[B, M * C]."""
        filled = torch.where(present[:, :, None], decisions, self.prior)
        if self.classification:
            filled = filled.clamp_min(STACKING_FLOOR)
            filled = filled - filled.mean(dim=-1, keepdim=True)
        return filled.permute(1, 0, 2).flatten(1)

    def fit(self, decisions: Tensor, present: Tensor, targets: Tensor) -> None:
        """Fit the linear model with scikit-learn."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, Ridge

        features, truth = self._features(decisions, present).double().numpy(), targets.numpy()
        if self.classification:
            features, truth = features[truth >= 0], truth[truth >= 0].astype(np.int64)
        if len(truth) == 0 or (self.classification and len(np.unique(truth)) < 2):
            return
        model = LogisticRegression(max_iter=200, tol=1e-3) if self.classification else Ridge(alpha=1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is scored as it is
            model.fit(features, truth)
        slope, bias = _as_linear(model, self.task.outputs, self.classification)
        self.weights.copy_(torch.from_numpy(slope))
        self.bias.copy_(torch.from_numpy(bias))

    def classes(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Log probabilities of the linear model."""
        return self.numbers(decisions, present).log_softmax(-1)

    def numbers(self, decisions: Tensor, present: Tensor) -> Tensor:
        """Outputs of the linear model."""
        return self._features(decisions, present) @ self.weights + self.bias


def _as_linear(model: Any, outputs: int, classification: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A linear model's slope [features, outputs] and bias [outputs]; classes it never saw stay improbable."""
    slope, bias = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    if not classification:
        return slope.T, bias
    if len(model.classes_) == 2 and len(slope) == 1:
        slope, bias = np.concatenate([-slope / 2, slope / 2]), np.concatenate([-bias / 2, bias / 2])
    full_slope, full_bias = np.zeros((outputs, slope.shape[1])), np.full(outputs, STACKING_FLOOR)
    full_slope[model.classes_], full_bias[model.classes_] = slope, bias
    return full_slope.T, full_bias


class LateFusion(nn.Module):
    """Late fusion of unimodal networks: the last layer of each (its outputs for all tasks), and a rule per task.

    Args:
        rule: Name of the rule.
        modalities: Which modalities decide, in order.
        tasks: The tasks, in the order of the outputs.
    """

    def __init__(self, rule: str, modalities: Sequence[str], tasks: Sequence[Task]) -> None:
        super().__init__()
        self.rule, self.order, self.tasks = rule, tuple(modalities), tuple(tasks)
        self.rules = nn.ModuleList(LATE_RULES[rule](task, len(self.order)) for task in self.tasks)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that are read."""
        return self.order

    def fit(
        self, decisions: Sequence[Tensor], present: Tensor, targets: Sequence[Tensor], labelled: Sequence[Tensor]
    ) -> None:
        """Fit every rule on validation rows.

        Args:
            decisions: Per task, [M, B, C].
            present: [M, B] of bool.
            targets: Per task, [B].
            labelled: Per task, [B] of bool.
        """
        for index, rule in enumerate(self.rules):
            rows = labelled[index]
            if isinstance(rule, LateRule) and rule.fitted and rows.any():
                known = torch.where(present[:, rows, None], decisions[index][:, rows], rule.prior)
                rule.fit(known, present[:, rows], targets[index][rows])

    def forward(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs]."""
        decisions = decisions_of({name: states[name].layers[-1] for name in self.order}, self.tasks)
        masks = torch.stack([present[name] for name in self.order])
        return {
            task.name: rule(decision, masks)
            for task, rule, decision in zip(self.tasks, self.rules, decisions, strict=True)
        }


def decisions_of(last: Mapping[str, Tensor], tasks: Sequence[Task]) -> list[Tensor]:
    """Decisions [M, B, C] per task (log probabilities or numbers), cut from each modality's outputs [B, all tasks']."""
    found, start = [], 0
    for task in tasks:
        pieces = torch.stack([values[:, start : start + task.outputs] for values in last.values()])
        found.append(pieces.log_softmax(-1) if TASK_KIND_REGISTRY[task.kind].classification else pieces)
        start += task.outputs
    return found


class SingleModality(nn.Module):
    """No fusion: the outputs of one unimodal network; the constant predictor's where a row lacks the modality.

    Args:
        modality: The modality.
        tasks: The tasks, in the order of the outputs.
    """

    def __init__(self, modality: str, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.modality, self.tasks = modality, tuple(tasks)
        self.prior: Tensor
        self.register_buffer("prior", torch.tensor([value for task in self.tasks for value in task.prior]))

    @property
    def modalities(self) -> tuple[str, ...]:
        """The one modality that is read."""
        return (self.modality,)

    def forward(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs]."""
        outputs = torch.where(present[self.modality][:, None], states[self.modality].layers[-1], self.prior)
        sizes = [task.outputs for task in self.tasks]
        return {task.name: piece for task, piece in zip(self.tasks, torch.split(outputs, sizes, dim=1), strict=True)}
