"""Strategies by name, with and without an option; what is wrong with a name is told."""

from __future__ import annotations

import pytest

from plait.exceptions import InputError, Problems
from plait.pipeline.options import FitOptions
from plait.search.strategies import STRATEGIES, make_strategy, strategy_kind, strategy_problem
from plait.testing.strategies import WordSpace, made_hint

RIGHT = [*STRATEGIES, "progressive:forest", "progressive:lstm", "optuna:tpe", "optuna:NSGAIISampler"]
WRONG = {
    "progresive": "did you mean progressive? (known: exhaustive, genetic, greedy, optuna, progressive, random, simil",
    "": "known: exhaustive, genetic",
    "progressive:lsmt": "after the colon, did you mean lstm? (known: forest, lstm)",
    "progressive:": "after the colon, known: forest, lstm",
    "random:tpe": "random has no options; leave out ':tpe'",
    "random:": "random has no options; leave out ':'",
    "tpe": "known: exhaustive",
    "optuna:grid": "after the colon, known: cmaes, gp, nsgaii",
    "optuna:tpe:2": "after the colon, did you mean tpe?",
}


@pytest.mark.parametrize("name", RIGHT)
def test_names(name) -> None:
    assert strategy_problem(name) is None
    assert strategy_kind(name) is STRATEGIES[name.partition(":")[0]]
    strategy = make_strategy(name, WordSpace(), 3, 20, made_hint)
    assert type(strategy) is strategy_kind(name)
    assert (strategy.budget, strategy.hint) == (20, made_hint)
    assert strategy.option in (*strategy.options(), "")
    assert len(strategy.ask(3)) == 3


@pytest.mark.parametrize("name", WRONG)
def test_wrong_names(name) -> None:
    problem = strategy_problem(name)
    assert problem is not None
    assert WRONG[name] in problem
    with pytest.raises(InputError) as told:
        strategy_kind(name)
    assert str(told.value) == f"strategy is {name!r}; {problem}."
    with pytest.raises(InputError):
        make_strategy(name, WordSpace(), hint=made_hint)
    problems = Problems()
    FitOptions("table.csv", strategy=name).check(problems)
    assert problems.found == [f"--strategy is {name!r}; {problem}."]


def test_the_default_option_is_the_same_as_none() -> None:
    for name, option in (("progressive", "forest"), ("optuna", "tpe")):
        one, two = make_strategy(name, WordSpace(), 1), make_strategy(f"{name}:{option}", WordSpace(), 1)
        assert one.option == two.option == option
        assert one.ask(9) == two.ask(9)


def test_an_option_of_a_strategy_without_any_is_refused() -> None:
    with pytest.raises(InputError, match="RandomSearch has no option 'x'; known: none"):
        STRATEGIES["random"](WordSpace(), option="x")
