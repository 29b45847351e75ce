"""The stage that trains the unimodal network of one modality; then it is frozen."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np

from plait.data.batches import Rows
from plait.encoders._base import ENCODERS, default_encoder
from plait.fusion.late import SingleModality
from plait.objectives.supervised import Supervised
from plait.pipeline._base import Fit, Stage
from plait.training.checkpoints import load_into, load_tensors, save_tensors
from plait.training.loop import EpochRecord, Hook, Plan, Trainer, passes, seeded_build
from plait.training.model import Model, UnimodalNetwork

ENCODER_SHARE = 0.6
"""Share of the time left that the training of all encoders may take."""

INPUT_SAMPLE = 4_096


def encoder_plan(rows: int, learning_rate: float, seed: int, seconds: float | None) -> Plan:
    """How to train an encoder: about 1,500 steps, at least 12 passes and at most 60."""
    batch_size = 32 if rows < 3_000 else 64
    epochs = passes(1_500, rows, batch_size, 12, 60)
    patience = max(5, epochs // 4)
    return Plan(epochs, batch_size, learning_rate, patience=patience, seed=seed, seconds=seconds)


class _Tell(Hook):
    """Tells the narrator how far a training is."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    def on_step(self, trainer: Trainer, progress: float) -> None:
        """Pass on the progress."""
        self.fit.narrator.fraction(progress)

    def on_epoch(self, trainer: Trainer, record: EpochRecord) -> None:
        """Write the epoch to the log."""
        self.fit.run.log("epoch", number=record.epoch, loss=record.loss, score=record.score)


class EncodeStage(Stage):
    """Trains the unimodal network of one modality on the rows that have it, with early stopping; then it is frozen.

    Args:
        modality: The modality's name.
        number: Its place in the schema; names the files.
    """

    after: ClassVar[tuple[str, ...]] = ("split", "decode")

    def __init__(self, modality: str, number: int) -> None:
        self.modality, self.number = modality, number
        self.name = f"encode-{number}"

    def inputs(self, fit: Fit) -> list[str]:
        """The modality's content, the seed, and whether time is limited."""
        return [fit.source.fingerprint, self.modality, str(fit.options.seed), str(fit.options.limit is None)]

    def files(self, fit: Fit) -> list[str]:
        """The weights."""
        return [f"stages/{self.name}.safetensors"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Train."""
        reader, decoded = fit.readers[self.modality], fit.decoded[self.modality]
        name = default_encoder(reader)
        network = self._network(fit, name)
        train = fit.train[decoded.present[fit.train] & fit.labels.anything[fit.train]]
        validation = fit.validation[decoded.present[fit.validation]]
        sample = np.sort(np.random.default_rng([fit.options.seed, 1]).permutation(train)[:INPUT_SAMPLE])
        network.encoder.fit_input(np.asarray(decoded.values[sample]), fit.options.seed)
        model = Model({self.modality: network}, SingleModality(self.modality, fit.tasks), fit.tasks)
        rows = Rows(
            {self.modality: decoded.values}, {self.modality: decoded.present}, fit.labels.targets, fit.labels.labelled
        )
        fit.narrator.begin(f"Learning {self.modality}", 100)
        trainer = Trainer(
            model, [Supervised()], encoder_plan(
                len(train), network.encoder.learning_rate, fit.options.seed, self._seconds(fit)
            ), hooks=[_Tell(fit)],
            checkpoint=fit.run.stages / f"{self.name}.{fit.key[:16]}.checkpoint", device=fit.options.torch_device(),
        )  # fmt: skip
        history = trainer.fit(rows.at(train), rows.at(validation)) if len(train) > 1 else []
        fit.narrator.end()
        if trainer.cut:
            fit.note(
                f"Time ended the learning of {self.modality} after {len(history)} of {trainer.plan.epochs} passes; "
                "a longer time limit lets it learn on."
            )
        save_tensors(fit.run.path / self.files(fit)[0], network.state_dict())
        return {
            "encoder": name, "rows": len(train), "history": [asdict(record) for record in history],
            "cut": fit.options.limit if trainer.cut else None,
        }  # fmt: skip

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """The trained network; the checkpoint is no longer needed."""
        network = self._network(fit, result["encoder"])
        path = fit.run.path / self.files(fit)[0]
        load_into(network, load_tensors(path), str(path))
        fit.networks[self.modality] = network.eval().requires_grad_(False)
        fit.encoders[self.modality] = result["encoder"]
        for checkpoint in fit.run.stages.glob(f"{self.name}.*.checkpoint"):
            checkpoint.unlink()

    def _network(self, fit: Fit, name: str) -> UnimodalNetwork:
        with seeded_build(fit.options.seed, "encoder", self.modality):
            return UnimodalNetwork(ENCODERS[name].build(fit.readers[self.modality]), fit.tasks)

    def _seconds(self, fit: Fit) -> float | None:
        """An equal part of the time that encoders may take, among those still to be trained."""
        if fit.options.limit is None:
            return None
        still = len(fit.modalities) - len(fit.networks)
        later = (1 - ENCODER_SHARE) * (fit.options.limit or 0)
        return max(0.0, (fit.clock.left - later) / max(1, still))
