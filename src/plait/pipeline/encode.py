"""The stage that trains the unimodal network of one modality, or its heads on a given encoder; then it is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from plait.data.batches import Rows
from plait.encoders._base import ENCODERS, default_encoder
from plait.encoders.cache import hidden_states
from plait.fusion.late import SingleModality
from plait.objectives.supervised import Supervised
from plait.pipeline._base import Fit, Stage
from plait.training.checkpoints import load_into, load_tensors, save_tensors
from plait.training.loop import EpochRecord, Hook, Plan, Trainer, passes, seeded_build
from plait.training.model import Model, Readout, UnimodalNetwork

ENCODER_SHARE = 0.6
"""Share of the time left that the training of all encoders may take."""

INPUT_SAMPLE = 4_096

HEAD_LEARNING_RATE = 1e-2
"""Heads alone are linear: they are learned as fast as the architectures of a search."""


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


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained unimodal network.

    Attributes:
        network: The network.
        encoder: Its encoder's name in the registry.
        rows: Training rows that have the modality, and a label.
        history: One record per pass.
        passes: Passes that were planned.
        cut: Whether time ended the training.
    """

    network: UnimodalNetwork
    encoder: str
    rows: int
    history: tuple[EpochRecord, ...]
    passes: int
    cut: bool


class EncodeStage(Stage):
    """Trains the unimodal network of one modality on the rows that have it, with early stopping; then it is frozen.

    Of a network whose encoder is given, the heads alone are trained, on the encoder's last layer.

    Args:
        modality: The modality's name.
        number: Its place in the schema; names the files.
    """

    after: ClassVar[tuple[str, ...]] = ("split", "decode")

    def __init__(self, modality: str, number: int) -> None:
        self.modality, self.number = modality, number
        self.name = f"encode-{number}"

    def inputs(self, fit: Fit) -> list[str]:
        """The modality, the seed, whether time is limited, and the encoder, if it is given."""
        given = fit.given.get(self.modality)
        return [
            self.modality, str(fit.options.seed), str(fit.options.limit is None),
            *([] if given is None else [given.encoder, given.digest]),
        ]  # fmt: skip

    def files(self, fit: Fit) -> list[str]:
        """The weights."""
        return [f"stages/{self.name}.safetensors"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Train."""
        given = fit.given.get(self.modality)
        fit.narrator.begin(f"Learning {self.modality}", 100)
        if given is not None:
            fit.note(f"{self.modality}: encoder of {given.told}, frozen; only its heads are learned.")
        checkpoint = fit.run.stages / f"{self.name}.{fit.key[:16]}.checkpoint"
        learned = self.learn(fit, self._seconds(fit), [_Tell(fit)], checkpoint)
        fit.narrator.end()
        if learned.cut:
            fit.note(
                f"Time ended the learning of {self.modality} after {len(learned.history)} of {learned.passes} passes; "
                "a longer time limit lets it learn on."
            )
        save_tensors(fit.run.path / self.files(fit)[0], learned.network.state_dict())
        return {
            "encoder": learned.encoder, "rows": learned.rows, "history": [asdict(one) for one in learned.history],
            "cut": fit.options.limit if learned.cut else None,
            "from": None if given is None else {"form": given.form, "digest": given.digest},
        }  # fmt: skip

    def learn(
        self, fit: Fit, seconds: float | None, hooks: Sequence[Hook] = (), checkpoint: Path | None = None
    ) -> TrainedNetwork:
        """Train a network of this modality on the fit's training rows.

        Args:
            fit: Its rows.
            seconds: That it may take; None goes by counts.
            hooks: Told how far it is.
            checkpoint: Where to keep what an interrupted training goes on from.
        """
        decoded, given = fit.decoded[self.modality], fit.given.get(self.modality)
        name = default_encoder(fit.readers[self.modality]) if given is None else given.encoder
        network = self._network(fit, name)
        train = fit.train[decoded.present[fit.train] & fit.labels.anything[fit.train]]
        validation = fit.validation[decoded.present[fit.validation]]
        ready = self._whole if given is None else self._heads
        model, learned, judged = ready(fit, network, train, validation)
        rate = network.encoder.learning_rate if given is None else HEAD_LEARNING_RATE
        trainer = Trainer(
            model, [Supervised()], encoder_plan(len(train), rate, fit.options.seed, seconds), hooks=hooks,
            checkpoint=checkpoint, device=fit.options.torch_device(),
        )  # fmt: skip
        history = trainer.fit(learned, judged) if len(train) > 1 else []
        return TrainedNetwork(network, name, len(train), tuple(history), trainer.plan.epochs, trainer.cut)

    def _whole(
        self, fit: Fit, network: UnimodalNetwork, train: NDArray[np.int64], validation: NDArray[np.int64]
    ) -> tuple[Model, Rows, Rows]:
        """The network as a model of its own, with its input fitted, and the rows to learn from and to judge by."""
        decoded = fit.decoded[self.modality]
        sample = np.sort(np.random.default_rng([fit.options.seed, 1]).permutation(train)[:INPUT_SAMPLE])
        network.encoder.fit_input(np.asarray(decoded.values[sample]), fit.options.seed)
        rows = Rows(
            {self.modality: decoded.values}, {self.modality: decoded.present}, fit.labels.targets, fit.labels.labelled
        )
        return self._model(fit, network), rows.at(train), rows.at(validation)

    def _heads(
        self, fit: Fit, network: UnimodalNetwork, train: NDArray[np.int64], validation: NDArray[np.int64]
    ) -> tuple[Model, Rows, Rows]:
        """The network's heads as a model of their own, and the encoder's last layer in the place of the inputs."""
        every, encoder = np.concatenate([train, validation]), network.encoder
        states = hidden_states(
            encoder, encoder.widths, fit.decoded[self.modality].values, every,
            fit.content_key(self.modality), fit.cache, device=fit.options.torch_device(), workers=fit.options.processes,
        )  # fmt: skip
        labels = fit.labels.at(every)
        last = np.ascontiguousarray(states[:, -encoder.widths[-1] :])
        present = np.ones(len(every), np.bool_)
        rows = Rows({self.modality: last}, {self.modality: present}, labels.targets, labels.labelled)
        parts = np.split(np.arange(len(every)), [len(train)])
        return self._model(fit, Readout(network.head)), rows.at(parts[0]), rows.at(parts[1])

    def _model(self, fit: Fit, network: nn.Module) -> Model:
        return Model({self.modality: network}, SingleModality(self.modality, fit.tasks), fit.tasks)

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
        given = fit.given.get(self.modality)
        with seeded_build(fit.options.seed, "encoder", self.modality):
            encoder = ENCODERS[name].build(fit.readers[self.modality])
            network = UnimodalNetwork(encoder, fit.tasks, frozen=given is not None)
        if given is not None:
            load_into(network.encoder, given.weights, f"The encoder of {given.told}")
        return network

    def _seconds(self, fit: Fit) -> float | None:
        """An equal part of the time that encoders may take, among those still to be trained."""
        if fit.options.limit is None:
            return None
        still = len(fit.modalities) - len(fit.networks)
        later = (1 - ENCODER_SHARE) * (fit.options.limit or 0)
        return max(0.0, (fit.clock.left - later) / max(1, still))
