"""What a strategy needs of a space, and what a search needs of a strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from plait._registry import Registry
from plait.exceptions import InputError, did_you_mean

P = TypeVar("P", bound=Hashable)


class Space(Protocol[P]):
    """What may be chosen. Points are frozen and hashable; two that mean the same are equal.

    Every method that draws takes the generator, so that the same seed gives the same points.
    """

    @property
    def levels(self) -> int:
        """The highest level; points of level 1 are the simplest."""

    def size(self, level: int | None = None) -> int:
        """How many points there are, on one level or on all."""

    def points(self, level: int | None = None) -> Iterator[P]:
        """All points, one after another, lower levels first."""

    def sample(self, rng: np.random.Generator, level: int | None = None) -> P:
        """A point drawn evenly."""

    def level(self, point: P) -> int:
        """Its level, 1 to `levels`."""

    def neighbours(self, point: P) -> list[P]:
        """Points one change away, in a fixed order."""

    def mutate(self, point: P, rng: np.random.Generator) -> P:
        """A point one change away, or the same one where there is none."""

    def crossover(self, one: P, other: P, rng: np.random.Generator) -> P:
        """A point with parts of both."""

    def grow(self, point: P, rng: np.random.Generator, most: int) -> list[P]:
        """Up to `most` points of the next level that contain the point; all of them if there are no more."""

    def encode(self, point: P) -> NDArray[np.int64]:
        """The point as whole numbers [levels, numbers per level], different for different points.

        A level that the point does not have is a row of zeros; no other row is.
        """

    def choices(self) -> list[list[tuple[int, ...]]]:
        """[levels][numbers per level]: all numbers that stand there in a point's encoding, if it has that level."""

    def decode(self, numbers: NDArray[np.int64]) -> P | None:
        """The point that numbers [levels, numbers per level] stand for; any that `choices` has may be put together.

        Numbers that are no point's encoding are mended by a fixed rule, or stand for None where that fails. A point's
        own encoding gives the point.
        """

    def __contains__(self, point: object) -> bool:
        """Whether it is one of the points."""


@dataclass(frozen=True)
class Quality:
    """How well a surrogate foretold one batch.

    Attributes:
        after: Number of scores it had learned from.
        asked: Number of points whose scores it foretold.
        spearman: Rank correlation of foretold and true scores; None for fewer than three, or if all are the same.
    """

    after: int
    asked: int
    spearman: float | None


class Strategy(ABC, Generic[P]):
    """Asks for points and is told their scores. The same seed and scores give the same questions.

    Args:
        space: What may be chosen.
        seed: Decides every draw.
        budget: About how many points will be asked for, as far as that is known.
        hint: A guess at how good a point is, higher is better, that costs no training; not every strategy uses it.
        option: One of `options`; the first of them, if it has any, where none is given.

    Attributes:
        needs_hint: Whether it can do nothing without a hint.
        parents: For points made from others: points whose weights a point may inherit.
        quality: What its surrogate, if it has one, foretold.

    Raises:
        InputError: It has no such option.
        ValueError: It needs a hint.
    """

    needs_hint: ClassVar[bool] = False

    def __init__(
        self,
        space: Space[P],
        seed: int = 0,
        budget: int | None = None,
        hint: Callable[[P], float] | None = None,
        option: str | None = None,
    ) -> None:
        known = self.options()
        self.option = (known or ("",))[0] if option is None else self.spelled(option)
        if option is not None and self.option not in known:
            raise InputError(f"{type(self).__name__} has no option {option!r}; {did_you_mean(self.option, known)}.")
        if self.needs_hint and hint is None:
            raise ValueError(f"{type(self).__name__} goes by a hint and was given none")
        self.space, self.budget, self.hint = space, budget, hint
        self.rng = np.random.default_rng([seed, 0x57A7])
        self.asked: dict[P, None] = {}
        self.scores: dict[P, list[float]] = {}
        self.parents: dict[P, tuple[P, ...]] = {}
        self.quality: list[Quality] = []
        self.begin()

    def begin(self) -> None:
        """Called once, before the first question: where a strategy sets up what it needs; nothing by default."""

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """What may stand after its name and a colon, the default first; none, if nothing is to be chosen."""
        return ()

    @classmethod
    def spelled(cls, option: str) -> str:
        """An option the way `options` spells it."""
        return option

    @property
    def is_exhausted(self) -> bool:
        """Whether every point of the space was asked for."""
        return len(self.asked) >= self.space.size()

    def ask(self, count: int) -> list[P]:
        """Up to `count` points, none of which was asked for before; none at all where nothing is left."""
        found: list[P] = []
        for point in self.propose(min(count, self.space.size() - len(self.asked))):
            if point not in self.asked:
                self.asked[point] = None
                found.append(point)
        return found

    def tell(self, points: Sequence[P], scores: Sequence[float | None]) -> None:
        """Take note of scores, higher is better; None for a point that could not be scored. Every score is kept."""
        for point, score in zip(points, scores, strict=True):
            if score is not None and np.isfinite(score):
                self.scores.setdefault(point, []).append(float(score))
        self.learn(points, scores)

    def best(self, count: int) -> list[P]:
        """The points with the highest mean score, the best first."""
        return sorted(self.scores, key=lambda point: (-float(np.mean(self.scores[point])), str(point)))[:count]

    @abstractmethod
    def propose(self, count: int) -> list[P]:
        """`count` points, different from one another and from all in `asked`; fewer only where no more are left."""

    def ancestors(self) -> list[P]:
        """Points whose weights those still to be proposed may inherit; none by default."""
        return []

    def learn(self, points: Sequence[P], scores: Sequence[float | None]) -> None:
        """Called after every `tell`; does nothing by default."""

    def unseen(self, count: int, level: int | None = None) -> list[P]:
        """`count` different points drawn evenly among those not asked for; all that are left if there are no more."""
        size = self.space.size(level)
        among = [p for p in self.asked if level is None or self.space.level(p) == level]
        left = size - len(among)
        if count >= left or size <= 4 * (count + len(among)):
            rest = [point for point in self.space.points(level) if point not in self.asked]
            return [rest[i] for i in self.rng.permutation(len(rest))[:count]]
        found: dict[P, None] = {}
        while len(found) < count:
            point = self.space.sample(self.rng, level)
            if point not in self.asked:
                found[point] = None
        return list(found)

    def filled(self, found: Iterable[P], count: int) -> list[P]:
        """What was found, and as many unseen points as are wanting."""
        kept = dict.fromkeys(found)
        rest = count - len(kept)
        others = self.unseen(count) if rest > 0 else []
        return [*kept, *[point for point in others if point not in kept][: max(0, rest)]]


STRATEGIES: Registry[type[Strategy[Any]]] = Registry("strategy")
