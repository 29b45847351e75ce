"""What a stage of a fit is, and what stages share."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from plait._version import __version__
from plait.data.cache import ArrayCache
from plait.data.decode import Decoded
from plait.data.digest import key_of
from plait.data.readers._base import Reader
from plait.data.schema import Modality, Schema
from plait.data.splits import TEST, TRAIN, VALIDATION
from plait.data.table import Table
from plait.fusion.candidates import Candidate, Decision
from plait.pipeline.narrator import Narrator
from plait.pipeline.options import FitOptions
from plait.pipeline.run import RunFolder, file_digest
from plait.search.choosing import Choice
from plait.search.evaluator import Trial
from plait.search.screening import Screening
from plait.tasks._base import Task
from plait.tasks.score import Labels
from plait.training.checkpoints import below, load_into
from plait.training.model import Model, UnimodalNetwork


@dataclass
class Source:
    """What the fit reads: all rows of all given tables under one another.

    Attributes:
        table: The columns that matter: inputs, targets, group, split.
        given: [rows]: the part that a row's own table or the split column gives it; -1 where it is to be drawn.
        origin: [rows]: 0, 1, 2 for the training, validation and test table.
        numbers: [rows]: the row's position in its own table.
        schema: Roles and kinds.
        digests: By modality, [rows]: content digests.
        fingerprint: A digest over everything above.
        bad: Reasons by row for media paths that lead nowhere good, "modality: reason".
        types: By target, what its cells are in the training table: others may write the same labels otherwise.
    """

    table: Table
    given: NDArray[np.int8]
    origin: NDArray[np.int8]
    numbers: NDArray[np.int64]
    schema: Schema
    digests: dict[str, NDArray[np.uint64]]
    fingerprint: str
    bad: dict[int, str]
    types: dict[str, pa.DataType]

    def take(self, rows: NDArray[np.int64]) -> Source:
        """The same with some of the rows only."""
        new = {int(row): position for position, row in enumerate(rows)}
        return Source(
            self.table.take(rows), self.given[rows], self.origin[rows], self.numbers[rows], self.schema,
            {name: digests[rows] for name, digests in self.digests.items()}, self.fingerprint,
            {new[row]: reason for row, reason in self.bad.items() if row in new}, self.types,
        )  # fmt: skip


@dataclass(frozen=True)
class Given:
    """An encoder that a fit is given: it was trained elsewhere and stays as it is.

    Attributes:
        form: Where it is from, as the caller wrote it.
        told: The same in words, as in "encoder of ...".
        reader: What it was trained on is read by this reader, and so is its modality in this fit.
        encoder: Its name in the registry.
        weights: Its state dict.
        digest: A digest of the weights.
    """

    form: str
    told: str
    reader: Reader
    encoder: str
    weights: Mapping[str, Tensor]
    digest: str


def identity(candidate: Candidate) -> str:
    """What a candidate is, as text: names may come twice, where columns are called like competitors."""
    return candidate.model_dump_json(exclude_defaults=True)


@dataclass(frozen=True)
class Learned:
    """What was learned from some rows: copies of networks and of what decides.

    Attributes:
        networks: By modality.
        weights: State dicts of decisions, by the candidate's `identity`.
    """

    networks: Mapping[str, UnimodalNetwork]
    weights: Mapping[str, Mapping[str, Tensor]]

    def of(self, candidate: Candidate, otherwise: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights of a candidate, its members' in their places.

        Args:
            candidate: The candidate.
            otherwise: Its weights where these rows have none of their own.
        """
        if not candidate.members:
            return self.weights.get(identity(candidate), otherwise)
        found = {name: tensor for name, tensor in otherwise.items() if not name.startswith("members.")}
        for number, member in enumerate(candidate.members):
            prefix = f"members.{number}."
            own = self.of(member, below(prefix, otherwise))
            found |= {f"{prefix}{name}": tensor for name, tensor in own.items()}
        return found


class Clock:
    """Time left of a fit's limit; a fit by counts has no limit and never asks.

    Args:
        limit: Seconds for the whole fit, or None.
        spent: Seconds that earlier, interrupted calls have used.
    """

    def __init__(self, limit: float | None, spent: float = 0.0) -> None:
        self.limit, self.spent, self.started = limit, spent, time.monotonic()

    @property
    def left(self) -> float:
        """Seconds left; infinite without a limit."""
        if self.limit is None:
            return float("inf")
        return self.limit - self.spent - (time.monotonic() - self.started)


@dataclass
class Fit:
    """What the stages of one fit share: each reads what earlier ones left here and leaves its own.

    `given` are the encoders that are not to be learned, by modality. `answered` are the tasks with the thresholds of
    what is returned; nothing is chosen by them. `judged` are the positions of the rows that trials' outputs are of: the
    validation rows, first among others where few rows take turns at being judged; `turns` is what was learned from the
    others in each of these turns.
    `key` is a digest of everything that the stage now at work depends on; `redone` says whether any stage had to work.
    """

    options: FitOptions
    run: RunFolder
    source: Source
    narrator: Narrator
    clock: Clock
    cache: ArrayCache
    given: Mapping[str, Given] = field(default_factory=dict)
    parts: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    tasks: tuple[Task, ...] = ()
    labels: Labels = field(default_factory=lambda: Labels({}, {}))
    modalities: tuple[Modality, ...] = ()
    readers: dict[str, Reader] = field(default_factory=dict)
    decoded: dict[str, Decoded] = field(default_factory=dict)
    networks: dict[str, UnimodalNetwork] = field(default_factory=dict)
    encoders: dict[str, str] = field(default_factory=dict)
    states: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    screening: Screening | None = None
    classical: list[Trial] = field(default_factory=list)
    judged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    turns: list[Learned] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    choice: Choice | None = None
    finetuned: Model | None = None
    answered: tuple[Task, ...] = ()
    notes: list[str] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    redone: bool = False
    key: str = ""

    def rows(self, part: int) -> NDArray[np.int64]:
        """Positions of the rows of one part."""
        return np.flatnonzero(self.parts == part).astype(np.int64)

    @property
    def train(self) -> NDArray[np.int64]:
        """Positions of the training rows."""
        return self.rows(TRAIN)

    @property
    def validation(self) -> NDArray[np.int64]:
        """Positions of the validation rows."""
        return self.rows(VALIDATION)

    @property
    def both(self) -> NDArray[np.int64]:
        """Positions of the training rows, then of the validation rows: the order of `states`."""
        return np.concatenate([self.train, self.validation])

    @property
    def test(self) -> NDArray[np.int64]:
        """Positions of the test rows."""
        return self.rows(TEST)

    @property
    def chosen(self) -> Choice:
        """The choice, once it was made."""
        if self.choice is None:
            raise ValueError("the stage `choose` has not run")
        return self.choice

    def note(self, sentence: str) -> None:
        """Tell the user something, now and in the report."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self.narrator.note(sentence)
            self.run.log("note", text=sentence)

    def widths(self) -> dict[str, tuple[int, ...]]:
        """By modality, widths of layers 0..L+1."""
        return {name: network.widths for name, network in self.networks.items()}

    def encoder_results(self) -> list[str]:
        """What the training of each encoder came to, as text: part of the key of all that reads hidden states."""
        return [str(result) for name, result in self.results.items() if name.startswith("encode-")]

    def decision(self, trial: Trial, turn: Learned | None = None) -> Decision:
        """What a trial decides by, with its weights; or with those of a turn."""
        module = trial.candidate.build(self.widths(), self.tasks, self.readers)
        weights = trial.weights if turn is None else turn.of(trial.candidate, trial.weights)
        load_into(module, weights, f"Trial {trial.candidate.name!r}")
        return module

    def copies(self, trial: Trial) -> list[tuple[Mapping[str, UnimodalNetwork], Decision]]:
        """Networks and decision of a trial; where it reads networks, once for each turn that learned its own."""
        turns = self.turns if trial.candidate.encoded else []
        found: list[tuple[Mapping[str, UnimodalNetwork], Decision]] = [(self.networks, self.decision(trial))]
        return found + [(turn.networks, self.decision(trial, turn)) for turn in turns]

    def content_key(self, modality: str) -> str:
        """What the decoded arrays of a modality are: content and reader options."""
        return key_of([self.source.digests[modality], self.readers[modality].model_dump_json()])


COMPARED: Final = ("classical", "evaluate", "folds", "ensemble")
"""Stages whose results together tell every trial: what comes after the comparison depends on all of them."""


class Stage(ABC):
    """One stage of a fit.

    Order of calls: `inputs`; if the run folder holds a result for exactly these inputs, `adopt` with it; otherwise
    `work`, whose result is written down atomically, then `adopt`. `work` may leave files of its own under
    `fit.run.stages`, written atomically before it returns; `adopt` must get along with a cache that was emptied.

    Attributes:
        name: Its name in the run folder.
        after: Names of the earlier stages whose results it depends on.
    """

    name: str
    after: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def work(self, fit: Fit) -> dict[str, Any]:
        """Do it; the result must survive JSON."""

    @abstractmethod
    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Put the result where later stages look for it."""

    def inputs(self, fit: Fit) -> list[str]:
        """What it depends on beside the tables and earlier stages' results: options."""
        return []

    def files(self, fit: Fit) -> list[str]:
        """Names of the files, in the run folder, without which a result is worth nothing."""
        return []

    def is_stale(self, fit: Fit, result: dict[str, Any]) -> bool:
        """Whether a result for these inputs is to be had better now.

        That is so where time ended the work, and there is more of it now: `work` then leaves the limit under which it
        was done as `cut`, and None where it came to its own end.
        """
        cut = result.get("cut")
        return cut is not None and (fit.options.limit or math.inf) > cut

    def __call__(self, fit: Fit) -> None:
        """Run the stage, or take its result from the run folder."""
        earlier = [json.dumps(_without_seconds(fit.results[name]), sort_keys=True) for name in self.after]
        key = key_of([__version__, self.name, fit.source.fingerprint, *earlier, *self.inputs(fit)])
        marker = fit.run.marker(self.name)
        if (
            marker is not None
            and marker.get("key") == key
            and marker["result"].get("files") == self._digests(fit)
            and not self.is_stale(fit, marker["result"])
        ):
            result, seconds = marker["result"], float(marker["seconds"])
        else:
            fit.redone = True
            fit.run.log("stage", name=self.name, state="begun")
            before, started = len(fit.notes), time.monotonic()
            fit.clock.spent -= float(marker["seconds"]) if marker is not None and fit.clock.spent else 0.0
            fit.key = key
            result = self.work(fit) | {"notes": fit.notes[before:]}
            # Equal figures may come from other weights: what depends on the files must know them.
            result["files"] = self._digests(fit)
            result = json.loads(json.dumps(result, allow_nan=False))
            seconds = time.monotonic() - started
            fit.run.mark(self.name, key, result, seconds)
            fit.run.log("stage", name=self.name, state="done", seconds=round(seconds, 3))
        for sentence in result["notes"]:
            fit.note(sentence)
        fit.results[self.name], fit.seconds[self.name] = result, seconds
        self.adopt(fit, result)

    def _digests(self, fit: Fit) -> dict[str, str | None]:
        """Digests of its files by name; None for one that is not there."""
        paths = {name: fit.run.path / name for name in self.files(fit)}
        return {name: file_digest(path) if path.exists() else None for name, path in paths.items()}


def _without_seconds(result: Any) -> Any:
    """A result without its timings, which differ from call to call and decide nothing."""
    if isinstance(result, dict):
        return {name: _without_seconds(value) for name, value in result.items() if name != "seconds"}
    return [_without_seconds(value) for value in result] if isinstance(result, list) else result
