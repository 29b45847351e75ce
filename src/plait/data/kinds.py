"""Which cells a kind can use: judged by their Arrow type, so that a wrong kind is told before a cell is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa

from plait.data.plain import is_list, is_number, plain_type

_MEDIA_CELLS: Final = "paths, bytes, or structs of both (`bytes`, `path`)"
_PLAIN_CELLS: Final = "text, numbers, truth values or dates"

CELLS: Final = {
    "image": _MEDIA_CELLS, "audio": _MEDIA_CELLS, "video": _MEDIA_CELLS, "vector": "lists of numbers",
    "series": "lists of numbers, or lists of such lists", "text": "text", "molecule": "text",
    "numeric": "numbers", "categorical": _PLAIN_CELLS, "date": "dates, or text such as 2024-01-31",
    "binary": _PLAIN_CELLS, "multiclass": _PLAIN_CELLS, "ordinal": "numbers, or text in an order that is said",
    "multilabel": "lists of text or of whole numbers, or text with labels between semicolons",
    "regression": "numbers",
}  # fmt: skip
"""What the cells of an input or task kind may be, in words."""


def can_hold(kind: str, cells: pa.DataType) -> bool:
    """Whether a kind of input or task can use cells of a plain Arrow type; a column without a single cell fits all."""
    return pa.types.is_null(cells) or _RIGHT[kind](cells)


def is_date_type(cells: pa.DataType) -> bool:
    """Whether cells are days or points in time."""
    return bool(pa.types.is_date(cells) or pa.types.is_timestamp(cells))


def media_fields(cells: pa.DataType) -> set[str]:
    """Which of `bytes` and `path` a struct has, and has as bytes and as text."""
    found = set()
    for index in range(cells.num_fields):
        inner = plain_type(cells.field(index).type)
        right = {"bytes": pa.types.is_large_binary(inner), "path": pa.types.is_string(inner)}
        if right.get(cells.field(index).name):
            found.add(cells.field(index).name)
    return found


def _is_plain(cells: pa.DataType) -> bool:
    return bool(is_number(cells) or pa.types.is_boolean(cells) or pa.types.is_string(cells) or is_date_type(cells))


def _is_number_like(cells: pa.DataType) -> bool:
    return _is_plain(cells) and not is_date_type(cells)


def _is_date_like(cells: pa.DataType) -> bool:
    return bool(is_date_type(cells) or pa.types.is_string(cells) or pa.types.is_integer(cells))


def _is_media(cells: pa.DataType) -> bool:
    if pa.types.is_struct(cells):
        return bool(media_fields(cells))
    return bool(pa.types.is_string(cells) or pa.types.is_large_binary(cells))


def _is_vector(cells: pa.DataType) -> bool:
    return is_list(cells) and (is_number(cells.value_type) or pa.types.is_null(cells.value_type))


def _is_series(cells: pa.DataType) -> bool:
    return _is_vector(cells) or (is_list(cells) and _is_vector(cells.value_type))


def _is_text(cells: pa.DataType) -> bool:
    return bool(pa.types.is_string(cells))


def is_label_list(cells: pa.DataType) -> bool:
    """Whether cells are lists of text or of whole numbers, as labels are."""
    if not is_list(cells):
        return False
    inner = cells.value_type
    return bool(pa.types.is_string(inner) or pa.types.is_integer(inner) or pa.types.is_null(inner))


def _is_labels(cells: pa.DataType) -> bool:
    return is_label_list(cells) or _is_text(cells)


_RIGHT: Final[dict[str, Callable[[pa.DataType], bool]]] = {
    "image": _is_media, "audio": _is_media, "video": _is_media, "vector": _is_vector, "series": _is_series,
    "text": _is_text, "molecule": _is_text, "numeric": _is_number_like, "categorical": _is_plain, "date": _is_date_like,
    "binary": _is_plain, "multiclass": _is_plain, "ordinal": _is_number_like,
    "multilabel": _is_labels,
    "regression": _is_number_like,
}  # fmt: skip
