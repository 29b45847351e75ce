"""Genetic search: parents that win tournaments, their children, and the best of all kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

from plait.search._base import STRATEGIES, P, Strategy

TOURNAMENT = 4
"""Members of the population that are drawn for one parent; the best of them is it."""

CROSSOVER = 0.5
MUTATION = 0.2
"""How many children have two parents, and how many of these are mutated besides; all others are mutated."""

ELITE = 0.5
TRIES = 8


def population_size(budget: int | None) -> int:
    """A tenth of the budget, but 4 members at least and 50 at most; 30 where the budget is not known."""
    return 30 if budget is None else min(50, max(4, budget // 10))


@STRATEGIES.register("genetic")
class GeneticSearch(Strategy[P]):
    """Children of good points, by crossover and mutation (Holland 1975; Goldberg & Deb 1991 for tournaments).

    The first population is drawn evenly from every level, so that simple points are in it. From then on the population
    is the last points that were scored, as in regularised evolution (Real et al. 2019), and with them half as many of
    the best ever seen, so that nothing good is lost. There are no generations to wait for: points may be asked for in
    any number. Only ranks count, never by how much a score is higher. A child that was asked for before is mutated on;
    after some tries points are drawn evenly.

    `parents` has the parents of each child.
    """

    def propose(self, count: int) -> list[P]:
        """Points of the first population, then children."""
        first = max(0, population_size(self.budget) - len(self.asked))
        found: dict[P, tuple[P, ...]] = dict.fromkeys(self._first(min(count, first)), ())
        members, misses = self.population(), 0
        while members and len(found) < count and misses < TRIES:
            child, parents = self._child(members, found)
            if child in self.asked or child in found:
                misses += 1
            else:
                found[child] = parents
        self.parents |= {child: parents for child, parents in found.items() if parents}
        return self.filled(found, count)

    def population(self) -> list[P]:
        """Those that may become parents, the best first: the last that were scored, and the elite."""
        size = population_size(self.budget)
        last = set(list(self.scores)[-size:])
        elite = max(1, round(ELITE * size))
        return [p for rank, p in enumerate(self.best(len(self.scores))) if rank < elite or p in last]

    def ancestors(self) -> list[P]:
        """The population."""
        return self.population()

    def _first(self, count: int) -> list[P]:
        """Unseen points, as many from each level as there are."""
        taken = Counter(map(self.space.level, self.asked))
        wanted: Counter[int] = Counter()
        sizes = {level: self.space.size(level) for level in range(1, self.space.levels + 1)}
        for _ in range(count):
            left = [level for level, size in sizes.items() if taken[level] + wanted[level] < size]
            if left:
                wanted[min(left, key=lambda level: taken[level] + wanted[level])] += 1
        return [point for level in sorted(wanted) for point in self.unseen(wanted[level], level)]

    def _child(self, members: list[P], found: Container[P]) -> tuple[P, tuple[P, ...]]:
        """A point and its parents; one that was seen before, where no mutation led away from it."""
        one, other = self._winner(members), self._winner(members)
        mixes = one != other and self.rng.random() < CROSSOVER
        child = self.space.crossover(one, other, self.rng) if mixes else one
        if not mixes or self.rng.random() < MUTATION:
            child = self.space.mutate(child, self.rng)
        for _ in range(TRIES):
            if child not in self.asked and child not in found:
                break
            child = self.space.mutate(child, self.rng)
        return child, (one, other) if mixes else (one,)

    def _winner(self, members: list[P]) -> P:
        return members[int(self.rng.integers(len(members), size=TOURNAMENT).min())]
