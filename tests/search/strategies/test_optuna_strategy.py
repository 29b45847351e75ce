"""Samplers of Optuna as strategies: they learn, they are quiet, they are told all that is known."""

from __future__ import annotations

import builtins
import logging
import warnings
from collections import Counter

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from plait.exceptions import InputError
from plait.fusion import FusionSpace
from plait.search.strategies import make_strategy, strategy_problem
from plait.search.strategies.optuna import CONDITIONAL, NUMERIC, TRIES, OptunaSearch
from plait.testing.strategies import Word, WordSpace, made_score

SAMPLERS = ("tpe", "cmaes", "gp", "nsgaii", "nsgaiii", "qmc", "random")
SPACE = WordSpace(6, 4)


def searched(strategy, budget: int, score=made_score, batch: int = 8) -> list:
    while len(strategy.asked) < budget:
        asked = strategy.ask(min(batch, budget - len(strategy.asked)))
        strategy.tell(asked, [score(point) for point in asked])
    return list(strategy.asked)


def test_samplers_that_need_nothing_but_a_seed_are_offered() -> None:
    assert OptunaSearch.options() == SAMPLERS
    assert {*CONDITIONAL, *NUMERIC} < {*SAMPLERS}


@pytest.mark.parametrize("name", SAMPLERS)
def test_questions_are_points_of_the_space_asked_once(name) -> None:
    """Also of a space in which few numbers are a point's encoding; the same seed asks the same."""
    space = FusionSpace({"a": (0, 2), "b": (1,), "c": (0, 1)}, max_sources=3)
    budget = 24 if name == "gp" else 60

    def score(point) -> float | None:
        return None if str(point).count("relu") == 2 else len(str(point)) / 100

    asked = searched(make_strategy(f"optuna:{name}", space, 4, budget), budget, score)
    assert len(set(asked)) == budget
    assert all(point in space for point in asked)
    assert {len(point.cells) for point in asked} == {1, 2, 3}
    assert asked == searched(make_strategy(f"optuna:{name}", space, 4, budget), budget, score)
    assert asked != searched(make_strategy(f"optuna:{name}", space, 5, budget), budget, score)


@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsgaii"])
def test_it_learns(name) -> None:
    """The last words of 120 are better than the first by more than chance, whose deviation is 0.2."""
    gains = []
    for seed in range(5):
        scores = [made_score(point) for point in searched(make_strategy(f"optuna:{name}", SPACE, seed, 120), 120)]
        gains.append(np.mean(scores[-40:]) - np.mean(scores[:12]))
    assert np.mean(gains) > 0.6


@pytest.mark.parametrize("text", ["optuna", "optuna:tpe", "optuna:TPE", "optuna:TPESampler", "optuna:tpesampler"])
def test_samplers_by_any_of_their_names(text) -> None:
    strategy = make_strategy(text, SPACE)
    assert isinstance(strategy, OptunaSearch)
    assert strategy.option == "tpe"
    assert isinstance(strategy._study.sampler, optuna.samplers.TPESampler)


@pytest.mark.parametrize(("text", "near"), [("tpee", "did you mean tpe"), ("grid", "known: cmaes")])
def test_an_unknown_sampler_is_told(text, near) -> None:
    assert near in str(strategy_problem(f"optuna:{text}"))
    with pytest.raises(InputError, match=f"strategy is 'optuna:{text}'; after the colon, {near}"):
        make_strategy(f"optuna:{text}", SPACE)
    with pytest.raises(InputError, match=f"OptunaSearch has no option '{text}'"):
        OptunaSearch(SPACE, option=text)


@pytest.mark.parametrize("text", ["optuna", "optuna:tpe"])
def test_without_optuna_the_install_line_is_told(monkeypatch, text) -> None:
    real = builtins.__import__

    def no_optuna(name, *args, **kwargs):
        if name.partition(".")[0] == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_optuna)
    with pytest.raises(InputError, match=r"Optuna is not installed: pip install 'plait\[search\]'\.$"):
        make_strategy(text, SPACE)
    with pytest.raises(InputError, match="pip install"):
        OptunaSearch(SPACE)


def test_nothing_is_said_and_no_setting_is_left_changed(capfd) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for name in ("tpe", "cmaes", "qmc", "nsgaiii"):
                searched(make_strategy(f"optuna:{name}", SPACE, 0, 20), 20)
        assert not told
        assert optuna.logging.get_verbosity() == logging.DEBUG
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsgaii"])
def test_the_sampler_is_told_every_score(name) -> None:
    """Of points that it drew, drew again, did not draw, and of such as have no score."""
    space = WordSpace(3, 2)
    strategy = make_strategy(f"optuna:{name}", space, 0, 12)

    def score(point: Word) -> float | None:
        return None if point[0] == 1 else made_score(point)

    assert len(searched(strategy, 12, score, batch=4)) == space.size()
    trials = strategy._study.get_trials()
    states = Counter(trial.state for trial in trials)
    assert states[TrialState.RUNNING] == 0
    assert len(trials) > 12
    told = {(strategy._point(optuna.trial.FixedTrial(t.params)), t.value) for t in trials if t.value is not None}
    assert told == {(point, made_score(point)) for point in space.points() if point[0] != 1}
    assert states[TrialState.FAIL]


def test_a_score_told_again_counts_as_another() -> None:
    strategy = make_strategy("optuna", SPACE, 0)
    asked = strategy.ask(3)
    strategy.tell([*asked, asked[0]], [1.0, 2.0, 3.0, 5.0])
    strategy.tell(asked[:1], [0.0])
    assert sorted(trial.value for trial in strategy._study.get_trials()) == [0.0, 1.0, 2.0, 3.0, 5.0]


def test_the_known_score_is_told_of_a_point_that_is_drawn_again() -> None:
    strategy = make_strategy("optuna:random", WordSpace(2, 1), 0)
    (first,) = strategy.ask(1)
    strategy.tell([first], [7.0])
    strategy.tell([first], [8.0])
    strategy.ask(1)
    strategy.ask(1)
    drawn = [t for t in strategy._study.get_trials() if t.value == 7.5]
    assert all(trial.params["0.0"] - 1 == first[0] for trial in drawn)
    assert len(strategy.asked) == 2


@pytest.mark.parametrize(("name", "whole"), [("tpe", False), ("random", False), ("nsgaii", True), ("cmaes", True)])
def test_parameters_of_levels_that_are_not_there(name, whole) -> None:
    """Are left out for samplers that draw every parameter for itself."""
    strategy = make_strategy(f"optuna:{name}", SPACE, 0)
    asked = strategy.ask(20)
    for trial in strategy._study.get_trials():
        assert set(trial.params) == {"level", *(f"{row}.0" for row in range(4 if whole else trial.params["level"]))}
    assert {len(point) for point in asked} == {1, 2, 3, 4}


def test_a_sampler_that_draws_the_same_is_helped_out() -> None:
    class Stuck(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            return 1

    strategy = make_strategy("optuna:tpe", SPACE, 0)
    strategy._study.sampler = Stuck()
    asked = strategy.ask(5)
    assert len(set(asked)) == 5
    assert (0,) in asked
    assert len(strategy._study.get_trials()) == 1 + TRIES
    strategy.tell(asked, [made_score(point) for point in asked])
    assert {trial.state for trial in strategy._study.get_trials()} == {TrialState.COMPLETE}
    assert len(strategy._study.get_trials()) == 1 + TRIES + 4
