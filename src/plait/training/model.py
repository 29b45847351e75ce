"""The one model class: unimodal networks, what combines them, and the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from plait.data.batches import MOST_AT_ONCE, Batch, Rows
from plait.encoders._base import Encoder, HiddenStates
from plait.fusion.candidates import Decision
from plait.fusion.ensemble import averaged
from plait.tasks._base import Task


class UnimodalNetwork(nn.Module):
    """An encoder and a linear head per task on its last layer.

    Args:
        encoder: The encoder.
        tasks: The tasks, in the order of the outputs.
        frozen: Whether the encoder keeps weights and statistics, whatever `train` and `requires_grad_` say; the heads
            still learn.
    """

    def __init__(self, encoder: Encoder, tasks: Sequence[Task], frozen: bool = False) -> None:
        super().__init__()
        self.encoder, self.frozen = encoder, frozen
        self.head = nn.Linear(encoder.widths[-1], sum(task.outputs for task in tasks))

        if frozen:
            self.train().requires_grad_()

    def train(self, mode: bool = True) -> Self:
        """As usual, but that a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As usual, but that a frozen encoder never asks for gradients."""
        super().requires_grad_(requires_grad)
        if self.frozen:
            self.encoder.requires_grad_(False)
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L+1."""
        return (*self.encoder.widths, self.head.out_features)

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, *shape] to layers 0..L+1, the last of them the outputs for all tasks side by side; and the values."""
        states: HiddenStates = self.encoder(values)
        return HiddenStates((*states.layers, self.head(states.layers[-1])), states.tokens, states.token_mask, values)


class Readout(nn.Module):
    """Stands in the place of a frozen unimodal network whose last hidden layer was computed before: its heads alone.

    Args:
        head: The network's heads; trained in place.
    """

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head

    def forward(self, last: Tensor) -> HiddenStates:
        """[B, width of layer L] to layers L and L+1."""
        return HiddenStates((last, self.head(last)))


class CachedStates(nn.Module):
    """Stands in the place of a unimodal network whose hidden states were computed before.

    Args:
        widths: Widths of layers 0..L+1.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)

    def forward(self, flat: Tensor) -> HiddenStates:
        """[B, sum of widths], the layers side by side, to layers 0..L+1."""
        return HiddenStates(torch.split(flat, list(self.widths), dim=1))


class ValuesOnly(nn.Module):
    """Stands in the place of a unimodal network of which no layer is read: it hands the reader's arrays on."""

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, *shape] to no layers, and the values."""
        return HiddenStates((), values=values)


class Model(nn.Module):
    """Unimodal networks and what turns their hidden states into outputs.

    A single modality, a late rule and a fusion architecture differ in `decision` alone; frozen networks whose states
    are cached are replaced by `CachedStates`.

    Args:
        networks: By modality.
        decision: Single modality, late fusion, or fusion network.
        tasks: The tasks, in the order of the outputs.
    """

    def __init__(self, networks: Mapping[str, nn.Module], decision: Decision, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.names = tuple(networks)
        self.networks = nn.ModuleList(networks.values())
        self.decision = decision
        self.tasks = tuple(tasks)

    def hidden(self, batch: Batch) -> dict[str, HiddenStates]:
        """Hidden states by modality."""
        states = {name: network(batch.inputs[name]) for name, network in zip(self.names, self.networks, strict=True)}
        for name, values in batch.values.items():
            states[name].values = values
        return states

    def outputs(self, states: Mapping[str, HiddenStates], batch: Batch) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs], from hidden states."""
        told: dict[str, Tensor] = self.decision(states, batch.present)
        return told

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs]."""
        return self.outputs(self.hidden(batch), batch)

    @torch.inference_mode()
    def predict(self, rows: Rows, batch_size: int | None = None) -> dict[str, Tensor]:
        """Outputs by task for all rows, [rows, outputs], in evaluation mode and in order; on the CPU."""
        self.eval()
        device = next((tensor.device for tensor in self.state_dict().values()), torch.device("cpu"))
        pieces: dict[str, list[Tensor]] = {task.name: [] for task in self.tasks}
        for batch in rows.in_order(batch_size or (None if device.type == "cpu" else MOST_AT_ONCE)):
            for name, values in self(batch.to(device)).items():
                pieces[name].append(values.cpu())
        sizes = {task.name: task.outputs for task in self.tasks}
        return {name: torch.cat(found) if found else torch.zeros(0, sizes[name]) for name, found in pieces.items()}


class Bag(nn.Module):
    """Models that learned from different rows of one table; what they say is averaged, as probabilities or numbers.

    With rows left out in turn instead of drawn, this is a cross-validation committee (Parmanto, Munro and Doyle 1996),
    a kind of bagging (Breiman 1996).

    Args:
        models: One at least, of the same modalities and tasks.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.names, self.tasks = models[0].names, models[0].tasks

    def __iter__(self) -> Iterator[Model]:
        """The models; the first learned from the training rows."""
        for model in self.models:
            assert isinstance(model, Model)
            yield model

    @property
    def first(self) -> Model:
        """The one that learned from the training rows."""
        return next(iter(self))

    def predict(self, rows: Rows | Sequence[Rows], batch_size: int | None = None) -> dict[str, Tensor]:
        """Outputs by task for all rows, [rows, outputs], as `Model.predict` has them.

        Args:
            rows: What to predict; or the same rows once for each model, where their inputs differ.
            batch_size: As there.
        """
        each = [rows] * len(self.models) if isinstance(rows, Rows) else rows
        told = [model.predict(own, batch_size) for model, own in zip(self, each, strict=True)]
        if len(told) == 1:
            return told[0]
        weights = torch.full((len(told),), 1 / len(told))
        stacked = {task.name: torch.stack([one[task.name] for one in told]) for task in self.tasks}
        return {task.name: averaged(task, stacked[task.name], weights) for task in self.tasks}
