"""Genetic search: better than chance, by ranks alone; the best are never lost, and children know their parents."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from plait.search.strategies import genetic, make_strategy
from plait.search.strategies.genetic import GeneticSearch, population_size
from plait.testing.strategies import Word, WordSpace, made_score

NEEDLE = (3, 1, 4, 1, 5, 2)
SPACE = WordSpace(6, 6)


def near_needle(point: Word) -> float:
    """One for every letter that is right, less a half for every place that is too many or missing."""
    return sum(a == b for a, b in zip(point, NEEDLE, strict=False)) - 0.5 * abs(len(point) - len(NEEDLE))


def searched(name: str, seed: int, budget: int, score=near_needle, space=SPACE, batch: int = 16):
    strategy = make_strategy(name, space, seed, budget)
    while len(strategy.asked) < budget:
        asked = strategy.ask(min(batch, budget - len(strategy.asked)))
        strategy.tell(asked, [score(point) for point in asked])
    return strategy


def top(name: str, budget: int, score, space=SPACE) -> np.ndarray:
    """The mean score of the best five, by seed."""
    found = [searched(name, seed, budget, score, space) for seed in range(5)]
    return np.array([np.mean([score(point) for point in one.best(5)]) for one in found])


@pytest.mark.parametrize("score", [near_needle, made_score])
def test_it_finds_better_points_than_random_search(score) -> None:
    """In mean over five seeds, with 120 of 55,986 words."""
    assert SPACE.size() == 55_986
    guided, random = top("genetic", 120, score), top("random", 120, score)
    assert guided.mean() > random.mean() + 0.5
    assert (guided > random).sum() >= 4


def test_the_needle_is_found_with_a_hundredth_of_the_space() -> None:
    found = [NEEDLE in searched("genetic", seed, 560).asked for seed in range(5)]
    assert sum(found) >= 4


def test_there_is_nothing_to_gain_where_scores_say_nothing() -> None:
    def noise(point: Word) -> float:
        return float(np.random.default_rng(point).normal())

    guided, random = top("genetic", 120, noise), top("random", 120, noise)
    assert abs(guided.mean() - random.mean()) < 0.5


@pytest.mark.parametrize("budget", [None, 1, 3, 40, 1000])
def test_the_first_population_has_as_many_of_every_level_as_there_are(budget) -> None:
    space = WordSpace(4, 3)
    strategy = GeneticSearch(space, 0, budget)
    first = [p for _ in range(population_size(budget)) for p in strategy.ask(1)]
    levels = Counter(map(len, first))
    wanted = {1: 4, 2: 13, 3: 13} if budget is None else {1: 4, 2: 16, 3: 30} if budget == 1000 else {1: 2, 2: 1, 3: 1}
    assert levels == wanted
    assert strategy.parents == {}


@pytest.mark.parametrize(("budget", "size"), [(None, 30), (0, 4), (40, 4), (200, 20), (10**6, 50)])
def test_population_sizes(budget, size) -> None:
    assert population_size(budget) == size


def test_the_best_is_never_lost() -> None:
    """However long ago it was, and however bad all that came since."""
    strategy = GeneticSearch(SPACE, 0, 40)
    first = strategy.ask(4)
    strategy.tell(first, [3.0, 2.0, 1.0, 0.0])
    for _ in range(20):
        asked = strategy.ask(4)
        strategy.tell(asked, [-1.0] * len(asked))
        population = strategy.population()
        assert population[:2] == first[:2]
        assert set(population[2:]) <= {*first, *list(strategy.scores)[-4:]}
        assert len(population) <= 6
    assert first[3] not in strategy.population()


def test_children_know_their_parents() -> None:
    strategy = searched("genetic", 0, 120)
    asked = list(strategy.asked)
    place = {point: number for number, point in enumerate(asked)}
    first = population_size(120)
    assert not set(asked[:first]) & set(strategy.parents)
    children = [point for point in asked[first:] if point in strategy.parents]
    assert len(children) > 0.9 * (120 - first)
    for child in children:
        assert 1 <= len(set(strategy.parents[child])) == len(strategy.parents[child]) <= 2
        assert all(place[parent] < place[child] and parent in strategy.scores for parent in strategy.parents[child])
    counts = Counter(len(strategy.parents[child]) for child in children)
    assert min(counts.values()) > 20


def test_better_points_have_more_children() -> None:
    strategy = searched("genetic", 1, 200)
    parents = Counter(parent for some in strategy.parents.values() for parent in some)
    ranked = strategy.best(200)
    assert sum(parents[p] for p in ranked[:50]) > 3 * sum(parents[p] for p in ranked[-50:])


def test_only_ranks_count() -> None:
    plain = searched("genetic", 2, 100, made_score)
    bent = searched("genetic", 2, 100, lambda point: float(np.exp(3 * made_score(point))) - 7)
    assert list(plain.asked) == list(bent.asked)


def test_points_without_score_are_no_parents() -> None:
    strategy = searched("genetic", 0, 80, lambda point: made_score(point) if sum(point) % 2 else None)
    parents = {parent for some in strategy.parents.values() for parent in some}
    assert parents
    assert all(sum(parent) % 2 for parent in parents)


def test_mutation_alone_and_crossover_alone_work(monkeypatch) -> None:
    for share in (0.0, 1.0):
        monkeypatch.setattr(genetic, "CROSSOVER", share)
        counts = Counter(len(parents) for parents in searched("genetic", 0, 80).parents.values())
        assert counts.most_common(1)[0][0] == (2 if share else 1)
