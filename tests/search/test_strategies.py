"""What each strategy is for: progressive search learns and goes deeper, similarity goes by its hint."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from plait.fusion import Architecture, FusionSpace
from plait.search._base import Quality
from plait.search.strategies import STRATEGIES, hinted, make_strategy, progressive
from plait.search.strategies.progressive import ProgressiveSearch
from plait.search.strategies.random import RandomSearch
from plait.search.strategies.similarity import SimilaritySearch
from plait.testing.strategies import WordSpace, made_hint, made_score

BATCH = 16
LAYERS = {"a": (1, 2, 3, 4), "b": (1, 2, 3, 4), "c": (1, 2, 3)}
WORTH = {
    "a": (0.2, 1.0, -0.8, -0.4),
    "b": (-0.8, 0.2, -0.4, 1.0),
    "c": (-0.4, 1.0, -0.8),
}


def space_of(cells: int = 2) -> FusionSpace:
    """374 architectures of one cell, 148,104 of two."""
    return FusionSpace(LAYERS, operations=("concat", "product"), max_cells=cells)


def planted(point: Architecture) -> float:
    """Every source, operation and activation has a worth of its own."""
    worth = 0.0
    for cell in point.cells:
        worth += 0.5 * (cell.operation == "product") + 0.3 * (cell.activation == "tanh") - 0.1
        worth += sum(WORTH[s.modality][s.layer - 1] for s in cell.sources if s.modality and s.layer)
    return worth


def noise(point: Architecture) -> float:
    """Nothing to learn: the same number for a point each time, and no other point tells it."""
    return float(np.random.default_rng(list(str(point).encode())).normal())


def search(
    name: str, seed: int, budget: int, score: Callable[[Architecture], float] = planted, cells: int = 2
) -> tuple[list[Architecture], list[Quality]]:
    """What a strategy asks for in batches of 16, and its quality."""
    strategy, asked = make_strategy(name, space_of(cells), seed, budget), []
    while len(asked) < budget:
        batch = strategy.ask(min(BATCH, budget - len(asked)))
        strategy.tell(batch, [score(point) for point in batch])
        asked += batch
    return asked, strategy.quality


@cache
def planted_search(name: str, seed: int) -> tuple[list[Architecture], list[Quality]]:
    return search(name, seed, 96)


# Progressive search


@pytest.mark.parametrize("budget", [None, 60, 1000])
def test_level_one_comes_first_and_whole_where_the_budget_allows(budget) -> None:
    space = WordSpace(5, 3)
    strategy = ProgressiveSearch(space, 0, budget)
    asked = []
    for _ in range(10):
        batch = strategy.ask(4)
        strategy.tell(batch, [made_score(point) for point in batch])
        asked += batch
    assert sorted(asked[:5]) == sorted(space.points(1))
    assert all(len(point) > 1 for point in asked[5:])
    assert {len(point) for point in asked} == {1, 2, 3}


def test_level_one_takes_a_quarter_of_a_budget_too_small_for_it() -> None:
    asked, _ = planted_search("progressive", 0)
    levels = [len(point.cells) for point in asked]
    assert levels[:24] == [1] * 24
    assert levels[24:40].count(1) < 16
    assert levels.count(2) > 24


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_tiny_budgets_look_at_level_one_first(budget) -> None:
    strategy = ProgressiveSearch(WordSpace(5, 3), 0, budget)
    assert [len(point) for point in strategy.ask(1)] == [1]


def test_a_budget_known_later_counts_from_then_on() -> None:
    strategy = ProgressiveSearch(WordSpace(9, 3), 0, None)
    first = strategy.ask(4)
    strategy.tell(first, [made_score(point) for point in first])
    assert [len(point) for point in first] == [1] * 4
    strategy.budget = 40
    asked = [len(point) for point in strategy.ask(8)]
    assert asked[:5] == [1] * 5, "five of level one are left, and a quarter of the budget is more"
    assert min(asked[5:]) > 1


def test_children_and_neighbours_of_the_best_are_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(progressive, "DRAWN", 0)
    space = WordSpace(6, 2)
    strategy = ProgressiveSearch(space, 0, None)
    first = strategy.ask(6)
    strategy.tell(first, [made_score(point) if point == (5,) else None for point in first])  # one parent only
    assert {point[0] for point in strategy.ask(6)} == {5}


def test_points_that_no_good_one_contains_are_looked_at_too() -> None:
    strategy = ProgressiveSearch(WordSpace(6, 3), 0, 40)
    first = strategy.ask(6)
    strategy.tell(first, [made_score(point) if point == (5,) else None for point in first])  # one parent only
    asked = strategy.ask(30)
    assert {point[0] for point in asked} > {5}
    assert {len(point) for point in asked} >= {2, 3}


def test_it_finds_better_points_than_random_search() -> None:
    """Five seeds, equal budgets: the mean of the best five of 96 points among 148,478."""
    assert space_of().size() == 374 + 148_104

    def top(name: str) -> np.ndarray:
        found = [sorted(map(planted, planted_search(name, seed)[0]))[-5:] for seed in range(5)]
        return np.mean(found, axis=1)

    guided, random = top("progressive"), top("random")
    assert guided.mean() > random.mean() + 1.0
    assert (guided > random).all()


def test_random_search_is_no_better_than_its_level() -> None:
    """The planted score has no advantage for what random search draws."""
    asked, quality = planted_search("random", 0)
    assert quality == []
    assert np.mean([planted(point) for point in asked]) < 2


def test_quality_is_told_of_every_batch_that_was_foretold() -> None:
    _, quality = planted_search("progressive", 0)
    assert [(one.after, one.asked) for one in quality] == [(16, 8), (32, 16), (48, 16), (64, 16), (80, 16)]
    assert all(one.spearman is not None and -1 <= one.spearman <= 1 for one in quality)


def test_quality_is_high_where_there_is_something_to_learn_and_low_where_not() -> None:
    learned = [one.spearman for seed in range(5) for one in planted_search("progressive", seed)[1]]
    nothing = [one.spearman for seed in range(3) for one in search("progressive", seed, 96, noise)[1]]
    assert np.mean(learned) > 0.3
    assert abs(np.mean(nothing)) < 0.2
    assert np.mean(learned) > np.mean(nothing) + 0.2


def test_quality_counts_what_was_learned_from_and_what_was_foretold() -> None:
    """In a batch with points of level one too, those were not foretold, and nothing was learned from them before."""
    strategy = ProgressiveSearch(WordSpace(6, 3), 0, None)
    first = strategy.ask(4)
    strategy.tell(first, [made_score(point) for point in first])
    mixed = strategy.ask(7)
    assert [len(point) == 1 for point in mixed] == [True, True, *[False] * 5]
    strategy.tell(mixed, [made_score(point) for point in mixed])
    assert [(one.after, one.asked) for one in strategy.quality] == [(4, 5)]


@pytest.mark.parametrize(
    ("scores", "spearman"), [((1.0, 2.0, 3.0, 4.0), 1.0), ((4.0, 3.0, 2.0, 1.0), -1.0), ((1.0, 2.0), None)]
)
def test_quality_is_a_rank_correlation(scores, spearman) -> None:
    found = progressive._spearman(tuple(value**3 for value in sorted(scores)), scores)
    assert found == (None if spearman is None else pytest.approx(spearman))


def test_quality_is_unknown_where_all_scores_are_the_same() -> None:
    assert progressive._spearman((1.0, 2.0, 3.0), (1.0, 1.0, 1.0)) is None
    assert progressive._spearman((1.0, 1.0, 1.0), (1.0, 2.0, 3.0)) is None


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.0625, 0.0), (1024.0, 0.0), (4.0, 16.0), (2**-10, 0.5)])
def test_scores_in_another_unit_give_the_same_questions(scale, shift) -> None:
    """Accuracies that differ in the third place are told apart as well as losses in the hundreds."""
    dyadic = {point: round(planted(point) * 4) / 4 for point in planted_search("progressive", 0)[0]}
    assert len(set(dyadic.values())) > 5

    def rounded(point: Architecture) -> float:
        return round(planted(point) * 4) / 4

    plain, _ = search("progressive", 0, 80, rounded)
    other, _ = search("progressive", 0, 80, lambda point: scale * rounded(point) + shift)
    assert other == plain


def test_every_score_counts_not_the_highest_one(monkeypatch) -> None:
    """Two points, one with a lucky score: the surrogate learns from means."""
    seen = []

    class Forest(RandomForestRegressor):
        def fit(self, inputs, targets):
            seen.append(list(targets))
            return super().fit(inputs, targets)

    monkeypatch.setattr("sklearn.ensemble.RandomForestRegressor", Forest)
    strategy = ProgressiveSearch(WordSpace(3, 2), 0, None)
    first = strategy.ask(3)
    strategy.tell([*first, first[0]], [1.0, 0.5, 0.2, 0.0])
    strategy.ask(2)
    assert seen == [[0.5, 0.5, 0.2]]


def test_temperature_falls_with_the_budget() -> None:
    strategy = ProgressiveSearch(WordSpace(9, 3), 0, 40)
    told = []
    for _ in range(5):
        told.append(strategy._temperature())
        strategy.tell(asked := strategy.ask(10), [made_score(point) for point in asked])
    assert told == sorted(told, reverse=True)
    assert (told[0], told[-1]) == (progressive.HOT, pytest.approx(progressive.COLD))


# Random search


def test_random_search_draws_evenly() -> None:
    space = WordSpace(3, 2)
    counts = dict.fromkeys(space.points(), 0)
    for seed in range(600):
        counts[RandomSearch(space, seed).ask(1)[0]] += 1
    assert min(counts.values()) > 25
    assert max(counts.values()) < 80


# Similarity


def test_the_highest_hint_comes_first_level_by_level() -> None:
    space = WordSpace(5, 2)
    strategy = SimilaritySearch(space, 0, None, made_score)
    asked = [point for _ in range(10) for point in strategy.ask(3)]
    by_level = [sorted(space.points(level), key=lambda point: -made_score(point)) for level in (1, 2)]
    assert asked[:5] == by_level[0]
    assert [made_score(point) for point in asked[5:]] == [made_score(point) for point in by_level[1]]


def test_scores_do_not_change_what_similarity_asks() -> None:
    one, two = (SimilaritySearch(WordSpace(5, 2), 0, None, made_hint) for _ in range(2))
    for sign in (1, -1, 1):
        first, second = one.ask(4), two.ask(4)
        assert first == second
        one.tell(first, [made_score(point) for point in first])
        two.tell(second, [sign * -made_score(point) for point in second])


def test_a_level_too_large_to_look_at_is_climbed(monkeypatch) -> None:
    monkeypatch.setattr(hinted, "LOOKED_AT", 20)
    space = FusionSpace(LAYERS, operations=("concat", "product"), max_cells=1)
    assert space.size() > 300
    best = max(space, key=planted)
    for seed in range(5):
        looked: dict[Architecture, None] = {}

        def hint(point, looked=looked):
            looked[point] = None
            return planted(point)

        assert SimilaritySearch(space, seed, None, hint).ask(1) == [best]
        assert len(looked) < 150


def test_a_level_too_large_to_look_at_is_exhausted_all_the_same(monkeypatch) -> None:
    monkeypatch.setattr(hinted, "LOOKED_AT", 3)
    space = WordSpace(5, 2)
    strategy = SimilaritySearch(space, 0, None, made_hint)
    asked = [point for _ in range(20) for point in strategy.ask(3)]
    assert sorted(asked) == sorted(space.points())
    assert [len(point) for point in asked] == sorted(len(point) for point in asked)
    assert asked[0] == (4,)


def test_a_strategy_that_goes_by_a_hint_is_given_one() -> None:
    with pytest.raises(ValueError, match="SimilaritySearch goes by a hint and was given none"):
        SimilaritySearch(WordSpace())
    assert [name for name in STRATEGIES if STRATEGIES[name].needs_hint] == ["greedy", "similarity"]
