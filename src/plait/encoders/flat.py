"""Encoders of flat inputs: vectors, and table columns of numbers, categories and dates."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.data.readers._base import Reader
from plait.data.readers.tabular import Field, TabularReader
from plait.data.readers.vector import VectorReader
from plait.encoders._base import ENCODERS, Encoder, HiddenStates, Mlp, Reduce

HIDDEN = (128, 64)
CLIP = 20.0
"""Standardised numbers are clipped at so many deviations."""
HUGE = 1e30
"""Numbers of a table are fitted as if they ended here, so that differences of two bin edges stay finite in 32 bits."""


@ENCODERS.register("mlp")
class VectorEncoder(Encoder):
    """Standardised numbers through a perceptron; layer 0 the numbers (over 512: principal components)."""

    kind: ClassVar[str] = "vector"
    learning_rate: ClassVar[float] = 1e-3

    def __init__(self, width: int, rows: int | None = None) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.reduce = Reduce(width, rows)
        self.mlp = Mlp(width, HIDDEN)

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for vectors of the reader's width."""
        return cls(reader.shape[0], reader.rows if isinstance(reader, VectorReader) else None)

    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit mean and deviation of every number, and the components of layer 0."""
        if len(values) == 0:
            return
        sample = torch.from_numpy(np.asarray(values, dtype=np.float64))
        mean = sample.mean(0)
        self.mean.copy_(mean)
        self.deviation.copy_(spread(sample.std(0, unbiased=False), mean))
        self.reduce.fit(self._scaled(sample))

    def _scaled(self, values: Tensor) -> Tensor:
        """[B, width], standardised and clipped at 20 deviations."""
        return ((values.float() - self.mean) / self.deviation).clamp(-CLIP, CLIP)

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, width] to the layers; numbers are clipped at 20 deviations."""
        scaled = self._scaled(values)
        return HiddenStates((self.reduce(scaled), *self.mlp(scaled)))

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L."""
        return (self.reduce.out, *HIDDEN)


def spread(deviation: Tensor, mean: Tensor) -> Tensor:
    """Deviations, with 1 in the place of constants': those that are not above the rounding of 32-bit numbers."""
    floor = (1e-7 * mean.abs()).clamp_min(1e-30)
    return torch.where(deviation > floor, deviation, torch.ones_like(deviation))


@ENCODERS.register("tabular")
class TabularEncoder(Encoder):
    """Embedded numbers and categories through a perceptron.

    Numbers: piecewise linear encoding over quantile bins (Gorishniy, Rubachev & Babenko 2022, eq. 1; limits to the
    outer bins are our own choice), beside the standardised number and a mark where the cell is empty. Categories: a
    learned vector each; unseen ones share one, empty cells another. Layer 0: standardised numbers, marks, and one-hot
    categories (the first 31 of a column).
    """

    kind: ClassVar[str] = "tabular"
    learning_rate: ClassVar[float] = 1e-3
    BINS = 16
    EMBEDDING = 8
    ONE_HOT = 32

    def __init__(self, fields: tuple[Field, ...]) -> None:
        super().__init__()
        plain = [i for f in fields if f.kind != "categorical" for i in range(f.start, f.start + f.width)]
        coded = [f for f in fields if f.kind == "categorical"]
        sizes = [len(f.categories) + 2 for f in coded]  # code 0 unseen, the last one empty
        self.numbers: Tensor
        self.codes: Tensor
        self.sizes: Tensor
        self.offsets: Tensor
        self._index("numbers", plain)
        self._index("codes", [f.start for f in coded])
        self._index("sizes", sizes)
        self._index("offsets", [sum(sizes[:i]) for i in range(len(sizes))])
        self.mean: Tensor
        self.deviation: Tensor
        self.edges: Tensor
        self.register_buffer("mean", torch.zeros(len(plain)))
        self.register_buffer("deviation", torch.ones(len(plain)))
        self.register_buffer("edges", torch.arange(self.BINS + 1.0).repeat(len(plain), 1))
        self.least: Tensor
        self.most: Tensor
        self.register_buffer("least", torch.tensor([-2.0, *[0.0] * (self.BINS - 1)]), persistent=False)
        self.register_buffer("most", torch.tensor([*[1.0] * (self.BINS - 1), 3.0]), persistent=False)
        self.embedding = nn.Embedding(sum(sizes), self.EMBEDDING) if coded else None
        self.reduce = Reduce(len(plain) * 2 + len(coded) * self.ONE_HOT)
        self.mlp = Mlp(len(plain) * (self.BINS + 2) + len(coded) * self.EMBEDDING, HIDDEN)

    def _index(self, name: str, positions: list[int]) -> None:
        """A buffer of positions: it moves to the module's device, is rebuilt from the reader and never saved."""
        self.register_buffer(name, torch.tensor(positions, dtype=torch.long), persistent=False)

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for the reader's columns."""
        if not isinstance(reader, TabularReader):
            raise TypeError(f"{cls.__name__} reads tabular, not {reader.kind}")
        return cls(reader.fields)

    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit means, deviations and quantile bins of the numbers, and the components of layer 0."""
        if len(values) == 0:
            return
        numbers = np.clip(np.asarray(values, dtype=np.float64)[:, self.numbers.numpy()], -HUGE, HUGE)
        for index, column in enumerate(numbers.T):
            filled = column[np.isfinite(column)]
            if len(filled) == 0:
                continue
            mean, deviation = torch.tensor(filled.mean()), torch.tensor(filled.std())
            self.mean[index], self.deviation[index] = mean, spread(deviation, mean)
            self.edges[index] = torch.from_numpy(np.quantile(filled, np.linspace(0, 1, self.BINS + 1)))
        self.reduce.fit(self._near_raw(torch.from_numpy(np.asarray(values, dtype=np.float32))))

    def _standardised(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers [B, n], standardised [B, n] (0 where empty), and marks [B, n] of empty cells."""
        numbers = values.float()[:, self.numbers]
        empty = numbers.isnan()
        numbers = torch.where(empty, self.mean, numbers)
        return numbers, ((numbers - self.mean) / self.deviation).clamp(-CLIP, CLIP), empty.float()

    def _piecewise(self, numbers: Tensor, empty: Tensor) -> Tensor:
        """Piecewise linear encoding [B, n * bins], 0 where empty.

        Within the edges as eq. 1. Beyond them eq. 1 lets the outer bins grow without limit (the first below, the last
        above); here they end 2 of their widths beyond, so that an outlier cannot drown the other inputs. A bin without
        width (equal quantiles) is 1 from its edge on, as eq. 1 has it for inner bins.
        """
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        width = high - low
        inside = (numbers[:, :, None] - low) / torch.where(width > 0, width, 1)
        share = torch.where(width > 0, inside, (numbers[:, :, None] >= high).float())  # [B, n, bins]
        return (share.clamp(self.least, self.most) * (1 - empty)[:, :, None]).flatten(1)

    def _category_codes(self, values: Tensor) -> Tensor:
        """Codes [B, columns]; empty cells have the last code of their column."""
        codes = values.float()[:, self.codes]
        return torch.where(codes.isnan(), (self.sizes - 1).float(), codes).long()

    def _near_raw(self, values: Tensor) -> Tensor:
        _, scaled, empty = self._standardised(values)
        codes = self._category_codes(values)
        empty_code = (self.sizes - 1).expand_as(codes)
        folded = torch.where(codes == empty_code, 0, torch.where(codes < self.ONE_HOT, codes, 0))
        hot = torch.nn.functional.one_hot(folded, self.ONE_HOT).float().flatten(1)
        return torch.cat([scaled, empty, hot], dim=1)

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, values] with NaN in empty cells to the layers."""
        numbers, scaled, empty = self._standardised(values)
        parts = [scaled, empty, self._piecewise(numbers, empty)]
        if self.embedding is not None:
            parts.append(self.embedding(self._category_codes(values) + self.offsets).flatten(1))
        return HiddenStates((self.reduce(self._near_raw(values)), *self.mlp(torch.cat(parts, dim=1))))

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L."""
        return (self.reduce.out, *HIDDEN)
