"""What a fit was asked to do, checked as a whole so that all mistakes are told together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from os import PathLike
from types import NoneType
from typing import Any, Final, Literal

import numpy as np

from plait.data.infer import Wishes
from plait.data.schema import Schema
from plait.exceptions import Problems, did_you_mean
from plait.search.strategies import strategy_problem

DEFAULT_TIME_LIMIT = 600.0
DEFAULT_STRATEGY = "greedy"
BAD_ROWS = ("fail", "skip")
CLASS_WEIGHTS = ("none", "balanced")
MOST_FOLDS: Final = 20

TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "time_limit": ((Real, NoneType), "a number of seconds above 0, or None"),
    "trials": ((Integral, NoneType), "a whole number from 1 on, or None"),
    "strategy": ((str,), "the name of a strategy"),
    "seed": ((Integral,), "a whole number"),
    "metric": ((str, NoneType), "the name of a metric, or None"),
    "bad_rows": ((str,), "'fail' or 'skip'"),
    "workers": ((Integral, NoneType), "a whole number from 1 on, or None"),
    "device": ((str,), "'auto', 'cpu' or 'cuda'"),
    "class_weights": ((str, NoneType), "'none' or 'balanced'"),
    "folds": ((Integral, NoneType), "a whole number from 1 on, or None"),
}
"""Types that an option may have, and what to say of another."""


def _is_one_of(value: Any, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)


@dataclass(frozen=True)
class FitOptions:
    """Everything a fit depends on.

    Attributes:
        table: The training table: a path, a frame, an Arrow table, a data set or a dict of columns.
        validation: Table to choose by, instead of rows carved out of `table`.
        test: Table that is read last, once, instead of rows carved out of `table`.
        wishes: What the caller said about columns.
        schema: An edited schema or the path of one, instead of inference.
        time_limit: Seconds for the whole fit; None with `trials` given goes by counts and reads no clock.
        trials: How many fusion architectures the strategy tries, and as many at random; no clock is read then.
        strategy: How architectures are searched for.
        seed: Decides splits, weights, batches, bootstrap draws.
        metric: Score candidates by this metric instead of 1 - loss / loss of the constant predictor.
        bad_rows: `fail` refuses a table with unreadable rows, `skip` lists them and goes on.
        allow_outside: Whether paths of media may lead out of their table's folder.
        workers: Processes to decode and encode with, and threads to fit classical models with; None for one per core.
            Results do not depend on it.
        device: Where to train and encode: `cpu`, `cuda`, or `auto`.
        encoders: By modality, where a trained encoder is to be had, which stays as it is.
        class_weights: `balanced` lets every class weigh the same in the training loss; None lets every row.
        folds: Parts of the training and validation rows that judge in turn; with 1, validation rows alone judge. None
            is 5 where plait draws fewer than 150 of these, else 1; always 1 where they are given.
    """

    table: Any
    validation: Any = None
    test: Any = None
    wishes: Wishes = field(default_factory=Wishes)
    schema: Any = None
    time_limit: float | None = None
    trials: int | None = None
    strategy: str = DEFAULT_STRATEGY
    seed: int = 0
    metric: str | None = None
    bad_rows: Literal["fail", "skip"] = "fail"
    allow_outside: bool = False
    workers: int | None = None
    device: str = "auto"
    encoders: Mapping[str, str] = field(default_factory=dict)
    class_weights: str | None = None
    folds: int | None = None

    def check(self, problems: Problems) -> None:
        """Note every mistake that can be seen without reading a table."""
        wrong = [name for name, (types, _) in TYPES.items() if not _is_one_of(getattr(self, name), types)]
        for name in wrong:
            problems.add(f"--{name.replace('_', '-')} is {getattr(self, name)!r}; give {TYPES[name][1]}.")
        if not wrong:
            self._check_values(problems)

    def plain(self) -> FitOptions:
        """The same with Python's own numbers in place of NumPy's."""
        numbers = {name: value.item() for name, value in vars(self).items() if isinstance(value, np.generic)}
        return replace(self, **numbers, class_weights=None if self.class_weights == "none" else self.class_weights)

    def _check_values(self, problems: Problems) -> None:
        if self.time_limit is not None and self.trials is not None:
            problems.add(
                "Both --time-limit and --trials are given; give one: a limit in seconds, or a number of trials."
            )
        if self.time_limit is not None and not (self.time_limit > 0 and math.isfinite(self.time_limit)):
            problems.add(f"--time-limit is {self.time_limit:g}; give a number of seconds above 0.")
        if self.trials is not None and self.trials < 1:
            problems.add(f"--trials is {self.trials}; give 1 or more.")
        if self.folds is not None and not 1 <= self.folds <= MOST_FOLDS:
            problems.add(f"--folds is {self.folds}; give 1 to {MOST_FOLDS}.")
        if not 0 <= self.seed < 2**32:
            problems.add(f"--seed is {self.seed}; give a whole number from 0 to {2**32 - 1}.")
        if self.bad_rows not in BAD_ROWS:
            problems.add(f"--bad-rows is {self.bad_rows!r}; {did_you_mean(self.bad_rows, BAD_ROWS)}.")
        if self.class_weights not in (None, *CLASS_WEIGHTS):
            problems.add(
                f"--class-weights is {self.class_weights!r}; {did_you_mean(self.class_weights, CLASS_WEIGHTS)}."
            )
        if self.workers is not None and self.workers < 1:
            problems.add(f"--workers is {self.workers}; give 1 or more.")
        if self.wishes.split and (self.validation is not None or self.test is not None):
            problems.add(
                "--split-column says which rows are for what, and so do --validation and --test; give one of both."
            )
        if not isinstance(self.schema, Schema | str | PathLike | NoneType):
            problems.add(f"schema is a {type(self.schema).__name__}; give a Schema, or the path of a schema.json.")
        wishes = self.wishes
        if self.schema and (wishes.inputs or wishes.ignored or wishes.kinds or wishes.targets or wishes.modalities):
            problems.add(
                "--schema holds roles, kinds and modalities already; change them there, or leave --schema out."
            )
        if problem := strategy_problem(self.strategy):
            problems.add(f"--strategy is {self.strategy!r}; {problem}.")
        self._check_device(problems)

    def _check_device(self, problems: Problems) -> None:
        if self.device in ("auto", "cpu"):
            return
        import torch

        try:
            device = torch.device(self.device)
        except RuntimeError:
            problems.add(f"--device is {self.device!r}; give auto, cpu or cuda.")
            return
        if device.type != "cuda" or not torch.cuda.is_available():
            problems.add(f"--device is {self.device!r}, which is not to be had on this machine; give auto or cpu.")

    def torch_device(self) -> str:
        """The device to use."""
        import torch

        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def processes(self) -> int:
        """How many processes decode and encode."""
        import joblib

        return self.workers or int(joblib.cpu_count())

    @property
    def limit(self) -> float | None:
        """Seconds for the whole fit, None for a fit by counts."""
        if self.trials is not None:
            return None
        return self.time_limit if self.time_limit is not None else DEFAULT_TIME_LIMIT
