"""What a ledger's rows say of each candidate: one attempt per proposer and candidate, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from plait.exceptions import InputError, one_line
from plait.fusion.architecture import Architecture
from plait.fusion.candidates import Candidate

State = Literal["complete", "pruned", "failed"]

NONE = "none"
"""What a parameter is that a candidate does not have: every trial has all parameters, so that all can be compared."""

HEADS = "heads"


@dataclass(frozen=True)
class Attempt:
    """All that one proposer learned of one candidate.

    Attributes:
        candidate: What was tried.
        proposer: Who asked for it.
        seed: Of the search.
        state: `complete` with the score of a whole training, `pruned` if it ended earlier, `failed` without a score.
        score: The last one; None if there is none.
        scores: The last score of each seed or repeat.
        by_passes: Scores by the number of passes after which they were taken; empty for whole trainings alone.
        rung: The last one that it reached, counted for each proposer.
        began: Seconds that all rows before its first one took.
        seconds: Its own, over all rungs.
    """

    candidate: Candidate
    proposer: str
    seed: int
    state: State
    score: float | None
    scores: tuple[float | None, ...]
    by_passes: dict[int, float]
    rung: int
    began: float
    seconds: float

    @property
    def architecture(self) -> str | None:
        """Its text; None for one modality alone and for late rules."""
        return None if self.candidate.architecture is None else str(self.candidate.architecture)


def attempts(rows: Sequence[Mapping[str, Any]]) -> list[Attempt]:
    """The attempts of a ledger's rows, in the order in which they began.

    A search's whole training is the highest number of passes that any of its rows has: what ends earlier is pruned.

    Raises:
        InputError: A row is no candidate that this plait knows.
    """
    whole = max((row["passes"] for row in rows if row["passes"] is not None), default=0)
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    began: dict[tuple[str, str], float] = {}
    clock = 0.0
    for row in rows:
        key = row["proposer"], row["name"]
        began.setdefault(key, clock)
        groups.setdefault(key, []).append(row)
        clock += row["seconds"]
    return [_attempt(group, began[key], whole) for key, group in groups.items()]


def _attempt(rows: Sequence[Mapping[str, Any]], began: float, whole: int) -> Attempt:
    """The attempt of one candidate's rows."""
    rows = sorted(rows, key=lambda row: (row["passes"] is None, row["passes"], row["number"]))
    last = rows[-1]
    state: State = "complete"
    if last["score"] is None:
        state = "failed"
    elif last["passes"] is not None and last["passes"] < whole:
        state = "pruned"
    return Attempt(
        _candidate(last), last["proposer"], last["seed"], state, last["score"], tuple(last["scores"]),
        {row["passes"]: row["score"] for row in rows if row["passes"] is not None and row["score"] is not None},
        last["rung"], began, sum(row["seconds"] for row in rows),
    )  # fmt: skip


def _candidate(row: Mapping[str, Any]) -> Candidate:
    try:
        return Candidate.model_validate(row["candidate"])
    except ValueError as error:
        raise InputError(f"The trial {row['name']!r} is none that this plait knows: {one_line(error)}") from error


# Parameters


def parameters(candidates: Sequence[Candidate]) -> list[dict[str, str | int]]:
    """Readable parameters of candidates, the same names for all: `none` stands where one does not apply.

    `cells`; for each cell its operation, its activation and the layer of each modality that any of the candidates
    reads; which cell or the heads it feeds, where that does not follow from their number. Where there are others than
    architectures: the kind, the late rule, and the modality that stands alone.

    Example:
        >>> deep = Architecture.parse("c1 = relu(concat(image.2, sound.0)); c2 = tanh(gate(sound.4, c1))")
        >>> found = parameters([Candidate(name="deep", kind="architecture", architecture=deep)])
        >>> found[0]["c2 operation"], found[0]["c1 reads image"], found[0]["c2 reads image"]
        ('gate', 'layer 2', 'none')
    """
    architectures = [candidate.architecture for candidate in candidates]
    deepest = max((len(one.cells) for one in architectures if one is not None), default=0)
    names = sorted({name for one in architectures if one is not None for name in one.modalities})
    found = [_of_architecture(one, deepest, names) for one in architectures]
    if None in architectures:
        others = [{"kind": one.kind, "rule": one.rule or NONE, "alone": one.modality or NONE} for one in candidates]
        return [{**other, **told} for other, told in zip(others, found, strict=True)]
    return found


def _of_architecture(architecture: Architecture | None, deepest: int, names: Sequence[str]) -> dict[str, str | int]:
    """Parameters of an architecture among such of up to `deepest` cells over some modalities."""
    cells = () if architecture is None else architecture.cells
    readers = {source.cell: f"c{n}" for n, cell in enumerate(cells, 1) for source in cell.sources if source.cell}
    told: dict[str, str | int] = {"cells": len(cells)} if deepest else {}
    for number in range(1, deepest + 1):
        cell = cells[number - 1] if number <= len(cells) else None
        told[f"c{number} operation"] = cell.operation if cell else NONE
        told[f"c{number} activation"] = cell.activation if cell else NONE
        if number < deepest - 1:  # the last but one feeds the last
            told[f"c{number} feeds"] = readers.get(number, HEADS) if cell else NONE
        for name in names:
            layers = [s.layer for s in cell.sources if s.modality == name] if cell else []
            told[f"c{number} reads {name}"] = " + ".join(f"layer {layer}" for layer in layers) or NONE
    return told
