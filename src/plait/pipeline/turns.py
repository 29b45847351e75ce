"""Whether training rows take turns at being judged, and what time is kept for it."""

from __future__ import annotations

from typing import Final

from plait.pipeline._base import Fit

FEW: Final = 150
"""Where plait has drawn fewer validation rows, training rows are judged as well."""

PARTS: Final = 5
"""Parts of the training and validation rows that are judged in turn; the first is the validation rows."""


def validation_is_drawn(fit: Fit) -> bool:
    """Whether plait has drawn the validation rows; rows that are given as such judge alone."""
    return bool((fit.source.given[fit.both] == -1).all())


def turns_of(fit: Fit) -> int:
    """How often training rows are judged in the place of validation rows: never where those are many, or given."""
    asked = fit.options.folds
    if not validation_is_drawn(fit) or (asked is None and len(fit.validation) >= FEW):
        return 0
    return min((PARTS if asked is None else asked) - 1, len(fit.train) // 2)


def kept_for_turns(fit: Fit) -> float:
    """Seconds that a search leaves to the turns that follow it: about what they will take, half of the rest at most."""
    encoders = sum(fit.seconds[f"encode-{number}"] for number in range(len(fit.modalities)))
    return min(0.5 * fit.clock.left, turns_of(fit) * encoders / min(PARTS - 1, fit.options.processes))
