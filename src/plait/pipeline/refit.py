"""The stage that keeps what predicts: the weights of the chosen networks and of what combines them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from torch import Tensor

from plait.pipeline._base import Fit, Stage
from plait.pipeline.run import MANIFEST, file_digest
from plait.training.checkpoints import save_tensors

WEIGHTS: Final = "weights.safetensors"


class RefitStage(Stage):
    """The returned predictor's weights: those of the networks that the choice reads, and of what combines them."""

    name = "refit"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", "evaluate", "choose")

    def files(self, fit: Fit) -> list[str]:
        """The weights."""
        return [WEIGHTS]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Write them."""
        trial = fit.trials[fit.chosen.chosen]
        tensors: dict[str, Tensor] = {f"decision/{name}": tensor for name, tensor in trial.weights.items()}
        for number, name in enumerate(trial.candidate.used):
            tensors |= {f"network/{number}/{key}": value for key, value in fit.networks[name].state_dict().items()}
        (fit.run.path / MANIFEST).unlink(missing_ok=True)  # until the new one, the run is unfinished, not altered
        save_tensors(fit.run.path / WEIGHTS, tensors)
        return {"weights": file_digest(fit.run.path / WEIGHTS)}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""
