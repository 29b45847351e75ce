"""Runs strategies over the space of fusion architectures: ask, evaluate, write down, tell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from plait.fusion.architecture import Architecture
from plait.fusion.candidates import Candidate
from plait.fusion.stack import Member
from plait.search._base import Quality, Space, Strategy
from plait.search.evaluator import Trial
from plait.search.kept import KeptWeights
from plait.search.ledger import Ledger
from plait.search.stacked import Learned
from plait.training.loop import Plan

MOST = 4_096
PATIENCE = 512
"""Where time alone is limited: trials of a strategy at most, and without a better one before it stops."""

PRUNING = "pruning"
BATCH = 64
FEWEST = 16
"""Architectures asked for at once: an eighth of all, within these bounds; a surrogate is refitted as often."""

FIRST = 8
"""Where time is limited: architectures of the first batch, which tells the price of one; later ones may take a quarter
of what is left."""

ANEW = 12
"""Of a strategy whose points inherit weights, so many of the best are trained anew, at most a quarter of all trials:
their scores are of trainings of different length, and it is those of equal length that decide."""

HALVED_FROM = 24
SURVIVORS = 1 / 3
"""In batches from this size on, only the best third is trained for more than a third of the passes."""


class Evaluates(Protocol):
    """What a search needs of an evaluator."""

    plan: Plan

    def rung(self, members: Sequence[Member], first: int, last: int, left: Callable[[], float] | None) -> list[Learned]:
        """Train on, from pass `first` up to pass `last`, and score; fewer where time has run out."""

    def begun(self, architecture: Architecture, parents: Sequence[Member]) -> Member:
        """A member to begin with, with what its parents learned."""


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
        folder: Where weights go that a later rung or a child may need; without one, a search that was stopped in
            the midst of halving, or that inherits, begins such trainings anew.
    """

    def __init__(
        self, evaluator: Evaluates, ledger: Ledger, seed: int, advance: Callable[[], None] = lambda: None,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self.evaluator, self.ledger, self.seed, self.advance = evaluator, ledger, seed, advance
        self.folder = folder
        self.kept: dict[str, KeptWeights] = {}
        rows = [row for row in ledger.read() if row["proposer"] != "competitors"]
        self.known = {(row["proposer"], row["candidate"]["name"], row["passes"]): row for row in rows}
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
        done, best, best_at, price = 0, -math.inf, 0, 0.0
        by_time = trials is None and left is not None
        size = FIRST if by_time else BATCH if trials is None else max(FEWEST, min(BATCH, trials // 8))
        anew = 0 if not _inherits(strategy) else ANEW if trials is None else min(ANEW, trials // 4)
        trials = None if trials is None else trials - anew
        started = time.monotonic()
        while done < (MOST if trials is None else trials) and (left is None or done == 0 or left() > anew * price):
            asked = strategy.ask(size if trials is None else min(size, trials - done))
            if not asked:
                break
            scores = self._evaluate(name, asked, left, strategy)
            if not scores:  # time ended the first training of the batch
                break
            strategy.tell(asked[: len(scores)], scores)
            done += len(scores)
            if left is not None:  # now the price of a trial is known
                price = max(1e-6, time.monotonic() - started) / done
                size = max(FIRST, min(BATCH, int(left() / 4 / price))) if by_time else size
                strategy.budget = strategy.budget or min(MOST, max(done, int(done + left() / price)))
            top = max((score for score in scores if score is not None), default=-math.inf)
            if top > best:
                best, best_at = top, done
            if trials is None and done - best_at >= PATIENCE:
                break
        self._kept(name).sweep(None)
        best_anew = self._anew(name, strategy, strategy.best(anew), left)[:finalists]
        self.found.best[name] = best_anew or strategy.best(finalists)
        self.found.cut |= left is not None and left() <= 0
        self.found.surrogate += strategy.quality
        self.found.exhausted |= done >= strategy.space.size()

    def _anew(
        self, name: str, strategy: Strategy[Architecture], best: Sequence[Architecture],
        left: Callable[[], float] | None,
    ) -> list[Architecture]:  # fmt: skip
        """The best points by the scores of trainings that began fresh, the best first; those that time allowed."""
        heirs = [point for point in best if point in strategy.parents]
        fresh = self._evaluate(f"{name}, anew", heirs, left) if heirs else []
        scores = dict(zip(heirs, fresh, strict=False))
        scores |= {point: strategy.scores[point][0] for point in best if point not in strategy.parents}
        known = [point for point in best if scores.get(point) is not None] if fresh or not heirs else []
        return sorted(known, key=lambda point: (-_number(scores[point]), str(point)))

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
        self, name: str, asked: Sequence[Architecture], left: Callable[[], float] | None,
        strategy: Strategy[Architecture] | None = None,
    ) -> list[float | None]:  # fmt: skip
        """Scores of a batch: each of the last rung that an architecture reached; fewer where time has run out."""
        scores: dict[Architecture, float | None] = {}
        seconds: dict[Architecture, float] = {}
        alive, first = list(asked), 0
        for last in self._rungs(len(asked) if strategy else 0):
            found = self._rung(name, alive, first, last, left, strategy)
            for architecture, (score, spent) in zip(alive, found, strict=False):
                scores[architecture] = score
                seconds[architecture] = seconds.get(architecture, 0.0) + spent
            if len(found) < len(alive) or last == self.evaluator.plan.epochs:
                break
            ranked = sorted(alive, key=lambda one: (-_number(scores[one]), str(one)))
            survivors = set(ranked[: max(1, math.ceil(len(alive) * SURVIVORS))])
            alive, first = [one for one in alive if one in survivors and scores[one] is not None], last
            if not alive:
                break
        for architecture, score in scores.items():
            self.found.trials.append(
                {
                    "text": str(architecture), "score": score, "level": len(architecture.cells), "proposer": name,
                    "seconds": round(seconds[architecture], 4),
                }
            )  # fmt: skip
            self.advance()
        return [scores[architecture] for architecture in asked if architecture in scores]

    def _rungs(self, count: int) -> tuple[int, ...]:
        """Passes after which a batch is scored; small batches are trained to the end at once."""
        passes = self.evaluator.plan.epochs
        early = math.ceil(passes * SURVIVORS)
        return (early, passes) if count >= HALVED_FROM and early < passes else (passes,)

    def _rung(
        self, name: str, alive: Sequence[Architecture], first: int, last: int, left: Callable[[], float] | None,
        strategy: Strategy[Architecture] | None,
    ) -> list[tuple[float | None, float]]:  # fmt: skip
        """Scores and seconds after some passes, from the ledger as far as they stand there; the rest is trained on."""
        found: dict[Architecture, tuple[float | None, float]] = {}
        for architecture in alive:
            row = self.known.get((name, str(architecture), last))
            if row is not None:
                found[architecture] = (row["score"], row["seconds"])
        fresh = [architecture for architecture in alive if architecture not in found]
        if fresh and (left is None or not (found or first) or left() > 0):
            kept = self._kept(name)
            self._learn_again([one for one in fresh if first and kept.get(one) is None], kept, first, strategy)
            members = [self._member(kept, architecture, first, strategy) for architecture in fresh]
            number = self.rungs.get(name, 0)
            told = self.evaluator.rung(members, first, last, left)
            learned = [one for one in told if not one.cut]
            passes = last
            if strategy and not learned and not self._has_whole(name):
                learned, passes = told, 0  # what time cut short is comparable: better than nothing, until there is time
            going_on = last < self.evaluator.plan.epochs
            if strategy and (going_on or _inherits(strategy)):
                # What is left behind in this rung may yet be a parent: only the next batch's first rung forgets it.
                wanted = kept.members if first else map(str, [*strategy.ancestors(), *alive])
                members = [one.member for one in learned]
                kept.keep(members if going_on else [replace(one, moments=None) for one in members], wanted)
                kept.write(number)
            self.ledger.record([_trial(name, one) for one in learned], name, number, self.seed, passes)
            kept.sweep(number)
            self.rungs[name] = number + 1
            for architecture, one in zip(fresh, learned, strict=False):
                found[architecture] = (one.score, one.seconds)
                self.known[name, str(architecture), last] = {"score": one.score, "seconds": one.seconds}
        known = []
        for architecture in alive:
            if architecture not in found:
                break
            known.append(found[architecture])
        return known

    def _has_whole(self, name: str) -> bool:
        """Whether a strategy has a score of a training that time did not cut short."""
        return any(proposer == name and passes for proposer, _, passes in self.known)

    def _learn_again(
        self, lost: Sequence[Architecture], kept: KeptWeights, first: int, strategy: Strategy[Architecture] | None
    ) -> None:  # fmt: skip
        """Train survivors of an earlier rung up to it once more, whose weights were not kept."""
        members = [self._member(kept, architecture, 0, strategy) for architecture in lost]
        if members:
            learned = self.evaluator.rung(members, 0, first, None)
            kept.keep([one.member for one in learned], kept.members)

    def _kept(self, name: str) -> KeptWeights:
        """What is remembered of a strategy's members; of an earlier call, what its last rung left."""
        if name not in self.kept:
            self.kept[name] = KeptWeights(self.folder, name)
            if name in self.rungs:
                self.kept[name].read(self.rungs[name] - 1)
        return self.kept[name]

    def _member(
        self, kept: KeptWeights, architecture: Architecture, first: int, strategy: Strategy[Architecture] | None
    ) -> Member:
        """An architecture as it is trained on, or to begin with: fresh, or with what its parents learned."""
        before = kept.get(architecture) if first else None
        if before is not None:
            return before
        parents = strategy.parents.get(architecture, ()) if strategy else ()
        known = [member for member in map(kept.get, parents) if member is not None]
        return self.evaluator.begun(architecture, known)


def _number(score: float | None) -> float:
    return -math.inf if score is None else score


def _inherits(strategy: Strategy[Architecture]) -> bool:
    """Whether points of a strategy may have parents."""
    return type(strategy).ancestors is not Strategy.ancestors


def _trial(name: str, learned: Learned) -> Trial:
    """What the ledger is told."""
    architecture = learned.member.architecture
    candidate = Candidate(name=str(architecture), kind="architecture", architecture=architecture, proposer=name)
    return Trial(candidate, (), learned.score, (learned.score,), learned.seconds)
