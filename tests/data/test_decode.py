"""Decoding in pieces: the same result by any number of workers, from the cache or anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from made import png, wav
from plait.data import decode as decoding
from plait.data.cache import ArrayCache
from plait.data.decode import decode, read_chunks
from plait.data.digest import column_digests
from plait.data.readers import AudioReader, ImageReader, Reader, TabularReader
from plait.data.readers._base import Reading
from plait.data.schema import Column
from plait.data.table import Table

READER = ImageReader(channels=1, height=8, width=8)
BAD_ROWS = {3: "not an image", 17: "not a readable image"}


@pytest.fixture(scope="module")
def cells() -> Table:
    """Forty images; every fifth is absent, two cannot be read."""
    rng = np.random.default_rng(0)
    images: list[bytes | None] = [png(rng.integers(0, 256, (8, 8))) for _ in range(40)]
    images[::5] = [None] * 8
    images[3], images[17] = b"hello", images[16][:60]  # type: ignore[index]
    return Table(pa.table({"c": pa.array(images, pa.large_binary())}))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of seven rows, and workers however few there are."""
    monkeypatch.setattr(decoding, "CHUNK", 7)
    monkeypatch.setattr(decoding, "WORKERS_FROM", 1)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("workers", [1, 2])
def test_the_result_does_not_depend_on_workers_or_pieces(workers: int, cells: Table, tmp_path: Path) -> None:
    whole = READER.read(cells)
    digests = column_digests(cells.column("c"), media=True)
    told: list[int] = []
    found = decode(READER, cells, digests, ArrayCache(tmp_path), workers, told.append)
    np.testing.assert_array_equal(found.values, whole.values)
    np.testing.assert_array_equal(found.present, whole.present)
    assert found.bad == whole.bad
    assert list(found.bad) == list(BAD_ROWS)
    assert all(expected in found.bad[row] for row, expected in BAD_ROWS.items())
    assert sum(told) == 40
    assert found.present.sum() == 40 - 8 - 2


@pytest.mark.usefixtures("small_pieces")
def test_from_the_cache(cells: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, digests = ArrayCache(tmp_path), column_digests(cells.column("c"), media=True)
    first = decode(READER, cells, digests, cache)
    read: list[int] = []
    real: Callable[[Reader, Table], Reading] = ImageReader.read

    def counted(self: ImageReader, cells: Table) -> Reading:
        read.append(len(cells))
        return real(self, cells)

    monkeypatch.setattr(ImageReader, "read", counted)
    told: list[int] = []
    again = decode(READER, cells, digests, cache, advance=told.append)
    assert read == [2]  # the bad rows alone, for their reasons
    assert told == [40]
    np.testing.assert_array_equal(again.values, first.values)
    np.testing.assert_array_equal(again.present, first.present)
    assert again.bad == first.bad


def test_other_options_and_other_rows_are_decoded_anew(cells: Table, tmp_path: Path) -> None:
    cache, digests = ArrayCache(tmp_path), column_digests(cells.column("c"), media=True)
    first = decode(READER, cells, digests, cache)
    wider = decode(ImageReader(channels=1, height=8, width=9), cells, digests, cache)
    turned = decode(READER, cells.take(np.arange(40)[::-1].copy()), digests[::-1].copy(), cache)
    assert wider.values.shape == (40, 1, 8, 9)
    np.testing.assert_array_equal(turned.values[::-1], first.values)
    assert sorted(39 - row for row in turned.bad) == list(BAD_ROWS)
    assert len(list(tmp_path.glob("*.npy"))) == 6


@pytest.mark.parametrize("lost", ["values", "present"])
def test_half_of_a_pair_is_a_miss(lost: str, cells: Table, tmp_path: Path) -> None:
    cache, digests = ArrayCache(tmp_path), column_digests(cells.column("c"), media=True)
    first = READER.read(cells)
    decode(READER, cells, digests, cache)
    path = next(path for path in tmp_path.glob("*.npy") if ("-present" in path.name) == (lost == "present"))
    path.write_bytes(path.read_bytes()[:100])
    again = decode(READER, cells, digests, cache)
    np.testing.assert_array_equal(again.values, first.values)
    assert again.bad == first.bad


def test_a_cache_that_loses_everything_is_told(cells: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ArrayCache, "get", lambda self, key: None)
    with pytest.raises(OSError, match="lost an array just written"):
        decode(READER, cells, column_digests(cells.column("c"), media=True), ArrayCache(tmp_path))


def test_readers_that_are_quick_need_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "WORKERS_FROM", 1)
    monkeypatch.setattr(decoding, "_packed", lambda cells: pytest.fail("rows were sent to a worker"))
    table = Table(pa.table({"a": list(range(1200))}))
    reader = TabularReader.fit(table, (Column(name="a", role="input", kind="numeric"),))
    pieces = list(read_chunks(reader, table, workers=2))
    assert [len(piece.present) for piece in pieces] == [512, 512, 176]
    np.testing.assert_array_equal(np.concatenate([piece.values for piece in pieces])[:, 0], np.arange(1200))


def test_only_the_rows_of_a_piece_travel_to_a_worker() -> None:
    cells = Table(pa.table({"c": pa.array([wav(np.zeros(5000))] * 300, pa.large_binary())}))
    piece = Table(cells.data.slice(100, 3))
    packed = decoding._packed(piece)
    assert len(packed) < 4 * 10_200
    reading = decoding._read_piece(AudioReader(rate=4000, samples=5000), packed)
    assert reading.present.tolist() == [True] * 3
