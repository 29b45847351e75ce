"""Reads series: numbers over time, of one or several channels and of any length."""

from __future__ import annotations

from typing import Any, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.data.kinds import can_hold
from plait.data.plain import is_list, list_lengths
from plait.data.readers._base import READERS, Reader, Reading
from plait.data.schema import Column
from plait.data.table import Table

MAX_STEPS: Final = 1_024
COVERED: Final = 0.95
QUANTILES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
AT_ONCE: Final = 256
"""Rows whose statistics are taken at once."""

_EXPECTED: Final = "a series is a list of steps, each a number or a list of one number per channel"


@READERS.register("series")
class SeriesReader(Reader):
    """Numbers [steps, channels + 1]: the channels' values, NaN in gaps, and 1 in the last place where a step is real.

    The number of channels is the training rows' most frequent one; another number is a bad row, as is an infinite
    value. NaN or an empty cell inside a series is a gap; a series without any number is absent. The length covers 95 %
    of the training rows, at most 1,024 steps; where that is not enough, `every` steps are averaged into one, in all
    rows alike. Shorter series are padded at their end; what is still longer is averaged into `steps` pieces of equal
    length.

    Attributes:
        channels: Numbers per step.
        steps: Length of a row.
        every: Steps of a cell that are averaged into one.
    """

    kind: Literal["series"] = "series"
    channels: int
    steps: int
    every: int = 1

    @classmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Take the most frequent number of channels, and a length that nearly all series have."""
        column = cells.column(columns[0].name)
        channels = _usual_channels(column)
        if channels is None:
            return cls(channels=1, steps=1)
        lengths = list_lengths(column)
        long = max(1, int(np.ceil(np.quantile(lengths[lengths > 0], COVERED))))
        every = -(-long // MAX_STEPS)
        return cls(channels=channels, steps=-(-long // every), every=every)

    def misfit(self, cells: Table, columns: tuple[Column, ...]) -> str | None:
        """Series of another number of channels."""
        found = _usual_channels(cells.column(columns[0].name))
        if found in (None, self.channels):
            return None
        return f"the series here have {_counted(found or 0)}, and it reads {self.channels:,}"

    @property
    def shape(self) -> tuple[int, ...]:
        """(steps, channels + 1)."""
        return (self.steps, self.channels + 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """32-bit floating point."""
        return np.dtype(np.float32)

    def read(self, cells: Table) -> Reading:
        """Copy every series, padded or averaged to the reader's length."""
        reading = self.empty(len(cells))
        column = cells.data.column(0)
        if not can_hold("series", column.type):
            filled = np.flatnonzero(column.is_valid().to_numpy())
            reading.bad = {int(row): f"not a list of numbers but {column.type}; {_EXPECTED}" for row in filled}
            return reading
        row = 0
        for chunk in column.chunks:
            for series, reason in self._series(chunk):
                if reason:
                    reading.bad[row] = reason
                elif series is not None:
                    averaged = _averaged(series, min(self.steps, -(-len(series) // self.every)))
                    reading.values[row, : len(averaged), :-1] = averaged
                    reading.values[row, : len(averaged), -1] = 1
                    reading.present[row] = True
                row += 1
        return reading

    def _series(self, chunk: pa.Array) -> list[tuple[NDArray[np.float64] | None, str]]:
        """Every cell's numbers [its steps, channels], None where it is absent, and a reason where it is bad."""
        if pa.types.is_null(chunk.type):
            return [(None, "")] * len(chunk)
        ends = np.concatenate([[0], np.cumsum(list_lengths(pa.chunked_array([chunk])))])
        steps = pc.list_flatten(chunk)
        if is_list(steps.type):
            widths = np.asarray(pc.fill_null(pc.list_value_length(steps), 0).to_numpy(), dtype=np.int64)
            numbers = _numbers(pc.list_flatten(steps))
        else:
            widths, numbers = np.ones(len(steps), np.int64), _numbers(steps)
        starts = np.concatenate([[0], np.cumsum(widths)])
        return [
            self._one(widths[ends[i] : ends[i + 1]], numbers[starts[ends[i]] : starts[ends[i + 1]]])
            for i in range(len(chunk))
        ]

    def _one(self, widths: NDArray[np.int64], numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, str]:
        """One cell: the widths of its steps (0 is a gap), and their numbers one after the other."""
        odd = widths[(widths != self.channels) & (widths > 0)]
        if len(odd):
            return None, f"a step of {_counted(int(odd[0]))}; {self.channels:,} were expected ({_EXPECTED})"
        with np.errstate(over="ignore"):
            if np.isinf(numbers.astype(np.float32)).any():
                return None, "the series holds numbers that are infinite or too large"
        if not len(numbers) or np.isnan(numbers).all():
            return None, ""
        series = np.full((len(widths), self.channels), np.nan)
        series[widths > 0] = numbers.reshape(-1, self.channels)
        return series, ""

    def features(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Summary statistics of every row.

        Args:
            values: [rows, steps, channels + 1], as `read` gives them.

        Returns:
            [rows, 12 * channels + 2]: mean, standard deviation, quantiles (0, 10, 25, 50, 75, 90, 100 %), first and
            last value, and mean absolute difference of neighbouring steps, each for every channel, 0 where a channel
            has nothing; then the number of steps and the share of gaps. All 0 where a row is absent.
        """
        parts = [_statistics(np.asarray(values[i : i + AT_ONCE])) for i in range(0, len(values), AT_ONCE)]
        return np.concatenate([np.zeros((0, 12 * self.channels + 2), np.float32), *parts])


def _statistics(values: NDArray[Any]) -> NDArray[np.float32]:
    """The features of some rows."""
    real = values[:, :, -1] > 0  # [rows, steps]
    numbers = np.where(real[:, :, None], values[:, :, :-1].astype(np.float64), np.nan)
    there = ~np.isnan(numbers)  # [rows, steps, channels]
    counts = np.maximum(there.sum(axis=1), 1)
    filled = np.where(there, numbers, 0)
    mean = filled.sum(axis=1) / counts
    deviation = np.sqrt((np.where(there, numbers - mean[:, None], 0) ** 2).sum(axis=1) / counts)
    both = there[:, 1:] & there[:, :-1]
    jumps = np.where(both, np.abs(np.diff(filled, axis=1)), 0).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    ends = (there.argmax(axis=1), there.shape[1] - 1 - there[:, ::-1].argmax(axis=1))
    first, last = (np.take_along_axis(filled, end[:, None], axis=1)[:, 0] for end in ends)
    told = [mean, deviation, *_quantiles(numbers, counts), first, last, jumps]
    steps = real.sum(axis=1)
    gaps = 1 - there.sum(axis=(1, 2)) / np.maximum(steps * there.shape[2], 1)
    largest = np.finfo(np.float32).max
    flat = np.concatenate([*told, steps[:, None], np.where(steps > 0, gaps, 0)[:, None]], axis=1)
    return flat.clip(-largest, largest).astype(np.float32)


def _quantiles(numbers: NDArray[np.float64], counts: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Quantiles over the steps of [rows, steps, channels], NaN left out; 0 where there is nothing; linear between."""
    ordered = np.nan_to_num(np.sort(numbers, axis=1))  # NaN comes last
    found = []
    for share in QUANTILES:
        place = share * (counts - 1)
        low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
        one, two = (np.take_along_axis(ordered, at[:, None], axis=1)[:, 0] for at in (low, high))
        found.append(one + (two - one) * (place - low))
    return found


def _counted(channels: int) -> str:
    return f"{channels:,} channel{'s' * (channels != 1)}"


def _numbers(cells: pa.Array) -> NDArray[np.float64]:
    """Numbers, NaN where a cell is empty."""
    if pa.types.is_null(cells.type):
        return np.full(len(cells), np.nan)
    wide = pc.fill_null(cells.cast(pa.float64(), safe=False), float("nan"))
    return np.asarray(wide.to_numpy(zero_copy_only=False), dtype=np.float64)


def _averaged(series: NDArray[np.float64], pieces: int) -> NDArray[np.float64]:
    """Steps [n, channels] averaged into pieces of equal length, [pieces, channels]; NaN where a piece is all gaps."""
    if pieces == len(series):
        return series
    cuts = np.arange(pieces) * len(series) // pieces
    there = ~np.isnan(series)
    counts = np.add.reduceat(there.astype(np.float64), cuts, axis=0)
    sums = np.add.reduceat(np.where(there, series, 0), cuts, axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _usual_channels(column: pa.ChunkedArray) -> int | None:
    """The most frequent number of channels of all steps; None where there is no step."""
    if not can_hold("series", column.type) or pa.types.is_null(column.type) or not list_lengths(column).any():
        return None
    if not is_list(column.type.value_type):
        return 1
    widths = pc.list_value_length(pc.list_flatten(column)).drop_null().to_numpy()
    found, counts = np.unique(widths[widths > 0], return_counts=True)
    return int(found[counts.argmax()]) if len(found) else None
