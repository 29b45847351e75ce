"""Terms of the training loss, one file each; importing this package enters them in the registry."""

from plait.objectives._base import OBJECTIVES, LearningModel, Objective
from plait.objectives.supervised import Supervised

__all__ = ["OBJECTIVES", "LearningModel", "Objective", "Supervised"]
