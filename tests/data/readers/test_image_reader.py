"""Images: one size for all, as the training rows are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from made import png
from plait.data.readers import ImageReader, load_reader
from plait.data.readers.image import MAX_SIDE, MIN_SIDE
from plait.data.schema import Column
from plait.data.table import Table

COLUMNS = (Column(name="c", role="input", kind="image"),)
RNG = np.random.default_rng(0)


def image(height: int, width: int, *more: int) -> bytes:
    return png(RNG.integers(0, 256, (height, width, *more)))


def column(cells: Any) -> Table:
    kind = pa.large_binary() if any(isinstance(cell, bytes) for cell in cells) else None
    return Table(pa.table({"c": pa.array(cells, kind)}))


def test_size_and_channels_are_those_of_the_training_images() -> None:
    reader = ImageReader.fit(column([image(20, 30), None, image(22, 30), b"broken", image(24, 50)]), COLUMNS)
    assert (reader.channels, reader.height, reader.width) == (1, 22, 30)
    assert reader.shape == (1, 22, 30)
    assert ImageReader.fit(column([image(20, 30), image(20, 30, 3)]), COLUMNS).channels == 3


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(256, 512, (64, 128)), (2, 300, (MIN_SIDE, MAX_SIDE)), (1, 1, (MIN_SIDE, MIN_SIDE)), (128, 64, (128, 64))],
)
def test_sides_are_bounded(height: int, width: int, expected: tuple[int, int]) -> None:
    reader = ImageReader.fit(column([image(height, width)]), COLUMNS)
    assert (reader.height, reader.width) == expected


@pytest.mark.parametrize("cells", [[None, None], [b"x"], [b""], ["/nowhere.png"], [5]])
def test_no_image_to_fit_on(cells: list[Any]) -> None:
    assert ImageReader.fit(column(cells), COLUMNS).shape == (3, MIN_SIDE, MIN_SIDE)


def test_the_sample_reaches_the_last_row() -> None:
    cells = [image(8, 8)] * 400 + [image(8, 8, 3)]
    assert ImageReader.fit(column(cells), COLUMNS).channels == 3


def test_pixels_absent_and_bad_cells(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (8, 9, 3)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png(pixels))
    reader = ImageReader(channels=3, height=8, width=9)
    reading = reader.read(column([png(pixels), None, b"", b"hello", png(pixels)[:80]]))
    np.testing.assert_array_equal(reading.values[0], pixels.transpose(2, 0, 1))
    assert reading.values.dtype == np.uint8
    assert reading.present.tolist() == [True, False, False, False, False]
    assert list(reading.bad) == [3, 4]
    assert "not an image of a known format" in reading.bad[3]
    assert not reading.values[1:].any()
    paths = reader.read(column([str(tmp_path / "a.png"), str(tmp_path / "b.png"), ""]))
    np.testing.assert_array_equal(paths.values[0], reading.values[0])
    assert paths.bad == {1: f"there is no file {tmp_path}/b.png"}
    structs = reader.read(column([{"bytes": None, "path": str(tmp_path / "a.png")}, None]))
    np.testing.assert_array_equal(structs.values[0], reading.values[0])


@pytest.mark.parametrize("cells", [[5, None], [1.5, None], [[1, 2], None], [True, None]])
def test_cells_of_another_type_are_bad(cells: list[Any]) -> None:
    reading = ImageReader(channels=1, height=8, width=8).read(column(cells))
    assert list(reading.bad) == [0]
    assert "is neither a path nor bytes" in reading.bad[0]


def test_a_row_is_read_the_same_alone() -> None:
    cells = [image(8, 9), image(40, 70, 3), b"broken", None, image(9, 8)]
    reader = ImageReader.fit(column(cells), COLUMNS)
    assert load_reader(reader.model_dump()) == reader
    together = reader.read(column(cells))
    for row, cell in enumerate(cells):
        alone = reader.read(column([cell]))
        np.testing.assert_array_equal(alone.values[0], together.values[row])
        assert alone.bad.get(0) == together.bad.get(row)
