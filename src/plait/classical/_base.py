"""What a classical model is: a family of scikit-learn estimators, and the modalities whose features it reads."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from plait._registry import Registry
from plait.data.readers._base import Features

STACK: Final = "stack"
"""Stands in the place of a family where base models of several families are stacked."""


class ClassicalSpec(BaseModel):
    """A classical model as data.

    Attributes:
        family: A family's name, or `stack`.
        modalities: Which modalities it reads, in sorted order.
        raw: Those of which it reads the reader's features; of the others, the encoder's last hidden layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    modalities: tuple[str, ...]
    raw: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """How large a task is: what an estimator's cost follows from.

    Attributes:
        rows: Rows to be fitted on.
        columns: Features.
        outputs: Classes, or 1 for a number.
        rare: Whether some class is rare, no class weights are given, and a judge can be asked whether weighing helps.
    """

    rows: int
    columns: int
    outputs: int
    rare: bool = False

    @property
    def scores(self) -> int:
        """How many functions of the features are learned: two classes need one."""
        return self.outputs if self.outputs > 2 else 1


Judge = Callable[[NDArray[np.float64], NDArray[np.int64]], float | None]
"""A metric of class probabilities [n, classes] with the true classes [n], higher is better; None where undefined."""


class Family(ABC):
    """A family of estimators: one for classes, one for numbers. Stateless.

    Order of calls: `cost`, until the rows are few enough; `fit` once per task on training rows; then `again` and
    scikit-learn's `fit` for the folds of a stack, `predict` or `predict_proba` any number of times.

    Attributes:
        plain: Whether it sees numbers as they are, with NaN in empty cells and absent modalities; other families see
            them standardised, and terms weighed, with the training mean in the place of what is absent.
        wide: Whether it sees sparse terms as they are; other families see their 50 leading directions.
        smoothing: Share of the constant predictor in its class probabilities, so that none is 0.
    """

    name: ClassVar[str]
    plain: ClassVar[bool] = False
    wide: ClassVar[bool] = False
    smoothing: ClassVar[float]

    @abstractmethod
    def cost(self, shape: Shape, again: bool = False, least: bool = False) -> float:
        """About how many seconds `fit` takes on one core; from the shape alone, so that no clock has a say.

        Args:
            shape: Of the task.
            again: Whether an estimator is to be fitted again with the options that `fit` has found.
            least: Whether what `fit` takes at least is asked for, with a limit as low as it can follow.
        """

    @abstractmethod
    def fit(
        self, features: Features, targets: NDArray[Any], outputs: int, folds: NDArray[np.int64], seed: int,
        weights: NDArray[np.float64] | None = None, judge: Judge | None = None, limit: float = math.inf,
    ) -> Any:  # fmt: skip
        """An estimator fitted on labelled training rows; of classes, at least two occur.

        Args:
            features: [rows, n].
            targets: [rows]: whole numbers of classes, or standardised numbers where `outputs` is 1.
            outputs: Classes, or 1 for a number.
            folds: [rows]: fold of every row, for what is chosen by cross-validation.
            seed: Decides all that is random.
            weights: [rows]: how much a row counts; 1 each by default.
            judge: What the fit compares candidates by, where that is a metric of classes; what is chosen by
                cross-validation goes by it, too. By the loss otherwise.
            limit: Seconds that it may cost, by `cost`: a family that can do with less than it would like does.
        """

    def again(self, estimator: Any, shape: Shape, limit: float = math.inf) -> Any:
        """A copy of an estimator, to be fitted on other rows with the options that `fit` has found.

        Args:
            estimator: As `fit` gave it.
            shape: Of what the copy is to be fitted on.
            limit: Seconds that it may cost, as in `fit`.
        """
        from sklearn.base import clone

        return clone(estimator)


def paid(limit: float, each: float, wanted: int, enough: int) -> int:
    """How many trees or rounds a limit pays for: all that are wanted, or fewer, but `enough` at least.

    Args:
        limit: Seconds.
        each: Seconds of one.
        wanted: How many there would be without a limit.
        enough: How many stay, whatever the limit; of fewer wanted, all.
    """
    return wanted if limit >= wanted * each else max(min(wanted, enough), int(limit / each))


FAMILIES: Registry[Family] = Registry("family of classical models")
"""Families by name."""
