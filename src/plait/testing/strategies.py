"""The contract of search strategies, on a space that is no fusion space; a subclass gives the fixture `case`.

A law that a strategy does not keep, for a reason, is named in the subclass's `exempt`: {law: {strategy: reason}}.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from plait.search._base import Strategy
from plait.search.strategies import make_strategy

Word = tuple[int, ...]
BUDGETS = (None, 1, 20, 10_000)


class WordSpace:
    """Words over an alphabet of numbers: a small space that has what the protocol asks for, and nothing else.

    Args:
        letters: Size of the alphabet, one at least.
        levels: Letters of the longest word; a word's level is its number of letters.
    """

    def __init__(self, letters: int = 4, levels: int = 3) -> None:
        self._letters, self._levels = letters, levels

    @property
    def levels(self) -> int:
        """Letters of the longest word."""
        return self._levels

    def size(self, level: int | None = None) -> int:
        """How many words there are."""
        return sum(map(self.size, range(1, self._levels + 1))) if level is None else self._letters**level

    def points(self, level: int | None = None) -> Iterator[Word]:
        """All words, shorter ones first."""
        for length in range(1, self._levels + 1) if level is None else (level,):
            yield from itertools.product(range(self._letters), repeat=length)

    def sample(self, rng: np.random.Generator, level: int | None = None) -> Word:
        """A word drawn evenly."""
        number = int(rng.integers(self.size(level)))
        length = level or 1
        while level is None and number >= self.size(length):
            number -= self.size(length)
            length += 1
        return tuple(number // self._letters**place % self._letters for place in range(length))

    def level(self, point: Word) -> int:
        """Its number of letters."""
        return len(point)

    def neighbours(self, point: Word) -> list[Word]:
        """Another letter somewhere, the last letter less, or one more."""
        changed = [
            (*point[:at], letter, *point[at + 1 :])
            for at in range(len(point))
            for letter in range(self._letters)
            if letter != point[at]
        ]
        longer = [(*point, letter) for letter in range(self._letters)] if len(point) < self._levels else []
        return changed + ([point[:-1]] if len(point) > 1 else []) + longer

    def mutate(self, point: Word, rng: np.random.Generator) -> Word:
        """One of its neighbours."""
        near = self.neighbours(point)
        return near[int(rng.integers(len(near)))] if near else point

    def crossover(self, one: Word, other: Word, rng: np.random.Generator) -> Word:
        """Letters of both, each from either."""
        mixed = zip(one, (*other, *one[len(other) :]), strict=False)
        return tuple(pair[int(rng.integers(2))] for pair in mixed)

    def grow(self, point: Word, rng: np.random.Generator, most: int) -> list[Word]:
        """The word with one letter more."""
        longer = [(*point, letter) for letter in range(self._letters)] if len(point) < self._levels else []
        return [longer[i] for i in rng.permutation(len(longer))[:most]]

    def encode(self, point: Word) -> NDArray[np.int64]:
        """A row per letter, counted from 1."""
        return np.array([[*(letter + 1 for letter in point), *[0] * (self._levels - len(point))]], np.int64).T

    def choices(self) -> list[list[tuple[int, ...]]]:
        """Every letter, counted from 1, at every place."""
        return [[tuple(range(1, self._letters + 1))] for _ in range(self._levels)]

    def decode(self, numbers: NDArray[np.int64]) -> Word | None:
        """The letters up to the first that is missing."""
        word = tuple(itertools.takewhile(lambda letter: letter >= 0, (numbers[:, 0] - 1).tolist()))
        return word if word in self else None

    def __contains__(self, point: object) -> bool:
        return isinstance(point, tuple) and 1 <= len(point) <= self._levels and set(point) <= set(range(self._letters))


def made_score(point: Word) -> float:
    """A score that can be learned: large first letters, and a little for every further one."""
    return float(point[0] + 0.3 * sum(point[1:]) + 0.1 * len(point))


def made_hint(point: Word) -> float:
    """A guess at the score that is right about the first letter."""
    return float(point[0])


@dataclass(frozen=True)
class StrategyCase:
    """A strategy, by its name (with an option, as in `optuna:tpe`, or without), on a made space."""

    strategy: str

    def __str__(self) -> str:
        return self.strategy

    def made(self, letters: int = 4, levels: int = 3, seed: int = 0, budget: int | None = None) -> Strategy[Word]:
        """A fresh strategy over words."""
        return make_strategy(self.strategy, WordSpace(letters, levels), seed, budget, made_hint)

    def questions(
        self, strategy: Strategy[Word], rounds: int, count: int, score: Callable[[Word], float | None] = made_score
    ) -> list[Word]:
        """What it asks in some rounds of up to `count` points, told the scores after each."""
        found = []
        for _ in range(rounds):
            asked = strategy.ask(count)
            strategy.tell(asked, [score(point) for point in asked])
            found += asked
        return found


class StrategySuite:
    """Base of the suites.

    Attributes:
        exempt: Reasons by law and strategy, for laws that a strategy does not keep.
    """

    exempt: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    @pytest.fixture
    def case(self) -> StrategyCase:
        """The strategy under test; a subclass must give it."""
        raise NotImplementedError("give a fixture `case` that returns a StrategyCase")

    def skip_if_exempt(self, law: str, strategy: str) -> None:
        """Skip a law that the strategy does not keep, with the reason."""
        if strategy in self.exempt.get(law, {}):
            pytest.skip(f"{strategy}: {self.exempt[law][strategy]}")


class StrategyQuestions(StrategySuite):
    """It asks for points of the space, each once, until there are no more."""

    @pytest.mark.parametrize("budget", BUDGETS)
    @pytest.mark.parametrize(("count", "letters"), [(1, 2), (5, 4), (16, 4)])
    def test_exhaustion(self, case: StrategyCase, count: int, letters: int, budget: int | None) -> None:
        """As many points as are asked for, none twice, all of the space, then none; whatever the budget."""
        strategy, space = case.made(letters, budget=budget), WordSpace(letters)
        left = space.size()
        found: list[Word] = []
        while left:
            asked = self.asked(strategy, count)
            assert len(asked) == min(count, left), "it asks for another number of points than it may"
            left -= len(asked)
            found += asked
            assert strategy.is_exhausted == (left == 0)
            strategy.tell(asked, [made_score(point) for point in asked])
        assert len(set(found)) == len(found), "a point is asked for twice"
        assert set(found) == set(space.points())
        assert self.asked(strategy, count) == [], "it asks although nothing is left"

    def asked(self, strategy: Strategy[Word], count: int) -> list[Word]:
        """What a strategy asks and proposes, checked."""
        before = set(strategy.asked)
        proposed = strategy.propose(min(count, strategy.space.size() - len(before)))
        assert len(set(proposed)) == len(proposed), "a point is proposed twice at once"
        assert not before & set(proposed), "a point is proposed that was asked for before"
        asked = strategy.ask(count)
        for point in (*proposed, *asked):
            assert point in strategy.space, f"{point} is no point of the space"
        return asked

    def test_more_than_there_are(self, case: StrategyCase) -> None:
        """Asked for more points than there are, it gives all of them."""
        strategy = case.made()
        assert sorted(strategy.ask(10_000)) == sorted(WordSpace().points())
        assert strategy.ask(1) == []

    def test_none(self, case: StrategyCase) -> None:
        """Asked for no point, it gives none, and goes on as if nothing had been."""
        strategy = case.made()
        assert strategy.ask(0) == []
        assert len(strategy.ask(3)) == 3

    @pytest.mark.parametrize(("letters", "levels"), [(1, 1), (1, 3), (7, 1)])
    @pytest.mark.parametrize("budget", BUDGETS)
    def test_narrow_spaces(self, case: StrategyCase, letters: int, levels: int, budget: int | None) -> None:
        """Spaces of one point, of one point per level, and of one level are nothing special."""
        found = case.questions(case.made(letters, levels, budget=budget), 12, 2)
        assert sorted(found) == sorted(WordSpace(letters, levels).points())

    def test_large_space(self, case: StrategyCase) -> None:
        """A space too large to look at whole is asked without going through it."""
        strategy = case.made(9, 12, budget=60)
        found = case.questions(strategy, 6, 10)
        assert len(set(found)) == 60
        assert all(point in strategy.space for point in found)


class StrategySeeds(StrategySuite):
    """Questions go by seed and scores alone."""

    @pytest.mark.parametrize("budget", BUDGETS)
    def test_same_seed(self, case: StrategyCase, budget: int | None) -> None:
        """The same seed and scores give the same questions, whatever was drawn elsewhere."""
        one = case.questions(case.made(6, 4, seed=3, budget=budget), 8, 5)
        np.random.random(3)
        two = case.questions(case.made(6, 4, seed=3, budget=budget), 8, 5)
        assert one == two

    def test_global_generator(self, case: StrategyCase) -> None:
        """The global generators, of NumPy and of torch, are left alone."""
        before = np.random.get_state(legacy=False), torch.get_rng_state()
        case.questions(case.made(6, 4, budget=40), 8, 5)
        assert str(np.random.get_state(legacy=False)) == str(before[0])
        assert torch.equal(torch.get_rng_state(), before[1])

    def test_other_seed(self, case: StrategyCase) -> None:
        """Another seed gives other questions."""
        self.skip_if_exempt("test_other_seed", case.strategy)
        found = {tuple(case.questions(case.made(6, 4, seed=seed), 8, 5)) for seed in range(4)}
        assert len(found) == 4


class StrategyScores(StrategySuite):
    """Whatever it is told, it goes on."""

    @pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("often", [2, 1])
    def test_no_score(self, case: StrategyCase, often: int, nothing: float | None) -> None:
        """Points that could not be scored, some or all, do not stop it; they are never the best."""

        def score(point: Word) -> float | None:
            return nothing if sum(point) % often == 0 else made_score(point)

        strategy = case.made(budget=60)
        found = case.questions(strategy, 20, 5, score)
        assert sorted(found) == sorted(WordSpace().points())
        best = strategy.best(100)
        assert all(sum(point) % often for point in best)
        assert len(best) == sum(sum(point) % often != 0 for point in found)
        assert all(q.spearman is None or -1 <= q.spearman <= 1 for q in strategy.quality), "a quality is no number"

    def test_same_scores(self, case: StrategyCase) -> None:
        """Scores that are all the same do not stop it."""
        found = case.questions(case.made(budget=60), 20, 5, lambda point: 0.5)
        assert sorted(found) == sorted(WordSpace().points())

    def test_repeated_scores(self, case: StrategyCase) -> None:
        """Scores told again, in another round or the same, are all kept; the mean counts."""
        strategy = case.made()
        first, second = strategy.ask(2)
        strategy.tell([first, second, first], [1.0, 0.8, 0.0])
        assert strategy.best(1) == [second]
        strategy.tell([first], [3.0])
        assert strategy.scores[first] == [1.0, 0.0, 3.0]
        assert strategy.best(2) == [first, second]
        assert len(case.questions(strategy, 4, 5)) == 20

    def test_best(self, case: StrategyCase) -> None:
        """The best are those with the highest scores, the best first."""
        strategy = case.made(budget=40)
        found = case.questions(strategy, 8, 5)
        assert strategy.best(0) == []
        told: Sequence[float] = [made_score(point) for point in strategy.best(7)]
        assert told == sorted(map(made_score, found), reverse=True)[:7]

    def test_half_told(self, case: StrategyCase) -> None:
        """A round that was cut short leaves points without a score; they are not asked for again."""
        strategy = case.made(budget=60)
        found: list[Word] = []
        for _ in range(20):
            asked = strategy.ask(5)
            strategy.tell(asked[:2], [made_score(point) for point in asked[:2]])
            found += asked
        assert sorted(found) == sorted(WordSpace().points())
