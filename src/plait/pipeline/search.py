"""The stage that searches for fusion architectures on cached hidden states."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np

from plait.fusion.architecture import Architecture
from plait.fusion.candidates import Candidate
from plait.fusion.space import FusionSpace
from plait.pipeline._base import Fit, Stage
from plait.pipeline.evaluate import RESERVE, evaluator_of
from plait.pipeline.screen import screening_of
from plait.pipeline.turns import kept_for_turns
from plait.search._base import Strategy
from plait.search.cka import layer_similarities
from plait.search.ledger import Ledger
from plait.search.runner import PRUNING, Search
from plait.search.strategies import make_strategy, strategy_kind
from plait.training.loop import Plan, passes

SEARCH_SHARE = 0.5
"""Share of the time left after the encoders that the search may take."""

PREFIXES = {"random": "random search: ", "similarity": "most similar layers: "}
"""What the leaderboard calls architectures that are there for comparison."""

PRUNED = 0.25
"""Share of the trials or of the time in which the best architecture is made smaller."""

COMPARED = 300
"""Trials at most whose scores are compared with what screening foretold."""

MOST_TRAINED, MOST_JUDGED = 50_000, 20_000
"""Training and validation rows of a search at most: ranking needs no more."""

FINALISTS = 3
SMALLER = 3
"""How many of the smaller ones are finalists."""


def search_plan(rows: int, seed: int) -> Plan:
    """How to train an architecture that is only to be ranked: about 300 steps, 3 passes at least and 30 at most.

    Three passes at batch 128 and this learning rate rank random architectures almost as full training does; fewer rows
    want more passes.
    """
    batch_size = 64 if rows < 3_000 else 128
    epochs = passes(300, rows, batch_size, 3, 30)
    return Plan(epochs=epochs, batch_size=batch_size, learning_rate=1e-2, seed=seed)


class SearchStage(Stage):
    """Architectures found by a strategy, and by random search at the same budget."""

    name = "search"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "cache", "screen")

    def inputs(self, fit: Fit) -> list[str]:
        """The networks, the strategy, the number of trials, the metric."""
        options = fit.options
        return [*fit.encoder_results(), options.strategy, str(options.trials), str(options.metric), str(options.seed)]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Search, writing every batch into the ledger."""
        ledger = Ledger(fit.run.path / "trials.sqlite")
        ledger.claim(fit.key)
        if len(fit.networks) < 2:
            fit.note("There is one modality: nothing to fuse, so nothing is searched and it stands alone.")
            return {"finalists": [], "cut": None, "told": None}
        space = space_of(fit)
        options = fit.options
        names = [options.strategy] if options.strategy == "random" else [options.strategy, "random"]
        limit = options.limit
        total = None if options.trials is None else options.trials * len(names)
        fit.narrator.begin("Searching for ways to fuse", total)
        plan = search_plan(min(MOST_TRAINED, len(fit.train)), options.seed)
        evaluator = evaluator_of(fit).by(plan, 1).within(MOST_TRAINED, MOST_JUDGED)
        search = Search(evaluator, ledger, options.seed, fit.narrator.advance, fit.run.stages)
        share = None
        if limit is not None:
            share = (fit.clock.left - RESERVE * limit - kept_for_turns(fit)) * SEARCH_SHARE / len(names)
        for name in names:
            self._run(fit, space, search, name, share)
        fit.narrator.end()
        if evaluator.trainer.shrunk:
            fit.note(
                "Memory ran out, so fewer architectures were trained at once: another run may differ in last digits."
            )
        search.found.best["similarity"] = _strategy(fit, "similarity", space).ask(1)
        if search.found.exhausted:
            fit.note(f"The search tried all {space.size():,} architectures that there are.")
        return self._told(fit, space, search)

    def _run(self, fit: Fit, space: FusionSpace, search: Search, name: str, share: float | None) -> None:
        """One strategy with its share of the seconds, or its number of trials; part of both is for pruning."""
        # Random search gets as many trials as the strategy and pruning have used together.
        used = sum(1 for trial in search.found.trials) or fit.options.trials
        trials = None if fit.options.trials is None else used
        pruned = PRUNED if name == fit.options.strategy else 0.0
        first = None if trials is None else trials - int(pruned * trials)
        rest = None if trials is None or first is None else trials - first
        end = None if share is None else time.monotonic() + share
        strategy = _strategy(fit, name, space)
        search.run(name, strategy, first, _countdown(end, pruned * (share or 0.0)), FINALISTS)
        if pruned and search.found.best[name]:
            start = min(search.found.best[name], key=lambda point: point.size)
            search.prune(space, start, rest, _countdown(end, 0.0), SMALLER)

    def _told(self, fit: Fit, space: FusionSpace, search: Search) -> dict[str, Any]:
        found = search.found
        finalists = [
            Candidate(
                name=f"{'' if name == fit.options.strategy else PREFIXES.get(name, '')}{architecture}",
                kind="architecture",
                architecture=architecture,
                proposer=name,
            )
            for name, best in found.best.items()
            for architecture in (best if name in (fit.options.strategy, PRUNING) else best[:1])
        ]
        return {
            "finalists": [candidate.model_dump(exclude_defaults=True) for candidate in finalists],
            "cut": fit.options.limit if found.cut else None,
            "told": {
                "strategy": fit.options.strategy,
                "space": {
                    "size": space.size(), "max_cells": space.max_cells, "operations": list(space.operations),
                    "activations": list(space.activations),
                },
                "trials": found.trials,
                "screening": self._screened(fit, search),
                "surrogate": [asdict(quality) for quality in found.surrogate],
            },
        }  # fmt: skip

    def _screened(self, fit: Fit, search: Search) -> dict[str, Any]:
        """What screening said, and how its guesses go with what training said of the same architectures."""
        from scipy.stats import spearmanr

        told = fit.results["screen"]["told"]
        known = {trial["text"]: trial["score"] for trial in search.found.trials if trial["score"] is not None}
        texts = list(known)[:COMPARED]
        hints = [screening_of(fit).hint(Architecture.parse(text)) for text in texts]
        ranked = len(set(hints)) > 1 and len({known[text] for text in texts}) > 1
        found = float(spearmanr(hints, [known[text] for text in texts]).statistic) if ranked else None
        return {
            "kept": told["kept"], "discarded": told["discarded"], "forward": told["forward"],
            "pairs": [pair for pair in told["pairs"] if pair["significant"]], "spearman": found, "compared": len(texts),
        }  # fmt: skip

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over: later stages look into the result."""


def _countdown(end: float | None, early: float) -> Callable[[], float] | None:
    """Seconds left until `early` seconds before the end; None without an end."""
    return None if end is None else lambda: end - early - time.monotonic()


def _strategy(fit: Fit, name: str, space: FusionSpace) -> Strategy[Architecture]:
    hint = similarity_hint(fit) if name == "similarity" else screening_of(fit).hint
    return make_strategy(
        name, space, fit.options.seed, fit.options.trials, hint if strategy_kind(name).needs_hint else None
    )


def space_of(fit: Fit) -> FusionSpace:
    """All architectures of up to three cells over all layers of the networks that screening kept."""
    kept = fit.results["screen"]["kept"]
    return FusionSpace({name: range(len(layers)) for name, layers in fit.widths().items() if name in kept})


def similarity_hint(fit: Fit) -> Callable[[Architecture], float]:
    """How alike the hidden layers are that an architecture of one cell merges, on validation rows.

    Mean linear CKA over the pairs of modalities it reads, less 1 for every modality that it does not read, and less 1
    for every layer that is not a hidden one.
    """
    rows = np.arange(len(fit.train), len(fit.train) + len(fit.validation))
    both = fit.both
    present = {name: fit.decoded[name].present[both] for name in fit.networks}
    alike = layer_similarities(fit.states, present, fit.widths(), rows, fit.options.seed)
    last = {name: len(widths) - 1 for name, widths in fit.widths().items()}

    def hint(point: Architecture) -> float:
        cell = point.cells[0]
        states = sorted(source.state for source in cell.sources if source.state is not None)
        others = len(last) - sum(0 < layer < last[name] for name, layer in states)
        pairs = [(*one, *other) for i, one in enumerate(states) for other in states[i + 1 :]]
        merged = float(np.mean([alike[pair] for pair in pairs])) if pairs else 0.0
        return merged - others - (cell.operation != "concat") - (cell.activation != "relu")

    return hint
