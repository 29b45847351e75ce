"""Brings Arrow's many types to the few that plait works with; cells keep their values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same cells without dictionaries, views, runs, decimals and extension types; NaN becomes an empty cell.

    Text is `string`, bytes `large_binary`, decimals and half precision `float64`, durations and times of day `float64`
    in seconds.

    Raises:
        ArrowException: The cells cannot be brought to that form.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain_column(pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type))
    if pa.types.is_run_end_encoded(kind):
        return plain_column(pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks], kind.value_type))
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return plain_column(pa.chunked_array([pa.array(column.to_pylist(), pa.large_list(kind.value_type))]))
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        return _seconds(column)
    plain = plain_type(kind)
    return _without_nan(column if plain == kind else column.cast(plain))


def is_list(kind: pa.DataType) -> bool:
    """Whether cells of an Arrow type are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def list_lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Length of every list, 0 where there is none, [rows]."""
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64)
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(), dtype=np.int64)


def is_number(kind: pa.DataType) -> bool:
    """Whether cells of an Arrow type are whole or floating point numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that `plain_column` gives cells of a type, views, runs and extension types left aside."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return pa.float64()
    if is_list(kind) and plain_type(kind.value_type) != kind.value_type:
        return pa.large_list(plain_type(kind.value_type))
    return kind


def _seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    whole = column.cast(pa.int32()) if pa.types.is_time32(column.type) else column.cast(pa.int64())
    return pc.divide(pc.cast(whole, pa.float64(), safe=False), float(per_second))


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type) or not pc.any(pc.is_nan(column)).as_py():
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
