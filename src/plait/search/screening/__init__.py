"""Screening: what which sources say alone, together and multiplied, before anything is trained."""

from plait.search.screening.interactions import Interaction
from plait.search.screening.screening import Screening, Step

__all__ = ["Interaction", "Screening", "Step"]
