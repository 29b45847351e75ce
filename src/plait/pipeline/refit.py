"""The stage that keeps what predicts: the weights of the chosen networks and of what combines them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from plait.exceptions import InputError
from plait.fusion.network import FusionNetwork
from plait.pipeline._base import COMPARED, Fit, Stage
from plait.pipeline.finetune import raw_rows
from plait.pipeline.run import MANIFEST, file_digest
from plait.training.checkpoints import load_tensors, save_tensors
from plait.training.model import Bag, Model, ValuesOnly

WEIGHTS: Final = "weights.safetensors"

MOST_GATED: Final = 5_000
"""Validation rows whose gates are looked at."""


def load_weights(run: Path, manifest: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a finished run, checked to be those that its manifest names.

    Raises:
        InputError: They are missing, altered or damaged.
    """
    path = run / WEIGHTS
    expected = manifest["weights"]["sha256"]
    if not path.exists() or file_digest(path) != expected:
        state = "are missing" if not path.exists() else "were altered since the fit: their checksum differs"
        raise InputError(f"The weights {path} {state}. Restore the file, or fit again.")
    return load_tensors(path)


def chosen_bag(fit: Fit) -> Bag:
    """What is returned, over decoded inputs."""
    if fit.finetuned is not None:
        return Bag([fit.finetuned])
    trial = fit.trials[fit.chosen.chosen]
    encoded, used = trial.candidate.encoded, trial.candidate.used
    models = [
        Model({name: networks[name] if name in encoded else ValuesOnly() for name in used}, decision, fit.tasks).eval()
        for networks, decision in fit.copies(trial)
    ]
    return Bag(models)


def place_of(number: int) -> str:
    """Where the weights of one of several models stand: what the names of its tensors begin with."""
    return f"turn/{number}/" if number else ""


def _gates(fit: Fit, model: Model) -> list[dict[str, Any]]:
    """For every gate cell, how much its sources count on validation rows: mean and 10 % and 90 % quantiles."""
    architecture = fit.trials[fit.chosen.chosen].candidate.architecture
    if architecture is None or not isinstance(model.decision, FusionNetwork):
        return []
    if not any(cell.operation == "gate" for cell in architecture.cells):
        return []
    found: dict[int, list[Tensor]] = {}
    with torch.inference_mode():
        for batch in raw_rows(fit, model.names).at(fit.validation[:MOST_GATED]).in_order():
            for number, shares in model.decision.gate_shares(model.hidden(batch), batch.present).items():
                found.setdefault(number, []).append(shares)
    told = []
    for number, pieces in found.items():
        shares = torch.cat(pieces, dim=1).double()
        quantiles = torch.quantile(shares, torch.tensor([0.1, 0.9], dtype=torch.float64), dim=1)
        told.append(
            {
                "cell": number, "sources": [str(source) for source in architecture.cells[number - 1].sources],
                "mean": shares.mean(dim=1).tolist(), "low": quantiles[0].tolist(), "high": quantiles[1].tolist(),
            }
        )  # fmt: skip
    return told


class RefitStage(Stage):
    """The returned predictor's weights: those of the networks that the choice reads, and of what combines them."""

    name = "refit"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", *COMPARED, "choose", "finetune")

    def files(self, fit: Fit) -> list[str]:
        """The weights."""
        return [WEIGHTS]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Write them."""
        bag, tensors = chosen_bag(fit), dict[str, Tensor]()
        for turn, model in enumerate(bag):
            parts = {"decision": model.decision, **{f"network/{n}": one for n, one in enumerate(model.networks)}}
            for part, module in parts.items():
                tensors |= {f"{place_of(turn)}{part}/{key}": value for key, value in module.state_dict().items()}
        (fit.run.path / MANIFEST).unlink(missing_ok=True)  # until the new one, the run is unfinished, not altered
        save_tensors(fit.run.path / WEIGHTS, tensors)
        return {"gates": _gates(fit, bag.first), "models": len(bag.models)}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""
