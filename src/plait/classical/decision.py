"""A classical model in the place where a network would decide: hidden states in, outputs per task out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plait.classical._base import ClassicalSpec
from plait.classical.model import outputs_of
from plait.classical.storage import dumps, loads
from plait.data.readers._base import Features, Reader
from plait.encoders._base import HiddenStates
from plait.tasks._base import Task


class ClassicalDecision(nn.Module):
    """Decides by scikit-learn. Its state dict holds one tensor: the bytes that skops makes of the model.

    Args:
        spec: What it is.
        tasks: The tasks, in the order of the outputs.
        readers: Readers by modality, of those whose features it reads.
    """

    def __init__(self, spec: ClassicalSpec, tasks: Sequence[Task], readers: Mapping[str, Reader]) -> None:
        super().__init__()
        self.spec, self.tasks = spec, tuple(tasks)
        self.readers = {name: readers[name] for name in spec.raw}
        self._model: dict[str, Any] | None = None
        self._stored = torch.zeros(0, dtype=torch.uint8)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that are read."""
        return self.spec.modalities

    def adopt(self, model: dict[str, Any]) -> None:
        """Take a fitted model."""
        self._model, self._stored = model, torch.frombuffer(bytearray(dumps(model)), dtype=torch.uint8)

    def get_extra_state(self) -> Tensor:
        """The model as bytes, [bytes]; empty before it is fitted."""
        return self._stored

    def set_extra_state(self, state: Tensor) -> None:
        """Take the bytes of a model.

        Raises:
            InputError: They are damaged, or hold what is not on our list.
        """
        self._model, self._stored = loads(state.cpu().numpy().tobytes()), state.cpu()

    def features(self, states: Mapping[str, HiddenStates]) -> dict[str, Features]:
        """What it reads of some rows, by modality, [B, n]."""
        found: dict[str, Features] = {}
        for name in self.modalities:
            if name not in self.readers:
                found[name] = states[name].layers[-2].cpu().numpy()  # L; the outputs stand behind it
                continue
            values = states[name].values
            told = None if values is None else self.readers[name].features(values.cpu().numpy())
            if told is None:
                raise ValueError(f"{name!r} is to be read as the reader has it, but its values were not given")
            found[name] = told
        return found

    def forward(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs]."""
        if self._model is None:
            raise ValueError("a classical model is asked before it is fitted")
        masks = {name: present[name].cpu().numpy() for name in self.modalities}
        told = outputs_of(self._model, self.features(states), masks, self.tasks)
        device = present[self.modalities[0]].device
        return {name: torch.from_numpy(values.astype(np.float32)).to(device) for name, values in told.items()}
