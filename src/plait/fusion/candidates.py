"""Candidates: what competes to be returned, described as data: one modality, a late rule, an architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from plait.fusion.architecture import Architecture
from plait.fusion.late import LateFusion, SingleModality
from plait.fusion.network import FusionNetwork
from plait.tasks._base import Task

CandidateKind = Literal["unimodal", "late", "early", "architecture", "classical", "ensemble"]
COST_ORDER: tuple[CandidateKind, ...] = ("unimodal", "late", "early", "architecture", "classical", "ensemble")

Decision = SingleModality | LateFusion | FusionNetwork
"""What turns hidden states into outputs."""


class Candidate(BaseModel):
    """One competitor. Exactly one of `modality`, `rule` and `architecture` is given.

    Attributes:
        name: What the leaderboard calls it.
        kind: Its kind in the leaderboard.
        modality: For one modality alone.
        rule: For late fusion of `modalities`.
        modalities: Which modalities a late rule combines.
        architecture: For a fusion architecture.
        proposer: The strategy that found it; empty for what always competes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: CandidateKind
    modality: str | None = None
    rule: str | None = None
    modalities: tuple[str, ...] = ()
    architecture: Architecture | None = None
    proposer: str = ""

    @model_validator(mode="after")
    def _one_thing(self) -> Candidate:
        if sum(given is not None for given in (self.modality, self.rule, self.architecture)) != 1:
            raise ValueError(f"candidate {self.name!r} is one modality, one late rule or one architecture")
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
        return (self.modality,) if self.modality is not None else tuple(sorted(self.modalities))

    @property
    def cost(self) -> tuple[int, int]:
        """Where it stands in the order of costs: by kind, then by number of sources."""
        sources = self.architecture.size if self.architecture is not None else len(self.used)
        return COST_ORDER.index(self.kind), sources

    def build(self, layer_widths: Mapping[str, Sequence[int]], tasks: Sequence[Task]) -> Decision:
        """A fresh module for it; weights from torch's global generator."""
        if self.architecture is not None:
            return FusionNetwork(self.architecture, layer_widths, tasks)
        if self.rule is not None:
            return LateFusion(self.rule, self.modalities, tasks)
        return SingleModality(str(self.modality), tasks)
