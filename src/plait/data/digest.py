"""Content digests of rows: what cache keys, fingerprints and the search for identical rows are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.data.media import cell_digest
from plait.data.plain import is_list
from plait.data.schema import MEDIA_KINDS, Modality
from plait.data.table import Table

_CHUNK: Final = 16_384
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_EMPTY: Final = np.uint64(0xD1B54A32D192ED03)
"""The digest of an empty cell."""


def column_digests(column: pa.ChunkedArray, media: bool = False) -> NDArray[np.uint64]:
    """A 64-bit digest per cell: of the bytes of media (not of their paths), of the value otherwise.

    Returns:
        Array [rows]; equal cells of one type have equal digests in every process.
    """
    if media:
        return np.fromiter((cell_digest(cell.as_py()) for cell in column), np.uint64, len(column))
    pieces = [_digests(chunk.slice(start, _CHUNK)) for chunk in column.chunks for start in range(0, len(chunk), _CHUNK)]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint64)


def modality_digests(cells: Table, modality: Modality) -> NDArray[np.uint64]:
    """A 64-bit digest per row over all columns of a modality; array [rows]."""
    media = (modality.items or modality.kind) in MEDIA_KINDS
    return combine([column_digests(cells.column(name), media) for name in modality.columns])


def combine(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """One digest per row from several; the order of the parts matters. Arrays [rows]."""
    total = np.zeros_like(parts[0]) if parts else np.zeros(0, np.uint64)
    for part in parts:
        total = _mix(total * _GOLDEN + part)
    return total


def key_of(parts: Iterable[str | bytes | NDArray[np.uint64]]) -> str:
    """One hexadecimal key (40 digits) over texts, bytes and arrays, in order."""
    total = hashlib.blake2b(digest_size=20)
    for part in parts:
        data = part.encode() if isinstance(part, str) else bytes(part) if isinstance(part, bytes) else part.tobytes()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def _digests(cells: pa.Array) -> NDArray[np.uint64]:
    """Digests of a piece of a column, by the type of its cells."""
    kind = cells.type
    if is_list(kind):
        found = _of_lists(cells)
    elif pa.types.is_struct(kind):
        fields = [_digests(pc.struct_field(cells, index)) for index in range(kind.num_fields)]
        found = combine([np.zeros(len(cells), np.uint64), *fields])
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        found = _of_numbers(cells)
    elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        whole = cells.cast(pa.int32()) if pa.types.is_date32(kind) else cells
        found = _of_numbers(whole.cast(pa.int64()))
    else:
        found = _of_values(cells)
    return np.where(cells.is_valid().to_numpy(zero_copy_only=False), found, _EMPTY)


def _of_numbers(cells: pa.Array) -> NDArray[np.uint64]:
    if pa.types.is_floating(cells.type):
        values = pc.fill_null(cells.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        bits = (values + 0.0).view(np.uint64)  # adding zero turns -0.0 into 0.0, which it is equal to
    else:
        wide = pa.uint64() if pa.types.is_uint64(cells.type) else pa.int64()
        bits = pc.fill_null(cells.cast(wide), 0).to_numpy(zero_copy_only=False).astype(np.uint64)
    return _mix(bits + _GOLDEN)


def _of_values(cells: pa.Array) -> NDArray[np.uint64]:
    """Text and bytes by their bytes, anything else by how it is written."""
    raw = cells.cast(pa.large_binary()) if pa.types.is_string(cells.type) else cells
    values = (cell if isinstance(cell, bytes) else repr(cell).encode() for cell in raw.to_pylist())
    return np.fromiter((_digest(value) for value in values), np.uint64, len(cells))


def _of_lists(cells: pa.Array) -> NDArray[np.uint64]:
    """The sum, modulo 2^64, of every element's digest mixed with its place, mixed with the length."""
    lengths = pc.fill_null(pc.list_value_length(cells), 0).to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    places = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)
    parts = _mix(_digests(pc.list_flatten(cells)) + places.astype(np.uint64) * _GOLDEN)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(parts, dtype=np.uint64)])
    return _mix(sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64) * _GOLDEN)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014): every bit of the result depends on every bit given."""
    mixed = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
