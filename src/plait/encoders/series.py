"""The encoder of series: convolutions over time that do not see the padding."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.data.readers._base import Reader
from plait.data.readers.series import SeriesReader
from plait.encoders._base import ENCODERS, Encoder, HiddenStates, Reduce
from plait.encoders.flat import CLIP, spread

CHANNELS = (32, 64, 64)
KERNELS = (7, 5, 3)
DENSE = 64
LONG = 64
"""Series of more steps than this are halved by every block."""

AT_ONCE = 256
"""Rows whose statistics are taken at once while fitting."""

PIECES = 8
"""Equal pieces of every series whose means stand in layer 0."""


class MaskedNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) over the real steps alone; others are 0.

    Args:
        channels: Channels of the maps.
        momentum: Of the running mean and variance.
    """

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(channels, 1))
        self.register_buffer("variance", torch.ones(channels, 1))

    def forward(self, maps: Tensor, real: Tensor) -> Tensor:
        """[B, channels, T] and [B, 1, T], 1 where a step is real, to [B, channels, T]."""
        mean, variance = self.mean, self.variance
        if self.training and real.sum() > 1:
            count = real.sum()
            mean = (maps * real).sum(dim=(0, 2), keepdim=True)[0] / count  # [channels, 1]
            variance = ((maps - mean).square() * real).sum(dim=(0, 2), keepdim=True)[0] / count
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance * count / (count - 1), self.momentum)
        return ((maps - mean) * (variance + 1e-5).rsqrt() * self.weight + self.bias) * real


class Convolution(nn.Module):
    """Convolution over time, masked normalisation, ReLU.

    Args:
        channels: Channels in.
        out: Channels out.
        kernel: Steps that it sees; odd.
        stride: Steps in for one out.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv1d(channels, out, kernel, stride, kernel // 2, bias=False)
        self.norm = MaskedNorm(out)

    def forward(self, maps: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, T], 0 where a step is not real, and [B, 1, T] to [B, out, T / stride] and its mask."""
        real = real[:, :, :: self.stride]
        return self.norm(self.convolution(maps), real).relu(), real


@ENCODERS.register("convolution")
class SeriesEncoder(Encoder):
    """Three convolutions over time and a dense layer.

    Numbers are standardised by channel; gaps are 0, and every channel has a second one that says where it was observed.
    Layer 0: for every channel mean, deviation, least and greatest number and the means of eight equal pieces of the
    series; the number of steps and the share of gaps (over 512 numbers: principal components). Layers 1 to 3: mean and
    maximum over time after every convolution. Layer 4: a dense layer over layers 0 and 3. Tokens are the last maps.
    """

    kind: ClassVar[str] = "series"
    learning_rate: ClassVar[float] = 2e-3

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.steps = steps
        stride = 2 if steps > LONG else 1
        sizes = (2 * channels, *CHANNELS)
        self.blocks = nn.ModuleList(
            Convolution(sizes[i], sizes[i + 1], KERNELS[i], stride) for i in range(len(CHANNELS))
        )
        self.reduce = Reduce((4 + PIECES) * channels + 2)
        self.dense = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(self.reduce.out + 2 * CHANNELS[-1], DENSE), nn.BatchNorm1d(DENSE), nn.ReLU()
        )

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for the reader's length and channels."""
        if not isinstance(reader, SeriesReader):
            raise TypeError(f"{cls.__name__} reads series, not {reader.kind}")
        return cls(reader.steps, reader.channels)

    @torch.no_grad()
    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit mean and deviation of every channel over the observed steps, and the components of layer 0."""
        if len(values) == 0:
            return
        real = values[:, :, -1] > 0
        for channel in range(len(self.mean)):
            column = values[:, :, channel][real].astype(np.float64)
            column = column[~np.isnan(column)]
            if len(column):
                mean = torch.tensor(column.mean())
                self.mean[channel], self.deviation[channel] = mean, spread(torch.tensor(column.std()), mean)
        pieces = (torch.from_numpy(values[start : start + AT_ONCE]) for start in range(0, len(values), AT_ONCE))
        self.reduce.fit(torch.cat([self._near_raw(*self._scaled(piece)) for piece in pieces]))

    def _scaled(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers [B, T, C], standardised and clipped, 0 in gaps; whether observed [B, T, C]; whether real [B, T]."""
        real = values[:, :, -1] > 0
        numbers = values[:, :, :-1].float()
        seen = real[:, :, None] & ~numbers.isnan()
        scaled = ((numbers - self.mean) / self.deviation).clamp(-CLIP, CLIP)
        return torch.where(seen, scaled, 0), seen.float(), real

    def _near_raw(self, numbers: Tensor, seen: Tensor, real: Tensor) -> Tensor:
        """The statistics of layer 0, [B, (4 + pieces) * C + 2]."""
        counts = seen.sum(1).clamp_min(1)  # [B, C]
        mean = numbers.sum(1) / counts
        deviation = ((numbers - mean[:, None]) * seen).square().sum(1).div(counts).sqrt()
        some = seen.amax(1)
        least = torch.where(seen > 0, numbers, CLIP).amin(1) * some
        most = torch.where(seen > 0, numbers, -CLIP).amax(1) * some
        length = real.sum(1).float()  # [B]
        low = torch.arange(PIECES, device=numbers.device) * length[:, None] / PIECES  # [B, pieces]
        step = torch.arange(numbers.shape[1], device=numbers.device)
        until = torch.minimum(step + 1, (low + length[:, None] / PIECES)[:, :, None])
        part = (until - torch.maximum(step.float(), low[:, :, None])).clamp_min(0)  # [B, pieces, T], what they share
        weight = part @ seen
        pieces = torch.where(weight > 0, part @ numbers / weight.clamp_min(1e-6), mean[:, None])  # [B, pieces, C]
        gaps = 1 - seen.mean(2).sum(1) / length.clamp_min(1)
        told = [2 * length / self.steps - 1, torch.where(length > 0, gaps, 0)]
        return torch.cat([mean, deviation, least, most, pieces.flatten(1), torch.stack(told, dim=1)], dim=1)

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, T, C + 1], as the reader gives them, to the layers."""
        numbers, seen, real = self._scaled(values)
        layers = [self.reduce(self._near_raw(numbers, seen, real))]
        maps, mask = torch.cat([numbers, seen], dim=2).transpose(1, 2), real[:, None].float()  # [B, 2C, T], [B, 1, T]
        for block in self.blocks:
            maps, mask = block(maps, mask)
            mean = maps.sum(2) / mask.sum(2).clamp_min(1)  # ReLU left no number below 0, and padding is 0
            layers.append(torch.cat([mean, maps.amax(2)], dim=1))
        layers.append(self.dense(torch.cat([layers[0], layers[-1]], dim=1)))
        return HiddenStates(tuple(layers), maps.transpose(1, 2), mask[:, 0] > 0)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L."""
        return (self.reduce.out, *[2 * channels for channels in CHANNELS], DENSE)
