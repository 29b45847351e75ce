"""The search solves planted problems: it finds the operation, the layers and the modalities that carry the label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planted import LAYERS, PROBLEMS, TASK, TRAIN

from plait.fusion import Candidate, FusionSpace
from plait.fusion.architecture import Architecture, concat_of
from plait.pipeline.evaluate import fusion_plan
from plait.pipeline.search import search_plan
from plait.search import Ledger, choose
from plait.search.runner import PRUNING, Search
from plait.search.strategies import STRATEGIES

TRIALS, PRUNED = 72, 40

SPACES: dict[str, dict[str, Any]] = {
    "changing modality": {"max_cells": 1, "operations": ("concat", "gate", "max", "mean")},
}
"""Where several cells or products would do what one gate does, they are left out."""

PRODUCTS = {"product", "low-rank", "tensor"}


def candidate(architecture: Architecture, name: str = "") -> Candidate:
    return Candidate(name=name or str(architecture), kind="architecture", architecture=architecture)


def found(problem: str, folder: Path, strategy: str = "progressive") -> tuple[Candidate, dict[str, float]]:
    """What a fit's search, comparison and choice come to, beside the concatenation of last hidden layers."""
    made = PROBLEMS[problem](0)
    space = FusionSpace({name: range(LAYERS) for name in made.states}, **SPACES.get(problem, {"max_cells": 2}))
    search = Search(made.evaluator(search_plan(TRAIN, 0)), Ledger(folder / "trials.sqlite"), 0)
    search.run(strategy, STRATEGIES[strategy](space, 0, TRIALS), TRIALS)
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
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_search_solves_a_planted_problem_and_the_architecture_shows_it(problem: str, tmp_path: Path) -> None:
    chosen, scores = found(problem, tmp_path)
    assert chosen.name != "baseline", scores
    assert chosen.architecture is not None
    assert scores[chosen.name] > scores["baseline"] + 0.005, scores
    assert SHOWS[problem](chosen.architecture), (chosen.name, scores)
