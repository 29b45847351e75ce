"""Learns from labels: the mean loss of every task over the rows that carry its label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from plait.data.batches import Batch
from plait.objectives._base import OBJECTIVES, LearningModel, Objective
from plait.tasks._base import TASK_KIND_REGISTRY, row_weights


@OBJECTIVES.register("supervised")
class Supervised(Objective):
    """One term per task, `supervised/<task>`: the mean of its loss over labelled rows, times its share of its column.

    Rows count by their own weights and by those of their classes.
    """

    name: ClassVar[str] = "supervised"
    supervised: ClassVar[bool] = True

    def terms(self, model: LearningModel, batch: Batch) -> dict[str, Tensor]:
        """Masked mean loss per task; a task without a label in the batch has no term."""
        outputs = model.outputs(model.hidden(batch), batch)
        found = {}
        for task in model.tasks:
            weights = batch.weights * batch.labelled[task.name] * row_weights(task, batch.targets[task.name])
            if weights.sum() > 0:
                losses = TASK_KIND_REGISTRY[task.kind].loss(outputs[task.name], batch.targets[task.name])
                found[f"supervised/{task.name}"] = task.share * (losses * weights).sum() / weights.sum()
        return found
