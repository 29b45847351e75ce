"""Sounds: one rate and length for all, as the training rows have."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from made import wav
from plait.data.readers import AudioReader, load_reader
from plait.data.readers.audio import MAX_RATE, MAX_SAMPLES, MIN_SAMPLES
from plait.data.schema import Column
from plait.data.table import Table

COLUMNS = (Column(name="c", role="input", kind="audio"),)
RNG = np.random.default_rng(0)


def sound(samples: int, rate: int = 4000) -> bytes:
    return wav(RNG.uniform(-0.9, 0.9, samples), rate)


def column(cells: Any) -> Table:
    kind = pa.large_binary() if any(isinstance(cell, bytes) for cell in cells) else None
    return Table(pa.table({"c": pa.array(cells, kind)}))


def test_the_most_frequent_rate_and_nearly_the_longest_clip() -> None:
    cells = [sound(2000), sound(2000), sound(4000, 8000), None, b"broken"] + [sound(2000)] * 40 + [sound(9000)]
    reader = AudioReader.fit(column(cells), COLUMNS)
    assert (reader.rate, reader.samples) == (4000, 2000)
    assert reader.shape == (2000,)


@pytest.mark.parametrize(
    ("samples", "rate", "expected"),
    [(44_100, 44_100, (MAX_RATE, 16_000)), (10, 4000, (4000, MIN_SAMPLES)), (8000 * 30, 8000, (8000, MAX_SAMPLES))],
)
def test_rate_and_length_are_bounded(samples: int, rate: int, expected: tuple[int, int]) -> None:
    reader = AudioReader.fit(column([sound(samples, rate)]), COLUMNS)
    assert (reader.rate, reader.samples) == expected


@pytest.mark.parametrize("cells", [[None], [b"x"], ["/nowhere.wav"], [5]])
def test_no_sound_to_fit_on(cells: list[Any]) -> None:
    assert AudioReader.fit(column(cells), COLUMNS).shape == (MIN_SAMPLES,)


def test_samples_absent_and_bad_cells() -> None:
    loud = io.BytesIO()
    soundfile.write(loud, np.array([2.0, -2.0, 0.5]), 4000, format="WAV", subtype="FLOAT")
    reader = AudioReader(rate=4000, samples=1024)
    reading = reader.read(column([wav(np.full(500, 0.5)), None, b"hello", loud.getvalue(), sound(3000)[:1000]]))
    assert reading.values.dtype == np.int16
    assert np.abs(reading.values[0, :500] - 16384).max() <= 1
    assert not reading.values[0, 500:].any()
    assert reading.values[3, :3].tolist() == [32767, -32767, 16384]
    assert reading.present.tolist() == [True, False, False, True, False]
    assert list(reading.bad) == [2, 4]
    assert "not a readable sound" in reading.bad[2]
    assert "truncated" in reading.bad[4]
    assert not reading.values[[1, 2, 4]].any()


@pytest.mark.parametrize("cells", [[5, None], [[1, 2], None]])
def test_cells_of_another_type_are_bad(cells: list[Any]) -> None:
    reading = AudioReader(rate=4000, samples=1024).read(column(cells))
    assert list(reading.bad) == [0]


def test_a_row_is_read_the_same_alone() -> None:
    cells = [sound(1500), sound(3000, 8000), b"broken", None, sound(900)]
    reader = AudioReader.fit(column(cells), COLUMNS)
    assert load_reader(reader.model_dump()) == reader
    together = reader.read(column(cells))
    for row, cell in enumerate(cells):
        alone = reader.read(column([cell]))
        np.testing.assert_array_equal(alone.values[0], together.values[row])
        assert alone.bad.get(0) == together.bad.get(row)
