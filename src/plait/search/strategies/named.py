"""Strategies by name; a name may have an option after a colon, like `optuna:tpe`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plait.exceptions import InputError, did_you_mean
from plait.search._base import STRATEGIES, P, Space, Strategy


def strategy_problem(name: str) -> str | None:
    """What is wrong with a name, as half a sentence; None if nothing is."""
    kind, colon, option = name.partition(":")
    if kind not in STRATEGIES:
        return did_you_mean(kind, STRATEGIES)
    try:
        known = STRATEGIES[kind].options()
    except InputError as error:  # a package is missing
        return str(error).rstrip(".")
    if not colon:
        return None
    if not known:
        return f"{kind} has no options; leave out {colon + option!r}"
    if (spelled := STRATEGIES[kind].spelled(option)) not in known:
        return f"after the colon, {did_you_mean(spelled, known)}"
    return None


def strategy_kind(name: str) -> type[Strategy[Any]]:
    """The class of a name.

    Raises:
        InputError: There is no such strategy, it has no such option, or a package that it needs is not installed.
    """
    if problem := strategy_problem(name):
        raise InputError(f"strategy is {name!r}; {problem}.")
    return STRATEGIES[name.partition(":")[0]]


def make_strategy(
    name: str, space: Space[P], seed: int = 0, budget: int | None = None, hint: Callable[[P], float] | None = None
) -> Strategy[P]:
    """A fresh strategy.

    Args:
        name: A name of the registry, with one of its options after a colon or without.
        space: What may be chosen.
        seed: Decides every draw.
        budget: About how many points will be asked for, as far as that is known.
        hint: A guess at how good a point is; see `Strategy.needs_hint`.

    Raises:
        InputError: There is no such strategy, it has no such option, or a package that it needs is not installed.

    Example:
        >>> from plait.fusion import FusionSpace
        >>> space = FusionSpace({"image": (1, 2), "sound": (1, 2, 3)})
        >>> len(make_strategy("genetic", space, seed=0, budget=100).ask(8))
        8
    """
    kind = strategy_kind(name)
    option = name.partition(":")[2]
    return kind(space, seed, budget, hint, option) if option else kind(space, seed, budget, hint)
