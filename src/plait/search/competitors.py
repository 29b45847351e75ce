"""What stands in every leaderboard: each modality alone, early, late by every rule, plain concatenations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plait.fusion.architecture import Architecture, concat_of
from plait.fusion.candidates import Candidate
from plait.fusion.late import LATE_RULES
from plait.fusion.moddrop import RATE, merged_by_likeness
from plait.tasks._base import Task

MODDROP = "moddrop"
CONCAT = "concat of last layers"


def competitors(
    widths: Mapping[str, Sequence[int]], kept: Sequence[str] | None = None,
    likeness: Mapping[tuple[str, str], float] | None = None, tasks: Sequence[Task] = (),
) -> list[Candidate]:  # fmt: skip
    """What always competes, in the order of costs.

    Args:
        widths: By modality, widths of layers 0..L+1.
        kept: The modalities that are fused; all by default. The others compete alone.
        likeness: How alike the last layers of two modalities are, by names in sorted order; without it, nothing
            competes that is merged by likeness.
        tasks: The tasks; a late rule that does not suit one of them does not compete.
    """
    found = [Candidate(name=name, kind="unimodal", modality=name) for name in sorted(widths)]
    names = tuple(sorted(widths if kept is None else kept))
    widths = {name: widths[name] for name in names}
    if len(names) > 1:
        rules = [name for name in LATE_RULES if all(LATE_RULES[name].suits(task) for task in tasks)]
        found += [Candidate(name=f"late {rule}", kind="late", rule=rule, modalities=names) for rule in rules]
        found.append(Candidate(name="early", kind="early", architecture=concat_of(dict.fromkeys(names, 0), depth=2)))
        found.append(Candidate(name=CONCAT, kind="architecture", architecture=_concat(widths, 1.0)))
        if likeness is not None:
            merged = merged_by_likeness({name: len(layers) - 2 for name, layers in widths.items()}, likeness)
            found.append(
                Candidate(name=MODDROP, kind="architecture", architecture=merged, modality_dropout=RATE)
            )  # fmt: skip
    return found


def _concat(widths: Mapping[str, Sequence[int]], depth: float) -> Architecture:
    """One layer per modality at the same relative depth: 1.0 is the last hidden layer, L."""
    return concat_of({name: max(1, round(depth * (len(layers) - 2))) for name, layers in widths.items()})
