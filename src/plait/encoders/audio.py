"""The audio encoder: a log-mel spectrogram and a convolutional network over it."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.data.readers._base import Reader
from plait.data.readers.audio import AudioReader
from plait.encoders._base import ENCODERS, Encoder, HiddenStates
from plait.encoders.convolutional import DENSE, MapStack, RandomShift, block

MAX_FRAMES = 128


def mel_filters(bands: int, fft: int, rate: int) -> NDArray[np.float64]:
    """Triangular filters, evenly spaced on the mel scale, each of unit area.

    Mel scale m = 2595 log10(1 + f/700) (O'Shaughnessy 1987); area normalisation as in Slaney's Auditory Toolbox (1998).

    Args:
        bands: Number of filters.
        fft: FFT length in samples.
        rate: Samples per second.

    Returns:
        [bands, fft // 2 + 1]: weights of the spectrum's bins.
    """
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)  # Hz
    bins = np.arange(fft // 2 + 1) * rate / fft
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None])


class LogMel(nn.Module):
    """Log-mel spectrogram: Hann window, power spectrum, mel filters, log.

    The hop is 10 ms, or longer where that would give more than 128 frames; the window at least 32 ms and two hops.

    Args:
        rate: Samples per second.
        samples: Length of the input.
        bands: Number of mel bands.
    """

    def __init__(self, rate: int, samples: int, bands: int = 40) -> None:
        super().__init__()
        self.hop = max(rate // 100, samples // MAX_FRAMES + 1)
        self.fft = 2 ** math.ceil(math.log2(max(0.032 * rate, 2 * self.hop)))
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.hann_window(self.fft), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters(bands, self.fft, rate)).float(), persistent=False)
        self.bands, self.frames = bands, samples // self.hop + 1

    def forward(self, wave: Tensor) -> Tensor:
        """[B, samples] (-1..1) to [B, bands, frames], natural logarithm of power, floor 1e-6."""
        padded = F.pad(wave, (self.fft // 2, self.fft // 2))
        spectrum = torch.stft(padded, self.fft, self.hop, window=self.window, center=False, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1)  # [B, fft/2+1, frames]
        return (self.filters @ power + 1e-6).log()


@ENCODERS.register("logmel")
class AudioEncoder(Encoder):
    """Log-mel spectrogram, four convolutional blocks, a dense layer: layers 1..4 the blocks, 5 the dense layer.

    While training, the spectrogram is moved along time by up to a tenth of its length."""

    kind: ClassVar[str] = "audio"
    CHANNELS = (8, 16, 32, 64)
    SHIFT = 0.1

    def __init__(self, rate: int, samples: int) -> None:
        super().__init__()
        self.spectrogram = LogMel(rate, samples)
        sizes = (1, *self.CHANNELS)
        blocks = [block(sizes[i], sizes[i + 1]) for i in range(len(self.CHANNELS))]
        self.stack = MapStack((1, self.spectrogram.bands, self.spectrogram.frames), blocks, self.CHANNELS, DENSE)
        self.shift = RandomShift(0.0, self.SHIFT)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(self.spectrogram.bands, 1))
        self.register_buffer("deviation", torch.ones(self.spectrogram.bands, 1))

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for the reader's rate and length."""
        if not isinstance(reader, AudioReader):
            raise TypeError(f"{cls.__name__} reads audio, not {reader.kind}")
        return cls(reader.rate, reader.samples)

    @torch.no_grad()
    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit mean and deviation of every mel band."""
        if len(values) == 0:
            return
        chunks = [self.spectrogram(_wave(torch.from_numpy(values[i : i + 64]))) for i in range(0, len(values), 64)]
        spectra = torch.cat(chunks)  # [rows, bands, frames]
        self.mean.copy_(spectra.mean(dim=(0, 2))[:, None])
        self.deviation.copy_(spectra.std(dim=(0, 2), unbiased=False)[:, None].clamp_min(1e-3))

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, samples], 16-bit, to the stack's layers."""
        spectra = (self.spectrogram(_wave(values)) - self.mean) / self.deviation
        states: HiddenStates = self.stack(self.shift(spectra[:, None]))
        return states

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L."""
        return self.stack.widths


def _wave(values: Tensor) -> Tensor:
    return values.float() / 32767
