"""The contract of readers: each class is one capability, each test one law; a subclass gives the fixture `case`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import issparse

from plait.data.readers._base import READERS, Reader, load_reader
from plait.data.table import Table
from plait.testing.inputs import Cells, cells_of


@dataclass(frozen=True)
class ReaderCase:
    """A reader, under its modality kind, and table cells for it."""

    kind: str
    cells: Cells

    def __str__(self) -> str:
        return self.kind

    def fitted(self) -> Reader:
        """The reader, fitted on the good rows."""
        return READERS[self.kind].fit(self.cells.table, self.cells.columns)

    def row(self, table: Table, row: int) -> Table:
        """One row of a table."""
        return replace(table, data=table.data.slice(row, 1))


def reader_case(kind: str) -> ReaderCase:
    """The case of a registered reader, with cells out of `plait.testing.inputs`."""
    return ReaderCase(kind, cells_of(kind))


class ReaderSuite:
    """Base of the suites."""

    @pytest.fixture
    def case(self) -> ReaderCase:
        """The reader under test; a subclass must give it."""
        raise NotImplementedError("give a fixture `case` that returns a ReaderCase")


class ReaderArrays(ReaderSuite):
    """Arrays are what the reader declares; a row's depends on that row alone."""

    def test_declared(self, case: ReaderCase) -> None:
        """Shape and type are as declared; the rows without a filled cell are absent, the others are there."""
        reader, rows = case.fitted(), len(case.cells.table)
        reading = reader.read(case.cells.table)
        assert reading.values.shape == (rows, *reader.shape)
        assert reading.values.dtype == reader.dtype
        assert reading.bad == {}, "a good cell was called bad"
        assert reading.present.tolist() == [True] * (rows - 1) + [False]

    def test_alone(self, case: ReaderCase) -> None:
        """A row reads the same alone and among others."""
        reader = case.fitted()
        together = reader.read(case.cells.table)
        for row in range(len(case.cells.table)):
            alone = reader.read(case.row(case.cells.table, row))
            np.testing.assert_array_equal(alone.values[0], together.values[row])
            assert alone.present[0] == together.present[row]

    def test_features(self, case: ReaderCase) -> None:
        """Classical models read the same of a row alone and among others; or the reader has nothing for them."""
        reader = case.fitted()
        values = reader.read(case.cells.table).values
        together = reader.features(values)
        assert (together is not None) == reader.has_features, "whether there are features depends on the rows"
        if together is None:
            return
        alone: list[Any] = [reader.features(values[row : row + 1]) for row in range(len(values))]
        dense = together.toarray() if issparse(together) else together
        assert not np.isinf(dense).any(), "a feature is infinite"
        assert not issparse(together) or (dense >= 0).all(), "sparse features are counts"
        found = [one.toarray() if issparse(one) else one for one in alone]
        np.testing.assert_array_equal(np.concatenate(found), dense)

    def test_bad_cells(self, case: ReaderCase) -> None:
        """A cell that cannot be read is noted with its row and a reason, and the row is absent: zeros."""
        reading = case.fitted().read(case.cells.bad)
        assert sorted(reading.bad) == list(range(len(case.cells.bad))), "a bad cell was not noted"
        assert all(reading.bad.values()), "a bad cell has no reason"
        assert not reading.present.any()
        assert not reading.values.any()


class ReaderState(ReaderSuite):
    """A reader travels as JSON."""

    def test_round_trip(self, case: ReaderCase) -> None:
        """Through JSON and back it is the same reader."""
        reader = case.fitted()
        assert load_reader(type(reader).model_validate_json(reader.model_dump_json()).model_dump()) == reader

    def test_nothing_to_fit_on(self, case: ReaderCase) -> None:
        """Fitted on rows without any filled cell, it still reads."""
        empty = case.row(case.cells.table, len(case.cells.table) - 1)
        reader = READERS[case.kind].fit(empty, case.cells.columns)
        assert not reader.read(empty).present.any()

    def test_suits_its_own(self, case: ReaderCase) -> None:
        """It can read the modality that it was fitted on, and one without any filled cell."""
        reader = case.fitted()
        empty = case.row(case.cells.table, len(case.cells.table) - 1)
        assert reader.misfit(case.cells.table, case.cells.columns) is None
        assert reader.misfit(empty, case.cells.columns) is None
