"""Evaluates, records and chooses candidates."""

from plait.search.choosing import Choice, Comparison, choose
from plait.search.competitors import competitors
from plait.search.evaluator import Evaluator, Trial
from plait.search.ledger import Ledger

__all__ = ["Choice", "Comparison", "Evaluator", "Ledger", "Trial", "choose", "competitors"]
