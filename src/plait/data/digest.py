"""Content digests of rows: what cache keys, fingerprints and the search for identical rows are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait.data.media import cell_digest
from plait.data.schema import MEDIA_KINDS, Modality
from plait.data.table import Table


def column_digests(column: pa.ChunkedArray, media: bool = False) -> NDArray[np.uint64]:
    """A 64-bit digest per cell: of the bytes of media (not of their paths), of the value otherwise.

    Returns:
        Array [rows]; equal cells have equal digests in every process.
    """
    if media:
        return np.fromiter((cell_digest(cell.as_py()) for cell in column), np.uint64, len(column))
    import pandas as pd

    if pa.types.is_nested(column.type) or pa.types.is_large_binary(column.type):
        cells = (repr(cell.as_py()).encode() for cell in column)
        return np.fromiter((_digest(cell) for cell in cells), np.uint64, len(column))
    return np.asarray(pd.util.hash_array(column.to_pandas().to_numpy(), categorize=False), dtype=np.uint64)


def modality_digests(cells: Table, modality: Modality) -> NDArray[np.uint64]:
    """A 64-bit digest per row over all columns of a modality; array [rows]."""
    media = modality.kind in MEDIA_KINDS
    return combine([column_digests(cells.column(name), media) for name in modality.columns])


def combine(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """One digest per row from several; the order of the parts matters. Arrays [rows]."""
    total = np.zeros_like(parts[0]) if parts else np.zeros(0, np.uint64)
    for part in parts:  # multiply and add modulo 2^64, then mix: splitmix64's constants
        total = (total * np.uint64(0x9E3779B97F4A7C15) + part) ^ (part >> np.uint64(31))
        total = (total ^ (total >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return total


def key_of(parts: Iterable[str | bytes | NDArray[np.uint64]]) -> str:
    """One hexadecimal key (40 digits) over texts, bytes and arrays, in order."""
    total = hashlib.blake2b(digest_size=20)
    for part in parts:
        data = part.encode() if isinstance(part, str) else bytes(part) if isinstance(part, bytes) else part.tobytes()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
