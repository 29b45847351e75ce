"""Reads vectors: lists of numbers of one length."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.data.kinds import can_hold
from plait.data.plain import list_lengths
from plait.data.readers._base import READERS, Features, Reader, Reading
from plait.data.schema import Column
from plait.data.table import Table


@READERS.register("vector")
class VectorReader(Reader):
    """Numbers [width], as the training rows have; a vector with NaN, infinity or another length is a bad row.

    Attributes:
        width: Numbers of a vector.
        rows: How many vectors of this length it was fitted on, where they are fewer than a vector's numbers.
    """

    kind: Literal["vector"] = "vector"
    width: int
    rows: int | None = None

    @classmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Take the most frequent length of the training rows."""
        width, rows = _usual_length(cells.column(columns[0].name))
        return cls(width=width or 1, rows=rows if rows < (width or 1) else None)

    def misfit(self, cells: Table, columns: tuple[Column, ...]) -> str | None:
        """Vectors of another length."""
        found, _ = _usual_length(cells.column(columns[0].name))
        if found in (None, self.width):
            return None
        return f"the vectors here have {found:,} numbers, and it reads {self.width:,}"

    @property
    def shape(self) -> tuple[int, ...]:
        """(width,)."""
        return (self.width,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """32-bit floating point."""
        return np.dtype(np.float32)

    def read(self, cells: Table) -> Reading:
        """Copy every vector; all rows at once where they have the right length."""
        reading = self.empty(len(cells))
        column = cells.data.column(0)
        if not can_hold("vector", column.type):
            filled = np.flatnonzero(column.is_valid().to_numpy())
            reading.bad = {int(row): f"not a list of numbers but {column.type}" for row in filled}
            return reading
        lengths = list_lengths(column)
        reading.present = lengths > 0
        for row in np.flatnonzero((lengths > 0) & (lengths != self.width)):
            reading.bad[int(row)] = f"a vector of {lengths[row]:,} numbers; {self.width:,} were expected"
        rows = np.flatnonzero(lengths == self.width)
        if len(rows):
            fitting = column if len(rows) == len(column) else column.take(pa.array(rows))
            numbers = pc.list_flatten(fitting).cast(pa.float64(), safe=False).to_numpy()
            self._fill(reading, rows, numbers.reshape(len(rows), self.width))
        reading.present[list(reading.bad)] = False
        return reading

    def features(self, values: NDArray[Any]) -> Features:
        """The numbers themselves."""
        return values

    def _fill(self, reading: Reading, rows: NDArray[np.int64], numbers: NDArray[np.float64]) -> None:
        with np.errstate(over="ignore"):
            values = numbers.astype(np.float32)
        fine = np.isfinite(values).all(axis=1)
        for row in rows[~fine]:
            reading.bad[int(row)] = "the vector holds NaN, infinite or empty numbers"
        reading.values[rows[fine]] = values[fine]


def _usual_length(column: pa.ChunkedArray) -> tuple[int | None, int]:
    """The most frequent length of the lists that are not empty, and how many have it; None where there is none."""
    lengths = list_lengths(column) if can_hold("vector", column.type) else np.zeros(0, np.int64)
    found, counts = np.unique(lengths[lengths > 0], return_counts=True)
    return (int(found[counts.argmax()]), int(counts.max())) if len(found) else (None, 0)
