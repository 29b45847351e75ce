"""The stage that computes the hidden states of training and validation rows, once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.encoders.cache import hidden_states
from plait.pipeline._base import Fit, Stage


class CacheStage(Stage):
    """Hidden states of the training and validation rows, mapped from the cache."""

    name = "cache"

    def inputs(self, fit: Fit) -> list[str]:
        """Everything that the networks depend on."""
        return fit.encoder_results()

    def work(self, fit: Fit) -> dict[str, Any]:
        """Compute what is not cached yet."""
        fit.states = encode_rows(fit, fit.both)
        return {"rows": len(fit.train) + len(fit.validation)}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The mapped arrays; rows stand in the order training, then validation."""
        fit.states = fit.states or encode_rows(fit, fit.both)


def encode_rows(fit: Fit, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Hidden states of some rows by modality, [rows, sum of widths], from the cache or computed now."""
    states = {}
    for name, network in fit.networks.items():
        fit.narrator.begin(f"Encoding {name}", len(rows))
        states[name] = hidden_states(
            network, network.widths, fit.decoded[name].values, rows, fit.content_key(name), fit.cache,
            device=fit.options.torch_device(), workers=fit.options.processes, advance=fit.narrator.advance,
        )  # fmt: skip
        fit.narrator.end()
    return states
