"""Candidates: what competes to be returned, as data: one modality, a late rule, an architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plait.classical._base import ClassicalSpec
from plait.classical.decision import ClassicalDecision
from plait.data.readers._base import Reader
from plait.fusion.architecture import Architecture
from plait.fusion.ensemble import Apart, Ensemble
from plait.fusion.late import LateFusion, SingleModality
from plait.fusion.network import FusionNetwork
from plait.tasks._base import Task

CandidateKind = Literal["unimodal", "late", "early", "architecture", "classical", "ensemble"]
COST_ORDER: tuple[CandidateKind, ...] = ("unimodal", "late", "early", "architecture", "classical", "ensemble")

Decision = SingleModality | LateFusion | FusionNetwork | ClassicalDecision | Ensemble | Apart
"""What turns hidden states into outputs."""


class Candidate(BaseModel):
    """One competitor. Exactly one of `modality`, `rule`, `architecture`, `classical` and `members` is given.

    Attributes:
        name: What the leaderboard calls it.
        kind: Its kind in the leaderboard.
        modality: For one modality alone.
        rule: For late fusion of `modalities`.
        modalities: Which modalities a late rule combines.
        architecture: For a fusion architecture.
        classical: For a classical model.
        members: For an ensemble: what it averages; or, of several targets, what answers each of them alone (`only`).
        counts: How often each member counts.
        only: Names of the tasks that it learns and answers; none for all.
        modality_dropout: How often a modality of a training row is dropped; its weights then begin block-diagonal.
        proposer: The strategy that found it; empty for what always competes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: CandidateKind
    modality: str | None = None
    rule: str | None = None
    modalities: tuple[str, ...] = ()
    architecture: Architecture | None = None
    classical: ClassicalSpec | None = None
    members: tuple[Candidate, ...] = ()
    counts: tuple[int, ...] = ()
    only: tuple[str, ...] = ()
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    proposer: str = ""

    @model_validator(mode="after")
    def _one_thing(self) -> Candidate:
        given = (self.modality, self.rule, self.architecture, self.classical, self.members or None)
        if sum(one is not None for one in given) != 1:
            raise ValueError(
                f"candidate {self.name!r} is one modality, late rule, architecture, classical model or ensemble"
            )
        if len(self.counts) != len(self.members) or any(count < 1 for count in self.counts):
            raise ValueError(f"candidate {self.name!r}: every member counts once or more often")
        if (self.rule is None) != (not self.modalities):
            raise ValueError(
                f"candidate {self.name!r}: a late rule, and nothing else, names the modalities it combines"
            )
        return self

    @property
    def trained(self) -> bool:
        """Whether it has weights of its own to be trained on training rows."""
        return self.architecture is not None

    @property
    def used(self) -> tuple[str, ...]:
        """Modalities that it reads, in sorted order."""
        if self.architecture is not None:
            return self.architecture.modalities
        if self.members:
            return tuple(sorted({name for member in self.members for name in member.used}))
        if self.classical is not None:
            return self.classical.modalities
        return (self.modality,) if self.modality is not None else tuple(sorted(self.modalities))

    @property
    def raw(self) -> tuple[str, ...]:
        """Modalities whose reader's arrays it reads, in sorted order."""
        own = () if self.classical is None else self.classical.raw
        return tuple(sorted({*own, *(name for member in self.members for name in member.raw)}))

    @property
    def encoded(self) -> tuple[str, ...]:
        """Modalities of which it reads hidden states, in sorted order: the others need not be encoded."""
        if self.members:
            return tuple(sorted({name for member in self.members for name in member.encoded}))
        return tuple(name for name in self.used if name not in self.raw)

    @property
    def sources(self) -> int:
        """How many sources it reads, its members' together."""
        if self.architecture is not None:
            return self.architecture.size
        return sum(member.sources for member in self.members) or len(self.used)

    @property
    def cost(self) -> tuple[int, int, int]:
        """Where it stands in the order of costs: by kind, ensembles by number of modalities, then by sources."""
        return COST_ORDER.index(self.kind), len(self.used) if self.members else 0, self.sources

    def build(
        self, layer_widths: Mapping[str, Sequence[int]], tasks: Sequence[Task],
        readers: Mapping[str, Reader] | None = None,
    ) -> Decision:  # fmt: skip
        """A fresh module for it; weights from torch's global generator.

        Args:
            layer_widths: By modality, widths of layers 0..L+1.
            tasks: The tasks.
            readers: By modality; at least those of `raw`.
        """
        if self.architecture is not None:
            return FusionNetwork(self.architecture, layer_widths, tasks)
        if self.members and all(one.only for one in self.members):
            return Apart(
                [one.build(layer_widths, tasks, readers) for one in self.members], [m.only for m in self.members]
            )
        if self.members:
            return Ensemble([one.build(layer_widths, tasks, readers) for one in self.members], self.counts, tasks)
        if self.classical is not None:
            return ClassicalDecision(self.classical, tasks, readers or {})
        if self.rule is not None:
            return LateFusion(self.rule, self.modalities, tasks)
        return SingleModality(str(self.modality), tasks)
