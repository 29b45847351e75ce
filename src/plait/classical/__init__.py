"""Classical models: scikit-learn on the readers' arrays, or on hidden states where those say more."""

from plait.classical._base import FAMILIES, ClassicalSpec, Family
from plait.classical.boosting import Boosting
from plait.classical.decision import ClassicalDecision
from plait.classical.forest import Forest
from plait.classical.logistic import Logistic

__all__ = ["FAMILIES", "Boosting", "ClassicalDecision", "ClassicalSpec", "Family", "Forest", "Logistic"]
