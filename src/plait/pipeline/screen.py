"""The stage that asks, before anything is fused, which modalities say something: alone, together, or multiplied."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from plait.pipeline._base import Fit, Stage
from plait.search.screening import Screening

SHOWN = 20
"""Pairs of modalities that are written down: those that say most."""


class ScreenStage(Stage):
    """Screens all hidden states without training; modalities that are noise are not fused."""

    name = "screen"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "cache")

    def inputs(self, fit: Fit) -> list[str]:
        """The networks and the seed."""
        return [*fit.encoder_results(), str(fit.options.seed)]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Screen, and say what is discarded."""
        if len(fit.networks) < 2:
            return {"told": None, "kept": list(fit.networks)}
        fit.narrator.begin("Screening modalities")
        found = screening_of(fit)
        fit.narrator.end()
        kept = list(found.kept) if len(found.kept) > 1 else sorted(fit.networks)
        if dropped := sorted(set(fit.networks) - set(kept)):
            fit.note(
                f"Screening found nothing in {', '.join(dropped)}, neither alone nor with another modality: they "
                "compete alone and are not fused."
            )
        elif len(found.kept) < len(fit.networks):
            nothing = ", ".join(sorted(set(fit.networks) - set(found.kept)))
            fit.note(
                f"Screening found nothing in {nothing}, neither alone nor with another modality. All are fused the "
                "same, since fewer than two would be left to fuse: the comparison decides."
            )
        told = found.told()
        return {"kept": kept, "told": told | {"pairs": told["pairs"][:SHOWN], "layers": told["layers"][:SHOWN]}}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over: the search looks into the result."""


def screening_of(fit: Fit) -> Screening:
    """The screening of the fit's hidden states, done once."""
    if fit.screening is None:
        rows = fit.both
        train = np.arange(len(fit.train))
        labels = fit.labels.at(rows)
        fit.screening = Screening.of(
            fit.states, {name: fit.decoded[name].present[rows] for name in fit.networks}, fit.widths(), fit.tasks,
            labels, train[labels.anything[train]], np.arange(len(fit.train), len(rows)), fit.options.seed,
        )  # fmt: skip
    return fit.screening
