"""Decodes the rows of a modality once, in pieces, with worker processes where that pays, into a mapped array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait._version import __version__
from plait.data.cache import ArrayCache
from plait.data.digest import key_of
from plait.data.readers._base import Reader, Reading
from plait.data.table import Table
from plait.data.workers import in_order

CHUNK = 512
WORKERS_FROM = 4_096
"""Fewer rows than this are decoded in this process: starting workers would take longer."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Decoded:
    """One modality of all rows.

    Attributes:
        values: Array [rows, *shape], mapped from the cache.
        present: Array [rows] of bool.
        bad: Reasons by row, for rows that could not be read.
    """

    values: NDArray[Any]
    present: NDArray[np.bool_]
    bad: dict[int, str]


def decode(
    reader: Reader,
    cells: Table,
    digests: NDArray[np.uint64],
    cache: ArrayCache,
    workers: int = 1,
    advance: Advance | None = None,
) -> Decoded:
    """Read every row of one modality, from the cache if it was read before.

    Args:
        reader: The fitted reader.
        cells: The modality's columns, all rows.
        digests: Content digests of the rows, [rows]: with the reader's options they are the cache's key.
        cache: Where the array goes.
        workers: Processes to decode with; the result does not depend on it.
        advance: Told after every piece how many rows were read.
    """
    key = "decoded-" + key_of([__version__, reader.model_dump_json(), digests])
    values, marks = cache.get(key), cache.get(key + "-present")
    if values is None or marks is None or len(values) != len(cells):
        bad = _fill(reader, cells, key, cache, workers, advance)
        values, marks = cache.get(key), cache.get(key + "-present")
        if values is None or marks is None:
            raise OSError(f"the cache folder {cache.folder} lost an array just written")
    else:
        bad = _bad_again(reader, cells, marks)
        if advance:
            advance(len(cells))
    return Decoded(values, np.asarray(marks) == 1, bad)


def _fill(
    reader: Reader, cells: Table, key: str, cache: ArrayCache, workers: int, advance: Advance | None
) -> dict[int, str]:
    bad: dict[int, str] = {}
    marks = np.zeros(len(cells), np.int8)
    with cache.writing(key, (len(cells), *reader.shape), reader.dtype) as values:
        start = 0
        for reading in read_chunks(reader, cells, workers):
            stop = start + len(reading.present)
            values[start:stop] = reading.values
            marks[start:stop] = reading.present
            for row, reason in reading.bad.items():
                bad[start + row] = reason
                marks[start + row] = -1
            if advance:
                advance(stop - start)
            start = stop
    with cache.writing(key + "-present", marks.shape, marks.dtype) as kept:
        kept[:] = marks
    return bad


def _bad_again(reader: Reader, cells: Table, marks: NDArray[Any]) -> dict[int, str]:
    """Reasons of rows that were bad when the array was cached; they are read again for their message."""
    rows = np.flatnonzero(np.asarray(marks) == -1)
    again = reader.read(cells.take(rows)) if len(rows) else None
    return {int(row): again.bad.get(i, "could not be read") for i, row in enumerate(rows)} if again else {}


def read_chunks(reader: Reader, cells: Table, workers: int = 1) -> Iterator[Reading]:
    """Readings of all rows in order, a piece at a time."""
    pieces = (_piece(cells, start) for start in range(0, len(cells), CHUNK))
    if workers <= 1 or not reader.slow or len(cells) < WORKERS_FROM:
        yield from map(reader.read, pieces)
        return
    yield from in_order(partial(_read_piece, reader), map(_packed, pieces), workers)


def _piece(cells: Table, start: int) -> Table:
    return Table(cells.data.slice(start, CHUNK), cells.name, cells.folder)


def _packed(cells: Table) -> bytes:
    """The rows as an Arrow stream; handed over as they are, the whole table would travel with every piece of it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, cells.data.schema) as stream:
        stream.write_table(cells.data)
    return bytes(sink.getvalue())


def _read_piece(reader: Reader, packed: bytes) -> Reading:
    return reader.read(Table(pa.ipc.open_stream(packed).read_all()))
