"""Strategies of search, one file each; importing this package registers them."""

from plait.search._base import STRATEGIES
from plait.search.strategies import exhaustive, genetic, greedy, optuna, progressive, random, similarity
from plait.search.strategies.named import make_strategy, strategy_kind, strategy_problem

__all__ = [
    "STRATEGIES",
    "exhaustive",
    "genetic",
    "greedy",
    "make_strategy",
    "optuna",
    "progressive",
    "random",
    "similarity",
    "strategy_kind",
    "strategy_problem",
]
