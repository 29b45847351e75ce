"""Strategies of search, one file each; importing this package registers them."""

from plait.search._base import STRATEGIES
from plait.search.strategies import progressive, random, similarity

__all__ = ["STRATEGIES", "progressive", "random", "similarity"]
