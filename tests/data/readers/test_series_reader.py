"""Series: ragged, with gaps, of one or several channels."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.readers import SeriesReader, load_reader
from plait.data.readers.series import MAX_STEPS, QUANTILES
from plait.data.schema import Column
from plait.data.table import Table, read_table

COLUMNS = (Column(name="c", role="input", kind="series"),)
NAN = float("nan")


def column(cells: Any, kind: pa.DataType | None = None) -> Table:
    return read_table(pa.table({"c": pa.array(cells, kind)}))


@pytest.mark.parametrize(
    ("cells", "shape"),
    [
        ([[1.0], [1.0, 2.0], None, []], (2, 2)), ([[[1, 2], [3, 4]], [[5, 6]]], (2, 3)), ([[], None], (1, 2)),
        ([None], (1, 2)), (["x"], (1, 2)), ([[[1, 2]] * 3, [[1, 2, 3]]], (3, 3)), ([[[]], [[1.0]]], (1, 2)),
    ],
)  # fmt: skip
def test_shape(cells: list[Any], shape: tuple[int, int]) -> None:
    assert SeriesReader.fit(column(cells), COLUMNS).shape == shape


def test_values_gaps_and_padding() -> None:
    cells = [[[1, 2], [3, 4], [5, 6]], [[1, None], None, [NAN, 4]], [[7, 8]], None, [], [None, [None, None]]]
    reading = SeriesReader(channels=2, steps=3).read(column(cells))
    np.testing.assert_array_equal(reading.values[0], [[1, 2, 1], [3, 4, 1], [5, 6, 1]])
    np.testing.assert_array_equal(reading.values[1], [[1, NAN, 1], [NAN, NAN, 1], [NAN, 4, 1]])
    np.testing.assert_array_equal(reading.values[2], [[7, 8, 1], [0, 0, 0], [0, 0, 0]])
    assert reading.present.tolist() == [True, True, True, False, False, False]
    assert not reading.values[3:].any()
    assert reading.bad == {}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ([[1.0]], "a step of 1 channel; 2 were expected (a series is a list of steps"),
        ([[1.0, 2.0], [1.0, 2.0, 3.0]], "a step of 3 channels; 2 were expected"),
        ([[float("inf"), 1.0]], "the series holds numbers that are infinite or too large"),
        ([[1e300, 1.0]], "the series holds numbers that are infinite or too large"),
    ],
)
def test_bad_series(cell: Any, reason: str) -> None:
    reading = SeriesReader(channels=2, steps=3).read(column([[[1.0, 2.0]], cell]))
    assert list(reading.bad) == [1]
    assert reading.bad[1].startswith(reason)
    assert reading.present.tolist() == [True, False]
    assert not reading.values[1].any()


@pytest.mark.parametrize("cells", [["x", None], [1.5, None], [[["x"]], None], [[[[1.0]]], None]])
def test_cells_of_another_type_are_bad(cells: list[Any]) -> None:
    reading = SeriesReader(channels=1, steps=3).read(column(cells))
    assert list(reading.bad) == [0]
    assert reading.bad[0].startswith("not a list of numbers but ")


def test_long_series_are_averaged_in_all_rows_alike() -> None:
    long = [float(step) for step in range(3 * MAX_STEPS)]
    reader = SeriesReader.fit(column([long, long[:9]] * 20), COLUMNS)
    assert (reader.steps, reader.every) == (MAX_STEPS, 3)
    values = reader.read(column([long, long[:9], long[:2]])).values
    np.testing.assert_allclose(values[0, :, 0], np.arange(MAX_STEPS) * 3 + 1)
    np.testing.assert_allclose(values[1, :4, 0], [1, 4, 7, 0])
    np.testing.assert_allclose(values[2, :2], [[0.5, 1], [0, 0]])


def test_what_is_too_long_is_averaged_into_equal_pieces_over_its_gaps() -> None:
    reader = SeriesReader(channels=1, steps=2)
    values = reader.read(column([[1, 2, 3, 6], [1, None, None, None], [1, 2, 3, 4, 5]])).values[:, :, 0]
    np.testing.assert_array_equal(values, [[1.5, 4.5], [1, NAN], [1.5, 4]])


def test_misfit() -> None:
    reader = SeriesReader(channels=2, steps=3)
    assert reader.misfit(column([[[1, 2]]]), COLUMNS) is None
    assert reader.misfit(column([[], None]), COLUMNS) is None
    assert reader.misfit(column([[1, 2]]), COLUMNS) == "the series here have 1 channel, and it reads 2"


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.int8()), pa.list_view(pa.int64()),
        pa.list_(pa.float16()), pa.list_(pa.uint64()),
    ],
    ids=str,
)  # fmt: skip
def test_lists_of_every_type(kind: pa.DataType) -> None:
    reading = SeriesReader(channels=1, steps=2).read(column([[1], None, [3, 4]], kind))
    assert reading.values[:, :, 0].tolist() == [[1, 0], [0, 0], [3, 4]]
    if pa.types.is_list_view(kind):
        return  # of lists inside lists, the plain ones alone are known
    steps = column([[[1]], None, [[3], [4]]], pa.list_(kind))
    np.testing.assert_array_equal(SeriesReader(channels=1, steps=2).read(steps).values, reading.values)


def test_slices_and_chunks() -> None:
    array = pa.array([[[9.0]], [[1.0], [2.0]], None, [[3.0]]])
    chunked = pa.chunked_array([array.slice(1, 2), array.slice(3)])
    values = SeriesReader(channels=1, steps=2).read(Table(pa.table({"c": chunked}))).values
    assert values[:, :, 0].tolist() == [[1, 2], [0, 0], [3, 0]]


def test_it_works_without_torch() -> None:
    code = (
        "import sys, pyarrow as pa\n"
        "from plait.data.readers.series import SeriesReader\n"
        "from plait.data.table import read_table\n"
        "reader = SeriesReader(channels=1, steps=2)\n"
        "reader.features(reader.read(read_table(pa.table({'c': [[1.0]]}))).values)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def features_by_hand(series: np.ndarray) -> list[float]:
    """Of one series [steps, channels] with NaN in gaps."""
    told = []
    channels = [values[~np.isnan(values)] for values in series.T]
    told += [values.mean() if len(values) else 0 for values in channels]
    told += [values.std() if len(values) else 0 for values in channels]
    for share in QUANTILES:
        told += [np.quantile(values, share) if len(values) else 0 for values in channels]
    told += [values[0] if len(values) else 0 for values in channels]
    told += [values[-1] if len(values) else 0 for values in channels]
    for values in series.T:
        jumps = np.abs(np.diff(values))
        jumps = jumps[~np.isnan(jumps)]
        told.append(jumps.mean() if len(jumps) else 0)
    return [*told, len(series), np.isnan(series).mean()]


def test_features() -> None:
    rng = np.random.default_rng(0)
    cells = [rng.normal(size=(steps, 2)) for steps in (1, 2, 5, 9)]
    cells[2][1:4, 0], cells[3][:, 1] = NAN, NAN
    reader = SeriesReader(channels=2, steps=9)
    values = reader.read(column([cell.tolist() for cell in cells] + [None])).values
    found = reader.features(values)
    assert found.shape == (5, 26)
    for row, cell in enumerate(cells):
        np.testing.assert_allclose(found[row], features_by_hand(cell), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(reader.features(values[row : row + 1])[0], found[row])
    assert not found[4].any()
    assert reader.features(values[:0]).shape == (0, 26)
    huge = np.full((1, 9, 3), np.finfo(np.float32).max, np.float32)
    assert np.isfinite(reader.features(huge)).all()


FLOATS = st.floats(width=32, allow_infinity=False)


@settings(deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | st.lists(FLOATS, max_size=2), max_size=5), min_size=1, max_size=6))
def test_a_row_is_read_the_same_alone(cells: list[Any]) -> None:
    kind = pa.list_(pa.list_(pa.float64()))
    reader = SeriesReader.fit(column(cells, kind), COLUMNS)
    assert load_reader(reader.model_dump()) == reader
    together = reader.read(column(cells, kind))
    assert not np.isinf(together.values).any()
    for row, cell in enumerate(cells):
        alone = reader.read(column([cell], kind))
        np.testing.assert_array_equal(alone.values[0], together.values[row])
        assert alone.present[0] == together.present[row]
        assert alone.bad.get(0) == together.bad.get(row)
        numbers = [number for step in cell or [] for number in step or []]
        assert together.present[row] <= any(not np.isnan(number) for number in numbers)
        assert together.present[row] or row in together.bad or all(np.isnan(number) for number in numbers)
