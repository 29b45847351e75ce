"""What an objective is: one term of the training loss, and which rows it can use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from torch import Tensor

from plait._registry import Registry
from plait.data.batches import Batch
from plait.encoders._base import HiddenStates
from plait.tasks._base import Task


class LearningModel(Protocol):
    """What an objective needs of a model."""

    @property
    def tasks(self) -> Sequence[Task]:
        """The tasks, in the order of the outputs."""

    def hidden(self, batch: Batch) -> dict[str, HiddenStates]:
        """Hidden states by modality."""

    def outputs(self, states: Mapping[str, HiddenStates], batch: Batch) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs]."""


class Objective(ABC):
    """One term of the training loss.

    Order of calls, for every batch: `before_batch`, then `terms`, then, when the optimiser has stepped, `after_step`.
    An objective uses whatever rows it can and returns no term where it can use none; it never touches gradients.

    Attributes:
        name: Its name in the registry.
        supervised: Whether it needs labels.
    """

    name: ClassVar[str]
    supervised: ClassVar[bool]

    @abstractmethod
    def terms(self, model: LearningModel, batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses, each a mean over the rows it could use; empty if there were none."""

    def before_batch(self, batch: Batch) -> Batch:
        """The batch to use instead of this one; the same by default."""
        return batch

    def after_step(self, model: LearningModel) -> None:  # noqa: B027 - a hook that most objectives do not need
        """Act after the optimiser's step; nothing by default."""


OBJECTIVES: Registry[type[Objective]] = Registry("objective")
"""Objectives by name."""
