"""Every registered strategy keeps the contract of strategies; the contract refuses what does not."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch

from plait.search._base import Quality, Space
from plait.search.strategies import STRATEGIES
from plait.search.strategies.progressive import ProgressiveSearch
from plait.search.strategies.random import RandomSearch
from plait.search.surrogates import SURROGATES, forest, lstm
from plait.testing.strategies import (
    StrategyCase,
    StrategyQuestions,
    StrategyScores,
    StrategySeeds,
    Word,
    WordSpace,
    made_score,
)

SAMPLERS = ("nsgaii", "cmaes")
"""Samplers beside TPE that keep every law: unlike it they draw parameters together, and one knows amounts only."""

OPTIONS = [*(f"progressive:{name}" for name in SURROGATES if name != "forest"), *(f"optuna:{s}" for s in SAMPLERS)]
CASES = [StrategyCase(name) for name in (*STRATEGIES, *OPTIONS)]


def test_every_strategy_is_tried() -> None:
    assert {case.strategy.partition(":")[0] for case in CASES} == set(STRATEGIES)
    assert len(STRATEGIES) >= 7
    assert [kind for kind in STRATEGIES if STRATEGIES[kind].options()] == ["optuna", "progressive"]


def test_every_surrogate_is_tried() -> None:
    tried = {case.made().option for case in CASES if case.strategy.startswith("progressive")}
    assert tried == set(SURROGATES) == set(ProgressiveSearch.options())


class Registered:
    exempt: ClassVar[dict[str, dict[str, str]]] = {
        "test_other_seed": {"similarity": "it goes by the hint alone, and draws only where a level is too large"},
    }

    @pytest.fixture(params=CASES, ids=str)
    def case(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StrategyCase:
        monkeypatch.setattr(forest, "TREES", 8)  # how good a surrogate is does not matter here
        for name, value in {"STEPS": 4, "HIDDEN": 8}.items():
            monkeypatch.setattr(lstm, name, value)
        return request.param


class TestQuestions(Registered, StrategyQuestions):
    pass


class TestSeeds(Registered, StrategySeeds):
    pass


class TestScores(Registered, StrategyScores):
    pass


ELSEWHERE = """
import sys
from plait.testing.strategies import StrategyCase
for name in sys.argv[1:]:
    case = StrategyCase(name)
    print(name, case.questions(case.made(6, 4, seed=3, budget=60), 8, 5))
"""


def test_another_process_asks_the_same(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    command = [sys.executable, "-c", ELSEWHERE, *map(str, CASES)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    here = [f"{c} {c.questions(c.made(6, 4, seed=3, budget=60), 8, 5)}" for c in CASES]
    assert told.splitlines() == here


# The space of words is a space.


def test_the_made_space_keeps_the_protocol() -> None:
    space: Space[Word] = WordSpace(3, 3)
    points = list(space.points())
    rng = np.random.default_rng(0)
    assert len(set(points)) == len(points) == space.size() == 3 + 9 + 27
    assert [space.level(point) for point in points] == sorted(space.level(point) for point in points)
    assert {space.sample(rng) for _ in range(500)} == set(points)
    assert {space.sample(rng, 2) for _ in range(100)} == set(space.points(2))
    assert len({space.encode(point).tobytes() for point in points}) == len(points)
    choices = space.choices()
    for point in points:
        code = space.encode(point)
        assert code.shape == (space.levels, 1)
        assert all(code[row, 0] in (choices[row][0] if row < len(point) else (0,)) for row in range(space.levels))
        assert space.decode(code) == point
        near = space.neighbours(point)
        assert point not in near
        assert len(set(near)) == len(near)
        assert all(other in space and point in space.neighbours(other) for other in near if len(other) >= len(point))
        assert space.mutate(point, rng) in near
        assert space.crossover(point, points[-1], rng) in space
        assert len(space.grow(point, rng, 9)) == (3 if len(point) < 3 else 0)
    assert space.decode(np.zeros((3, 1), np.int64)) is None
    assert (3,) not in space
    assert () not in space


# Each of these breaks one law.


class Repeats(RandomSearch):
    def propose(self, count):
        return (list(self.asked)[:1] + self.unseen(count))[:count]


class Stutters(RandomSearch):
    def propose(self, count):
        found = self.unseen(count)
        return [found[0]] * len(found)


class Foreign(RandomSearch):
    def propose(self, count):
        return [(99, number) for number in range(len(self.asked), len(self.asked) + count)]


class GivesUp(RandomSearch):
    """Looks at the first level alone."""

    def propose(self, count):
        return self.unseen(count, 1)


class Greedy(RandomSearch):
    def ask(self, count):
        return super().ask(max(count, 3))


class Afraid(RandomSearch):
    """Has no answer where there is one point on a level."""

    def propose(self, count):
        return self.unseen(count) if self.space.size(1) > 1 else []


class GoesThrough(RandomSearch):
    def propose(self, count):
        assert self.space.size() < 10**6, "this would take for ever"
        return self.unseen(count)


class Unseeded(RandomSearch):
    numbers = itertools.count()

    def __init__(self, space, seed=0, budget=None, hint=None):
        super().__init__(space, next(self.numbers), budget, hint)


class Global(RandomSearch):
    def propose(self, count):
        np.random.random(1)
        return self.unseen(count)


class GlobalTorch(RandomSearch):
    def propose(self, count):
        torch.rand(1)
        return self.unseen(count)


class OneSeed(RandomSearch):
    def __init__(self, space, seed=0, budget=None, hint=None):
        super().__init__(space, 0, budget, hint)


class NeedsScores(RandomSearch):
    def learn(self, points, scores):
        assert all(score is not None for score in scores), "a score is missing"


class NeedsSpread(RandomSearch):
    def learn(self, points, scores):
        assert len(set(scores)) > 1 or len(scores) < 2, "all scores are the same"


class KeepsTheLast(RandomSearch):
    def tell(self, points, scores):
        for point, score in zip(points, scores, strict=True):
            if score is not None and np.isfinite(score):
                self.scores[point] = [score]


class WorstFirst(RandomSearch):
    def best(self, count):
        return super().best(len(self.scores))[::-1][:count]


class AsksAgain(RandomSearch):
    """Forgets what it asked for but was told nothing of."""

    def tell(self, points, scores):
        super().tell(points, scores)
        self.asked = {point: None for point in self.asked if point in self.scores}


class NotANumber(ProgressiveSearch):
    def learn(self, points, scores):
        self.quality.append(Quality(1, 3, float("nan")))


QUESTIONS, SEEDS, SCORES = StrategyQuestions(), StrategySeeds(), StrategyScores()
BROKEN = [
    (Repeats, lambda case: QUESTIONS.test_exhaustion(case, 5, 4, None)),
    (Stutters, lambda case: QUESTIONS.test_exhaustion(case, 5, 4, None)),
    (Foreign, lambda case: QUESTIONS.test_exhaustion(case, 5, 4, None)),
    (GivesUp, lambda case: QUESTIONS.test_exhaustion(case, 5, 4, None)),
    (Greedy, lambda case: QUESTIONS.test_exhaustion(case, 1, 2, None)),
    (GivesUp, QUESTIONS.test_more_than_there_are),
    (Greedy, QUESTIONS.test_none),
    (Afraid, lambda case: QUESTIONS.test_narrow_spaces(case, 1, 3, None)),
    (GoesThrough, QUESTIONS.test_large_space),
    (Unseeded, lambda case: SEEDS.test_same_seed(case, None)),
    (Global, SEEDS.test_global_generator),
    (GlobalTorch, SEEDS.test_global_generator),
    (OneSeed, SEEDS.test_other_seed),
    (NeedsScores, lambda case: SCORES.test_no_score(case, 2, None)),
    (NotANumber, lambda case: SCORES.test_no_score(case, 2, None)),
    (NeedsSpread, SCORES.test_same_scores),
    (KeepsTheLast, SCORES.test_repeated_scores),
    (WorstFirst, SCORES.test_best),
    (AsksAgain, SCORES.test_half_told),
]


@pytest.mark.parametrize(("strategy", "law"), BROKEN)
def test_broken_strategy(strategy, law, monkeypatch) -> None:
    monkeypatch.setitem(STRATEGIES._entries, "broken", strategy)
    law(StrategyCase("random"))  # the law can be kept
    with pytest.raises(AssertionError):
        law(StrategyCase("broken"))


def test_every_law_is_shown_to_fail() -> None:
    suites = (StrategyQuestions, StrategySeeds, StrategyScores)
    laws = {name for suite in suites for name in vars(suite) if name.startswith("test_")}
    shown = {name for _, law in BROKEN for name in (law.__name__, *law.__code__.co_names) if name.startswith("test_")}
    assert len(laws) == 13
    assert laws == shown


def test_the_made_score_can_be_learned_and_has_one_best_word() -> None:
    points = sorted(WordSpace().points(), key=made_score)
    assert points[-1] == (3, 3, 3)
    assert made_score(points[-2]) < made_score(points[-1])


@pytest.mark.parametrize("kind", [Repeats, Stutters])
def test_what_is_proposed_twice_is_asked_once(kind) -> None:
    strategy = kind(WordSpace(), 0)
    asked = [point for _ in range(4) for point in strategy.ask(5)]
    assert len(set(asked)) == len(asked) >= 4
