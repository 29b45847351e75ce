"""The model class, the training loop, and what turns losses into gradients."""

from plait.training.combiners import COMBINERS, Combiner, WeightedSum
from plait.training.loop import EpochRecord, Hook, Plan, Trainer
from plait.training.model import CachedStates, Model, Readout, UnimodalNetwork

__all__ = [
    "COMBINERS",
    "CachedStates",
    "Combiner",
    "EpochRecord",
    "Hook",
    "Model",
    "Plan",
    "Readout",
    "Trainer",
    "UnimodalNetwork",
    "WeightedSum",
]
