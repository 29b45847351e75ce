"""What a reader of a modality is: it turns table cells into arrays of one shape, and says which rows have none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from plait._registry import Registry
from plait.data.schema import Column
from plait.data.table import Table

Features: TypeAlias = Any
"""What classical models read: an array [rows, n], or a `scipy.sparse.csr_array`, which takes long to import."""


@dataclass
class Reading:
    """Some rows of one modality, read.

    Attributes:
        values: Array [rows, *shape]; zeros where a row is absent or bad.
        present: Array [rows] of bool; False where the row has nothing of this modality.
        bad: Reasons by row position, for cells that could not be read.
    """

    values: NDArray[Any]
    present: NDArray[np.bool_]
    bad: dict[int, str]


class Reader(BaseModel, ABC):
    """Turns the cells of one modality into arrays of one fixed shape.

    A subclass is a frozen pydantic model, so that it travels as JSON in the run folder. Order of calls: `fit` once, on
    training rows only; then `read` any number of times, on any rows, in any process. `read` of a row depends on that
    row alone. A reader must not import torch: it runs in worker processes that decode.

    Attributes:
        slow: Whether reading a row is costly enough for worker processes (decoding files).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    slow: ClassVar[bool] = False

    kind: str

    @classmethod
    @abstractmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Choose shape and options from the cells of training rows."""

    @abstractmethod
    def read(self, cells: Table) -> Reading:
        """Read every row of `cells`; a cell that cannot be read is noted in `Reading.bad`, never raised."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one row's array."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Element type of the arrays."""

    def misfit(self, cells: Table, columns: tuple[Column, ...]) -> str | None:
        """Why this reader, fitted on another table, cannot read a modality of the same kind here; None if it can.

        Args:
            cells: The modality's columns.
            columns: Their roles and kinds.

        Returns:
            Half a sentence; by default None: what decodes files makes arrays of its own shape out of any.
        """
        return None

    def features(self, values: NDArray[Any]) -> Features | None:
        """What classical models read of a row: as many numbers for every row, made of that row's array alone.

        None (the default) where the arrays are not for such models, like pixels: they then read the encoder's last
        hidden layer. Whether it is None depends on the reader, not on the rows. Nothing is fitted here: numbers are
        standardised, and terms weighed, on training rows, by the model.

        Args:
            values: Arrays [rows, *shape] as `read` makes them, perhaps of no row. Those of absent rows are zeros; what
                is made of them is never used.

        Returns:
            [rows, n], n the same for any rows. Dense: numbers that mean something in themselves (a category as 0 or 1
            per category), NaN where there is none. Sparse (`scipy.sparse.csr_array`): counts of terms, which are
            weighed by how rare a term is (tf-idf).
        """
        return None

    @property
    def has_features(self) -> bool:
        """Whether classical models read its arrays themselves, by way of `features`."""
        return self.features(self.empty(0).values) is not None

    def empty(self, rows: int) -> Reading:
        """A reading of `rows` rows with nothing in them, to be filled."""
        return Reading(np.zeros((rows, *self.shape), self.dtype), np.zeros(rows, np.bool_), {})


READERS: Registry[type[Reader]] = Registry("modality kind")
"""Readers by modality kind."""


def load_reader(state: dict[str, Any]) -> Reader:
    """The reader that `Reader.model_dump` described."""
    return READERS[str(state.get("kind"))].model_validate(state)
