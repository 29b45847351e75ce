"""Runs strategies over the space of fusion architectures: ask, evaluate, write down, tell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from plait.fusion.architecture import Architecture
from plait.fusion.candidates import Candidate
from plait.search._base import Quality, Space, Strategy
from plait.search.evaluator import Evaluator
from plait.search.ledger import Ledger

MOST = 512
PATIENCE = 128
"""Where time alone is limited: trials of a strategy at most, and without a better one before it stops."""

PRUNING = "pruning"
BATCH = 16
"""Architectures asked for at once; a surrogate is refitted as often."""


@dataclass
class Found:
    """What a search came to.

    Attributes:
        trials: Every scored architecture in order: text, score, level, proposer, seconds.
        best: The best architectures of each strategy, by name, the best first.
        surrogate: What surrogates foretold.
        exhausted: Whether the whole space was evaluated.
        cut: Whether time ended a strategy.
    """

    trials: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, list[Architecture]] = field(default_factory=dict)
    surrogate: list[Quality] = field(default_factory=list)
    exhausted: bool = False
    cut: bool = False


class Search:
    """One search with one ledger.

    A search that was stopped goes on where its ledger ends: strategies are told the scores that stand there again, and
    ask the same questions. Without a clock, the same seed gives the same search, whether it was stopped or not.

    Args:
        evaluator: Scores architectures.
        ledger: Where trials are written, a batch in one transaction.
        seed: Written down with every trial.
        advance: Told of every trial that is done.
    """

    def __init__(
        self, evaluator: Evaluator, ledger: Ledger, seed: int, advance: Callable[[], None] = lambda: None
    ) -> None:
        self.evaluator, self.ledger, self.seed, self.advance = evaluator, ledger, seed, advance
        rows = [row for row in ledger.read() if row["proposer"] != "competitors"]
        self.known = {(row["proposer"], row["candidate"]["name"]): row for row in rows}
        self.rungs = {row["proposer"]: row["rung"] + 1 for row in sorted(rows, key=lambda row: int(row["rung"]))}
        self.found = Found()

    def run(
        self,
        name: str,
        strategy: Strategy[Architecture],
        trials: int | None,
        left: Callable[[], float] | None = None,
        finalists: int = 3,
    ) -> None:
        """Let a strategy search.

        Args:
            name: The strategy's name.
            strategy: A fresh one.
            trials: How many architectures to evaluate; None for as many as time allows, but no more than `MOST`, and
                none after `PATIENCE` without a better one.
            left: Seconds that are left for this strategy; None goes by counts alone.
            finalists: How many of the best to remember.
        """
        done, best, best_at = 0, -math.inf, 0
        started = time.monotonic()
        while done < (MOST if trials is None else trials) and (left is None or done == 0 or left() > 0):
            asked = strategy.ask(BATCH if trials is None else min(BATCH, trials - done))
            if not asked:
                break
            scores = self._evaluate(name, asked, left)
            strategy.tell(asked[: len(scores)], scores)
            done += len(scores)
            if left is not None and strategy.budget is None:  # now the price of a trial is known
                rate = done / max(1e-6, time.monotonic() - started)
                strategy.budget = min(MOST, max(done, int(done + left() * rate)))
            top = max((score for score in scores if score is not None), default=-math.inf)
            if top > best:
                best, best_at = top, done
            if trials is None and done - best_at >= PATIENCE:
                break
        self.found.best[name] = strategy.best(finalists)
        self.found.cut |= left is not None and left() <= 0
        self.found.surrogate += strategy.quality
        self.found.exhausted |= done >= strategy.space.size()

    def prune(
        self, space: Space[Architecture], start: Architecture, trials: int | None,
        left: Callable[[], float] | None = None, finalists: int = 3,
    ) -> None:  # fmt: skip
        """Take sources away from an architecture, one after another, each time the one that is missed least.

        A search for the highest score keeps sources that do no harm, noise among them. Remembered are the sizes at
        which one source less costs most, where all that remains is needed, and the smallest size reached.

        Args:
            space: Where the architecture is from.
            start: The architecture.
            trials: How many architectures to evaluate at most; None for as many as time allows.
            left: Seconds that are left; None goes by counts alone.
            finalists: How many to remember.
        """
        path: list[tuple[float, Architecture]] = []
        at, done = start, 0
        while trials is None or done < trials:
            smaller = [point for point in space.neighbours(at) if point.size < at.size]
            room = len(smaller) if trials is None else min(len(smaller), trials - done)
            if not smaller or room < len(smaller) or (left is not None and left() <= 0):
                break
            scores = self._evaluate(PRUNING, smaller, left)
            done += len(scores)
            known = [(score, point) for score, point in zip(scores, smaller, strict=False) if score is not None]
            if len(scores) < len(smaller) or not known:
                break
            path.append(max(known, key=lambda pair: (pair[0], str(pair[1]))))
            at = path[-1][1]
        drops = [one[0] - other[0] for one, other in pairwise(path)]
        order = sorted(range(len(drops)), key=lambda place: -drops[place])[: finalists - 1]
        kept = [path[place][1] for place in order] + [point for _, point in path[-1:]]
        self.found.best[PRUNING] = list(dict.fromkeys(kept))

    def _evaluate(
        self, name: str, asked: Sequence[Architecture], left: Callable[[], float] | None
    ) -> list[float | None]:
        """Scores of a batch, from the ledger as far as they stand there; the rest is evaluated and written down."""
        scores: list[float | None] = []
        fresh = []
        for architecture in asked:
            text = str(architecture)
            row = self.known.get((name, text))
            if row is None:
                if left is not None and scores and left() <= 0:
                    break
                candidate = Candidate(name=text, kind="architecture", architecture=architecture, proposer=name)
                (trial,) = self.evaluator.evaluate([candidate])
                fresh.append(trial)
                row = {"score": trial.score, "seconds": trial.seconds}
            scores.append(row["score"])
            self.found.trials.append(
                {
                    "text": text, "score": row["score"], "level": len(architecture.cells), "proposer": name,
                    "seconds": round(row["seconds"], 4),
                }
            )  # fmt: skip
            self.advance()
        if fresh:  # in a rung of its own: what stands in the ledger of the same batch stays
            rung = self.rungs.get(name, 0)
            self.ledger.record(fresh, name, rung, self.seed)
            self.rungs[name] = rung + 1
        return scores
