"""Encodes sets: every item by the encoder of its kind, and the mean over the items that are there."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.data.readers._base import Reader
from plait.data.readers.set import SetReader
from plait.encoders._base import ENCODERS, Encoder, HiddenStates, default_encoder


@ENCODERS.register("set")
class SetEncoder(Encoder):
    """Deep Sets (Zaheer et al. 2017, theorem 2): what follows sees the mean of the items, each encoded by one network.

    The order of the items changes nothing, and absent ones have no say. The items are the tokens.

    Args:
        encoder: The encoder of one item.
        shape: Shape of one item.
    """

    kind: ClassVar[str] = "set"
    learning_rate: ClassVar[float] = 1e-3

    def __init__(self, encoder: Encoder, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.item, self.shape = encoder, shape

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for items of the kind that suits the reader of items best."""
        if not isinstance(reader, SetReader):
            raise TypeError(f"a reader of sets is needed, not one of {reader.kind}")
        return cls(ENCODERS[default_encoder(reader.item)].build(reader.item), reader.item.shape)

    @property
    def widths(self) -> tuple[int, ...]:
        """Those of an item's encoder."""
        return self.item.widths

    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit the item's encoder on all items that are there."""
        items = np.asarray(values).reshape(-1, values.shape[-1])
        there = items[:, -1] > 0
        self.item.fit_input(items[there, :-1].reshape(-1, *self.shape), seed)

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, items, numbers of an item + 1] to the means of the items' layers."""
        rows, count = values.shape[:2]
        mask = values[:, :, -1] > 0
        encoded = self.item(values[:, :, :-1].reshape(rows * count, *self.shape))
        share = mask / mask.sum(dim=1, keepdim=True).clamp(min=1)
        layers = [torch.where(mask[:, :, None], layer.view(rows, count, -1), 0.0) for layer in encoded.layers]
        means = tuple((layer * share[:, :, None]).sum(dim=1) for layer in layers)
        return HiddenStates(means, layers[-1], mask)
