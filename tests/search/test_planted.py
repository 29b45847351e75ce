"""The search solves planted problems: it finds the operation, the layers and the modalities that carry the label.

And every strategy finds the one pair of layers that says anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planted import LAYERS, PROBLEMS, TASK, TRAIN, agreeing

from plait.fusion import Candidate, FusionSpace
from plait.fusion.architecture import Architecture, concat_of
from plait.pipeline.evaluate import fusion_plan
from plait.pipeline.search import search_plan
from plait.search import Ledger, choose
from plait.search.runner import ANEW, PRUNING, Search
from plait.search.strategies import STRATEGIES, make_strategy, strategy_kind
from plait.search.strategies.progressive import ProgressiveSearch

PRUNED = 40
TRIALS = {"noise modality": 144, "changing modality": 144, "product": 144}
"""Trials, if not 72: enough for all of a space of one level, to meet one pair of layers among sixteen early, and not to
hang on the last bits of one processor's sums."""

SPACES: dict[str, dict[str, Any]] = {
    "changing modality": {"max_cells": 1, "operations": ("concat", "gate", "max", "mean")},
}
"""Where several cells or products would do what one gate does, they are left out."""

MARGIN = {"noise modality": 0.0}
"""By how much the baseline is beaten, if not by 0.005: reading noise besides costs no more than another seed does."""

BUDGETS = {
    "exhaustive": 120, "genetic": 160, "greedy": 16, "optuna:tpe": 80, "progressive:forest": 80, "progressive:lstm": 80,
    "random": 80,
}  # fmt: skip
"""Trials in which a strategy finds the layers that agree."""

SMALL = {"exhaustive": {"max_cells": 1, "activations": ("relu",)}}
"""A space with as many architectures as there are trials, for what looks at them all."""

BLIND = {"similarity": "it goes by how alike layers are; layers that agree in the sign of one number are not alike"}
"""Strategies that cannot find them, and why."""

WORKS = 0.5
"""A score from here on says that the agreement is used; without it, scores are about 0, and 1 is perfect."""

PRODUCTS = {"product", "low-rank", "tensor"}


def candidate(architecture: Architecture, name: str = "") -> Candidate:
    return Candidate(name=name or str(architecture), kind="architecture", architecture=architecture)


def found(problem: str, folder: Path, strategy: str) -> tuple[Candidate, dict[str, float]]:
    """What a fit's search, comparison and choice come to, beside the concatenation of last hidden layers."""
    made = PROBLEMS[problem](0)
    space = FusionSpace({name: range(LAYERS) for name in made.states}, **SPACES.get(problem, {"max_cells": 2}))
    search = Search(made.evaluator(search_plan(TRAIN, 0)), Ledger(folder / "trials.sqlite"), 0)
    trials = TRIALS.get(problem, 72)
    hint = made.screening().hint if strategy_kind(strategy).needs_hint else None
    search.run(strategy, make_strategy(strategy, space, 0, trials, hint), trials)
    search.prune(space, min(search.found.best[strategy], key=lambda point: point.size), PRUNED)
    best = dict.fromkeys([*search.found.best[strategy], *search.found.best[PRUNING]])
    rows = [candidate(concat_of(dict.fromkeys(made.states, LAYERS - 2)), "baseline"), *map(candidate, best)]
    evaluator = made.evaluator(fusion_plan(TRAIN, 0), seeds=2)
    trials = evaluator.evaluate(rows)
    choice = choose(trials, (TASK,), evaluator.labels, 0)
    return trials[choice.chosen].candidate, {t.candidate.name: t.score or 0.0 for t in trials}


def states_of(architecture: Architecture) -> set[tuple[str, int]]:
    return {source.state for cell in architecture.cells for source in cell.sources if source.state is not None}


def is_product(chosen: Architecture) -> bool:
    cells = [cell for cell in chosen.cells if {("a", 1), ("b", 2)} <= {source.state for source in cell.sources}]
    return any(cell.operation in PRODUCTS for cell in cells)


SHOWS: dict[str, Callable[[Architecture], Any]] = {
    "product": is_product,
    "middle layer": lambda chosen: ("a", 1) in states_of(chosen),
    "noise modality": lambda chosen: {("a", 2), ("b", 2)} <= states_of(chosen) and "c" not in chosen.modalities,
    "changing modality": lambda chosen: (
        {("a", 2), ("b", 2)} <= states_of(chosen) and chosen.cells[-1].operation == "gate"
    ),
}
"""What the chosen architecture must show."""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["greedy", "progressive"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_search_solves_a_planted_problem_and_the_architecture_shows_it(
    problem: str, strategy: str, tmp_path: Path
) -> None:
    chosen, scores = found(problem, tmp_path, strategy)
    assert chosen.name != "baseline", scores
    assert chosen.architecture is not None
    assert scores[chosen.name] > scores["baseline"] + MARGIN.get(problem, 0.005), scores
    assert SHOWS[problem](chosen.architecture), (chosen.name, scores)


def searched(strategy: str, folder: Path, seed: int = 0) -> Search:
    """The strategy's search for layers that agree."""
    made, trials = agreeing(seed), BUDGETS[strategy]
    space = FusionSpace({name: range(LAYERS) for name in made.states}, **SMALL.get(strategy, {"max_cells": 2}))
    hint = made.screening().hint if strategy_kind(strategy).needs_hint else None
    search = Search(made.evaluator(search_plan(TRAIN, seed)), Ledger(folder / "trials.sqlite"), seed)
    search.run(strategy, make_strategy(strategy, space, seed, trials, hint), trials)
    assert trials - ANEW <= len(search.found.trials) <= trials
    return search


def test_every_strategy_is_asked_for_layers_that_agree() -> None:
    assert {name.partition(":")[0] for name in BUDGETS} | set(BLIND) == set(STRATEGIES)
    surrogates = {name.partition(":")[2] for name in BUDGETS if name.startswith("progressive")}
    assert surrogates == set(ProgressiveSearch.options())


@pytest.mark.slow
@pytest.mark.parametrize("strategy", BUDGETS)
def test_every_strategy_finds_layers_that_agree(strategy: str, tmp_path: Path) -> None:
    search = searched(strategy, tmp_path)
    best = search.found.best[strategy][0]
    assert {("a", 1), ("b", 2)} <= states_of(best)
    (again,) = agreeing(0).evaluator(fusion_plan(TRAIN, 1)).evaluate([candidate(best)])  # from another seed
    assert (again.score or 0.0) > WORKS, best


@pytest.mark.slow
def test_nothing_but_the_two_layers_says_anything(tmp_path: Path) -> None:
    search = searched("exhaustive", tmp_path)
    for trial in search.found.trials:
        reads = {("a", 1), ("b", 2)} <= states_of(Architecture.parse(trial["text"]))
        assert trial["score"] > WORKS if reads else trial["score"] < 0.1 * WORKS, trial
