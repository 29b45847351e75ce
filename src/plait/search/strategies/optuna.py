"""Any sampler of Optuna as a strategy, over the numbers that a space encodes its points with."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from plait.exceptions import InputError
from plait.search._base import STRATEGIES, P, Strategy
from plait.search.strategies.genetic import population_size

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

INSTALL = "Optuna is not installed: pip install 'plait[search]'"

CONDITIONAL: Final = ("random", "tpe")
"""Samplers that draw every parameter for itself, so that one may be there in some trials alone."""

NUMERIC: Final = ("cmaes", "qmc")
"""Samplers that know amounts, not names."""

LEFT_OUT: Final = ("base", "basega", "bruteforce")
"""No samplers, and one that stops a study, which is not how strategies end: `exhaustive` does the same."""

TRIES = 8
"""Draws in a row that gave no new point, after which unseen points are drawn evenly."""


@STRATEGIES.register("optuna")
class OptunaSearch(Strategy[P]):
    """Asks a sampler of Optuna; the option says which: `tpe` (default), `random`, `nsgaii`, `cmaes`, `gp`, and others.

    Parameters are the level and the number at each place of `Space.encode`: a category out of `Space.choices`, or its
    place among them for samplers that know only amounts. Samplers that draw each parameter by itself are asked only
    for the levels that a point has; the others for all, and what lies above the point's level is ignored. What they
    draw becomes a point by `Space.decode`; where that has none, the trial has failed. A point that was asked for
    before is told its known score (or waits for it) and another is drawn; after some such draws in a row unseen points
    are drawn evenly, and the sampler is told their scores too.

    Reference: Akiba et al. 2019, Optuna.
    """

    def begin(self) -> None:
        """The study and its sampler."""
        self._choices = self.space.choices()
        self._waiting: dict[P, list[Trial]] = {}
        settings = {
            "seed": int(self.rng.integers(2**31)), "population_size": population_size(self.budget),
            "constant_liar": True, "warn_independent_sampling": False, "warn_asynchronous_seeding": False,
            "scramble": True,
        }  # fmt: skip
        with quiet_optuna() as optuna:
            sampler = _samplers(optuna)[self.option]
            known = inspect.signature(sampler).parameters
            made = sampler(**{name: value for name, value in settings.items() if name in known})
            self._study = optuna.create_study(direction="maximize", sampler=made)

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The samplers that need nothing but a seed, by class name.

        Raises:
            InputError: Optuna is not installed.
        """
        with quiet_optuna() as optuna:
            known = sorted(_samplers(optuna))
        return ("tpe", *[name for name in known if name != "tpe"])

    @classmethod
    def spelled(cls, option: str) -> str:
        """In lower case, and without `Sampler`."""
        return option.lower().removesuffix("sampler")

    def propose(self, count: int) -> list[P]:
        """Points that the sampler draws."""
        found: dict[P, None] = {}
        misses = 0
        with quiet_optuna():
            while len(found) < count and misses < TRIES:
                trial = self._study.ask()
                point = self._point(trial)
                is_new = point is not None and point not in self.asked and point not in found
                misses = 0 if is_new else misses + 1
                if point is not None and is_new:
                    found[point] = None
                self._take(trial, point)
        return self.filled(found, count)

    def _take(self, trial: Trial, point: P | None) -> None:
        """Tell a trial what is known of its point, or let it wait."""
        if point is not None and point in self.scores:
            self._end(trial, float(np.mean(self.scores[point])))
        elif point is None or (point in self.asked and point not in self._waiting):  # it could not be scored
            self._end(trial, None)
        else:
            self._waiting.setdefault(point, []).append(trial)

    def learn(self, points: Sequence[P], scores: Sequence[float | None]) -> None:
        """Tell the sampler."""
        with quiet_optuna():
            for point, score in zip(points, scores, strict=True):
                known = score if score is not None and np.isfinite(score) else None
                trials = self._waiting.pop(point, [])
                for trial in trials:
                    self._end(trial, known)
                if known is not None and not trials:
                    self._note(point, known)

    def _end(self, trial: Trial, score: float | None) -> None:
        """Tell a score, or that there is none."""
        from optuna.trial import TrialState

        if score is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, score)

    def _note(self, point: P, score: float) -> None:
        """Tell the score of a point that the sampler did not draw, or not now."""
        from optuna.distributions import IntDistribution
        from optuna.trial import create_trial

        level, numbers = self.space.level(point), self.space.encode(point)
        drawn: dict[str, tuple[int, BaseDistribution]] = {"level": (level, IntDistribution(1, self.space.levels))}
        for row, column, values in self._places(level):
            # Levels that the point does not have must have numbers too where all parameters are always there.
            number = int(numbers[row, column]) if row < level else values[int(self.rng.integers(len(values)))]
            drawn[f"{row}.{column}"] = self._parameter(number, values)
        params = {name: value for name, (value, _) in drawn.items()}
        kinds = {name: kind for name, (_, kind) in drawn.items()}
        self._study.add_trial(create_trial(params=params, distributions=kinds, value=score))

    # Parameters

    def _places(self, level: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """(row, column, numbers to choose from) of every parameter of a point's trial."""
        rows = self._choices[:level] if self.option in CONDITIONAL else self._choices
        for row, places in enumerate(rows):
            for column, values in enumerate(places):
                yield row, column, values

    def _point(self, trial: Trial) -> P | None:
        """The point of a trial."""
        level = trial.suggest_int("level", 1, self.space.levels)
        numbers = np.zeros((len(self._choices), len(self._choices[0])), np.int64)
        for row, column, values in self._places(level):
            name = f"{row}.{column}"
            if self.option in NUMERIC:
                number = values[trial.suggest_int(name, 0, len(values) - 1)]
            else:
                number = int(trial.suggest_categorical(name, values))
            numbers[row, column] = number if row < level else 0
        return self.space.decode(numbers)

    def _parameter(self, number: int, values: tuple[int, ...]) -> tuple[int, BaseDistribution]:
        """What stands for a number in a trial, and what it is drawn from."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        if self.option in NUMERIC:
            return values.index(number), IntDistribution(0, len(values) - 1)
        return number, CategoricalDistribution(values)


@contextmanager
def quiet_optuna() -> Iterator[ModuleType]:
    """Optuna, saying nothing: neither that a study began nor that something is experimental.

    Raises:
        InputError: It is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import optuna
        except ImportError as error:
            raise InputError(INSTALL) from error
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        try:
            yield optuna
        finally:
            optuna.logging.set_verbosity(before)


def _samplers(optuna: ModuleType) -> dict[str, Callable[..., BaseSampler]]:
    """Samplers that can be made with nothing but a seed, by class name without `Sampler`, in lower case."""
    found: dict[str, Any] = {}
    for name in optuna.samplers.__all__:
        kind: Any = getattr(optuna.samplers, name)
        short = OptunaSearch.spelled(name)
        if inspect.isclass(kind) and short not in LEFT_OUT:
            settings = list(inspect.signature(kind).parameters.values())
            needed = [one for one in settings if one.default is one.empty]
            if not needed and any(one.name == "seed" for one in settings):
                found[short] = kind
    return found
