"""Exhaustive search: every level whole before the next, in an order of the seed, whatever the size of the space."""

from __future__ import annotations

import itertools

from plait.search.strategies import exhaustive
from plait.search.strategies.exhaustive import ExhaustiveSearch
from plait.testing.strategies import WordSpace


class Counted(WordSpace):
    """Counts the points that were made."""

    made = 0

    def points(self, level=None):
        for point in super().points(level):
            self.made += 1
            yield point


def test_level_by_level_in_an_order_of_the_seed() -> None:
    space = WordSpace(4, 3)
    orders = [[p for _ in range(20) for p in ExhaustiveSearch(space, seed).ask(84)][:84] for seed in (0, 1)]
    for order in orders:
        assert [len(point) for point in order] == [1] * 4 + [2] * 16 + [3] * 64
        assert sorted(order) == sorted(space.points())
        assert order != list(space.points())
    assert orders[0] != orders[1]


def test_the_order_does_not_go_by_how_many_are_asked_for() -> None:
    strategies = [ExhaustiveSearch(WordSpace(), 5) for _ in range(2)]
    assert [p for _ in range(28) for p in strategies[0].ask(3)] == [p for _ in range(12) for p in strategies[1].ask(7)]


def test_a_huge_space_is_never_listed() -> None:
    space = Counted(100, 6)
    assert space.size() > 10**12
    strategy = ExhaustiveSearch(space, 0)
    asked = [point for _ in range(30) for point in strategy.ask(10)]
    assert len(set(asked)) == 300
    assert {len(point) for point in asked} == {1, 2}
    assert space.made <= 100 + exhaustive.BLOCK


def test_blocks_are_all_of_a_level(monkeypatch) -> None:
    monkeypatch.setattr(exhaustive, "BLOCK", 5)
    space = WordSpace(4, 2)
    strategy = ExhaustiveSearch(space, 0)
    asked = list(itertools.chain.from_iterable(strategy.ask(3) for _ in range(9)))
    assert sorted(asked) == sorted(space.points())
    assert {*asked[4:9]} == {*list(space.points(2))[:5]}


def test_what_was_asked_for_elsewhere_is_left_out() -> None:
    strategy = ExhaustiveSearch(WordSpace(), 0)
    strategy.asked |= {(0,): None, (1, 1): None}
    asked = [point for _ in range(9) for point in strategy.ask(10)]
    assert len(asked) == 82
    assert not {(0,), (1, 1)} & set(asked)
