"""Convolutional encoders of images: LeNet-size for small ones, a residual network for larger ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.data.readers._base import Reader
from plait.encoders._base import ENCODERS, NEAR_RAW, Encoder, HiddenStates, moments

SMALL_SIDE = 40
DENSE = 64


def block(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU, halving by max pooling (sides are rounded up)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, fig. 2), the first one halving the sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, outputs, h/2, w/2]."""
        inner = self.norms[1](self.second(F.relu(self.norms[0](self.first(maps)))))
        return F.relu(inner + self.shortcut(maps))


class RandomShift(nn.Module):
    """While training, moves every map of a batch by a random amount of its own; edges are repeated.

    Args:
        height: Largest share of the height to move by, up or down.
        width: Largest share of the width to move by, left or right.
    """

    def __init__(self, height: float, width: float) -> None:
        super().__init__()
        self.shares = (height, width)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, channels, height, width] to the same shape; in evaluation mode, as it is."""
        if not self.training:
            return maps
        rows = torch.arange(len(maps), device=maps.device)[:, None, None]
        down, right = (self._places(maps, axis) for axis in (2, 3))
        moved = maps.permute(0, 2, 3, 1)[rows, down[:, :, None], right[:, None, :]]  # [B, height, width, channels]
        return moved.permute(0, 3, 1, 2)

    def _places(self, maps: Tensor, axis: int) -> Tensor:
        """Which place of an axis each place takes its value from, [B, size]."""
        size, share = maps.shape[axis], self.shares[axis - 2]
        offset = ((torch.rand(len(maps), device=maps.device) * 2 - 1) * share * size).round().long()
        return (torch.arange(size, device=maps.device) + offset[:, None]).clamp(0, size - 1)


class MapStack(nn.Module):
    """A stack of blocks over maps, and a dense layer at its end: the part that image and audio encoders share.

    Layer 0 is the input averaged down to at most 512 numbers; layers 1..n the blocks' maps averaged over their area;
    layer n+1 a dense layer over the last maps averaged to a small grid.

    Args:
        shape: (channels, height, width) of the input maps.
        blocks: The blocks, from shallow to deep.
        channels: Output channels of each block.
        dense: Width of the dense layer.
    """

    GRID = 2

    def __init__(
        self, shape: tuple[int, int, int], blocks: Sequence[nn.Module], channels: Sequence[int], dense: int
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.near_raw = _near_raw_size(shape)
        with torch.no_grad():
            maps = torch.zeros(1, *shape)
            for layer in self.blocks:
                maps = layer.eval()(maps)
                layer.train()
        self.grid = (min(self.GRID, maps.shape[2]), min(self.GRID, maps.shape[3]))
        self.dense = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(channels[-1] * self.grid[0] * self.grid[1], dense),
            nn.BatchNorm1d(dense),
            nn.ReLU(),
        )
        self.widths = (shape[0] * self.near_raw[0] * self.near_raw[1], *channels, dense)
        # On a CPU, this takes half of the time from a forward pass.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, maps: Tensor) -> HiddenStates:
        """[B, channels, height, width] to the layers."""
        maps = maps.contiguous(memory_format=torch.channels_last)
        layers = [F.adaptive_avg_pool2d(maps, self.near_raw).flatten(1)]
        for layer in self.blocks:
            maps = layer(maps)
            layers.append(maps.mean(dim=(2, 3)))
        layers.append(self.dense(F.adaptive_avg_pool2d(maps, self.grid).flatten(1)))
        return HiddenStates(tuple(layers))


def _near_raw_size(shape: tuple[int, int, int]) -> tuple[int, int]:
    """The largest (height, width), of the input's proportions, with at most 512 numbers over all channels."""
    channels, height, width = shape
    scale = min(1.0, (NEAR_RAW / (channels * height * width)) ** 0.5)
    room = max(1, NEAR_RAW // channels)
    return max(1, min(int(height * scale), room)), max(1, min(int(width * scale), room))


class ImageEncoder(Encoder):
    """Base of the image encoders: pixels scaled by training mean and deviation, shifted in training; then the stack."""

    kind: ClassVar[str] = "image"
    SHIFT: ClassVar[float] = 0.1

    def __init__(self, stack: MapStack) -> None:
        super().__init__()
        self.shift = RandomShift(self.SHIFT, self.SHIFT)
        self.stack = stack
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(127.5))
        self.register_buffer("deviation", torch.tensor(64.0))

    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit mean and deviation of all pixels."""
        if len(values) == 0:
            return
        mean, deviation = moments(values)
        self.mean.fill_(mean)
        self.deviation.fill_(deviation)

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, channels, height, width], 0..255, to the stack's layers."""
        states: HiddenStates = self.stack(self.shift((values.float() - self.mean) / self.deviation))
        return states

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L."""
        return self.stack.widths


@ENCODERS.register("lenet")
class LeNet(ImageEncoder):
    """Three convolutions (5x5, 3x3, 3x3) with pooling and a dense layer, for images of up to 40 pixels a side.

    The size of LeNet-5 (LeCun et al. 1998) with batch norm and ReLU; layers 1..3 the blocks, 4 the dense layer.
    """

    CHANNELS = (16, 32, 64)
    SHIFT: ClassVar[float] = 0.05

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for the reader's image size."""
        sizes = (reader.shape[0], *cls.CHANNELS)
        blocks = [block(sizes[i], sizes[i + 1], 5 if i == 0 else 3) for i in range(len(cls.CHANNELS))]
        return cls(MapStack(_three(reader.shape), blocks, cls.CHANNELS, DENSE))


@ENCODERS.register("residual")
class ResidualNet(ImageEncoder):
    """A halving convolution and three residual blocks, for images of more than 40 pixels a side."""

    CHANNELS = (16, 32, 64, 128)

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for the reader's image size."""
        c = cls.CHANNELS
        blocks = [block(reader.shape[0], c[0], 5), *(ResidualBlock(c[i], c[i + 1]) for i in range(len(c) - 1))]
        return cls(MapStack(_three(reader.shape), blocks, c, DENSE))

    @classmethod
    def suits(cls, reader: Reader) -> int:
        """Preferred where a side is over 40 pixels."""
        return 0 if reader.kind != cls.kind else 2 if max(reader.shape[1:]) > SMALL_SIDE else 0


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width
