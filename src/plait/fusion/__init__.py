"""Ways to combine modalities: architectures over hidden states, and rules over decisions."""

from plait.fusion.architecture import Architecture, Cell, Source
from plait.fusion.candidates import Candidate
from plait.fusion.late import LATE_RULES, LateFusion, LateRule, SingleModality
from plait.fusion.network import FusionNetwork
from plait.fusion.operations import OPERATIONS, Operation
from plait.fusion.space import FusionSpace

__all__ = [
    "LATE_RULES",
    "OPERATIONS",
    "Architecture",
    "Candidate",
    "Cell",
    "FusionNetwork",
    "FusionSpace",
    "LateFusion",
    "LateRule",
    "Operation",
    "SingleModality",
    "Source",
]
