"""Task kinds (binary, multiclass, ordinal, multilabel, regression), their losses, metrics and scores."""

from plait.tasks._base import TASK_KIND_REGISTRY, Task, TaskKind
from plait.tasks.classification import Binary, Multiclass
from plait.tasks.multilabel import Multilabel
from plait.tasks.ordinal import Ordinal
from plait.tasks.regression import Regression

__all__ = ["TASK_KIND_REGISTRY", "Binary", "Multiclass", "Multilabel", "Ordinal", "Regression", "Task", "TaskKind"]
