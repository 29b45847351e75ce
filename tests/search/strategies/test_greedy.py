"""Greedy growth: the hint says where to begin and which children come first, scores say whose children."""

from __future__ import annotations

import numpy as np
import pytest

from plait.search.strategies import greedy
from plait.search.strategies.greedy import GreedySearch
from plait.search.strategies.random import RandomSearch
from plait.testing.strategies import Word, WordSpace, made_score


def searched(strategy, budget: int, score=made_score, batch: int = 8) -> list[Word]:
    while len(strategy.asked) < budget:
        asked = strategy.ask(min(batch, budget - len(strategy.asked)))
        strategy.tell(asked, [score(point) for point in asked])
    return list(strategy.asked)


@pytest.mark.parametrize(("budget", "first"), [(None, 9), (1, 1), (16, 4), (1000, 9)])
def test_the_simple_points_with_the_highest_hint_come_first(budget, first) -> None:
    space = WordSpace(9, 3)
    asked = GreedySearch(space, 0, budget, lambda point: -float(point[0])).ask(first)
    assert asked == [(letter,) for letter in range(first)]


def test_children_of_the_best_come_in_the_order_of_the_hint() -> None:
    """The score decides for (2,) and its likes, the hint for small last letters."""
    strategy = GreedySearch(WordSpace(5, 3), 0, 20, lambda point: -float(point[-1]) + len(point))
    first = strategy.ask(5)
    assert first[:4] == [(0,), (1,), (2,), (3,)]
    strategy = GreedySearch(WordSpace(5, 3), 0, 20, lambda point: -float(point[-1]) + len(point))
    first = strategy.ask(5 - 0)[:5]
    strategy.tell(first, [1.0 if point == (2,) else None for point in first])
    found = strategy.ask(4)
    assert found == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert not strategy.parents, "scores of trainings of different length could not be compared"


def test_where_the_hint_knows_nothing_the_order_goes_by_the_seed() -> None:
    found = {tuple(searched(GreedySearch(WordSpace(6, 4), seed, 40, lambda point: 0.0), 40)) for seed in range(4)}
    assert len(found) == 4


@pytest.mark.parametrize("hint", [lambda point: float(point[0]), lambda point: 0.0])
def test_it_finds_better_points_than_random_search(hint) -> None:
    space = WordSpace(6, 5)

    def top(strategy) -> float:
        return float(np.mean(sorted(map(made_score, searched(strategy, 80)))[-5:]))

    guided = [top(GreedySearch(space, seed, 80, hint)) for seed in range(5)]
    random = [top(RandomSearch(space, seed, 80)) for seed in range(5)]
    assert np.mean(guided) > np.mean(random) + 0.5


def test_a_wrong_hint_is_made_good_by_scores() -> None:
    """What the hint likes best is worst; scores lead away from it all the same."""
    asked = searched(GreedySearch(WordSpace(6, 4), 0, 120, lambda point: -made_score(point)), 120)
    assert np.mean([made_score(p) for p in asked[-20:]]) > np.mean([made_score(p) for p in asked[:20]]) + 1


def test_more_parents_give_more_to_choose_from(monkeypatch) -> None:
    strategy = GreedySearch(WordSpace(6, 3), 0, 24, lambda point: 0.0)
    searched(strategy, 12)
    counts = []
    for count in (1, 3):
        monkeypatch.setattr(greedy, "PARENTS", count)
        counts.append(len(strategy._near()))
    assert counts[0] < counts[1]
