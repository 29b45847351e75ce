"""Reads several columns of one kind as one modality: a set of images, sounds or vectors."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import SerializeAsAny, field_validator
from scipy import sparse

from plait.data.readers._base import READERS, Features, Reader, Reading, load_reader
from plait.data.schema import Column
from plait.data.table import Table


@READERS.register("set")
class SetReader(Reader):
    """Items [columns, numbers of one item + 1]: each as the reader of its kind reads it, flat, and 1 if it is there.

    The order of the columns says nothing: an encoder of sets must not hear it. A row is absent where all its items are;
    one that holds an unreadable item is bad.
    """

    kind: Literal["set"] = "set"
    columns: tuple[str, ...]
    item: SerializeAsAny[Reader]

    @field_validator("item", mode="before")
    @classmethod
    def _known_reader(cls, value: Any) -> Any:
        return load_reader(value) if isinstance(value, dict) else value

    @classmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Fit the reader of items on the cells of all columns, one below another."""
        names = [column.name for column in columns]
        stacked = pa.chunked_array([chunk for name in names for chunk in _alike(cells, names, name)])
        every = Table(pa.table({names[0]: stacked}), cells.name, cells.folder)
        return cls(columns=tuple(names), item=READERS[str(columns[0].kind)].fit(every, columns[:1]))

    @property
    def shape(self) -> tuple[int, ...]:
        """(columns, numbers of one item + 1)."""
        return (len(self.columns), math.prod(self.item.shape) + 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of an item."""
        return self.item.dtype

    def features(self, values: NDArray[Any]) -> Features | None:
        """The mean of the items' features over those that are there; of terms, their sum. [rows, n]"""
        rows, count = values.shape[:2]
        there = values[:, :, -1] > 0
        told = self.item.features(values[:, :, :-1].reshape(rows * count, *self.item.shape))
        if told is None:
            return None
        if sparse.issparse(told):
            at = np.flatnonzero(there)
            shape = (rows, rows * count)
            return sparse.csr_matrix(sparse.csr_matrix((np.ones(len(at)), (at // count, at)), shape=shape) @ told)
        items = np.where(there[:, :, None], np.asarray(told).reshape(rows, count, told.shape[1]), np.nan)
        known = ~np.isnan(items)
        sums = np.where(known, items, 0).sum(axis=1)
        return np.where(known.any(axis=1), sums / known.sum(axis=1).clip(1), np.nan)

    def read(self, cells: Table) -> Reading:
        """Read column after column."""
        reading = self.empty(len(cells))
        for place, name in enumerate(self.columns):
            found = self.item.read(Table(cells.data.select([name]), cells.name, cells.folder))
            reading.values[:, place, :-1] = found.values.reshape(len(cells), -1)
            reading.values[:, place, -1] = found.present
            reading.present |= found.present
            for row, reason in found.bad.items():
                reading.bad.setdefault(row, f"{name}: {reason}")
        bad = list(reading.bad)
        reading.present[bad] = False
        reading.values[bad] = 0
        return reading


def _alike(cells: Table, names: list[str], name: str) -> list[Any]:
    """The chunks of a column in the type of the first one that has any cells."""
    kinds = [cells.column(one).type for one in names]
    wanted = next((kind for kind in kinds if not pa.types.is_null(kind)), kinds[0])
    column = cells.column(name)
    return list((column if column.type == wanted else column.cast(wanted)).chunks)
