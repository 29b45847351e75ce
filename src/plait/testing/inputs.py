"""Small made inputs of every modality kind: readers with arrays for encoders, and table cells for readers."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait.data.readers._base import Reader
from plait.data.readers.audio import AudioReader
from plait.data.readers.image import ImageReader
from plait.data.readers.series import SeriesReader
from plait.data.readers.set import SetReader
from plait.data.readers.tabular import Field, TabularReader
from plait.data.readers.text import TextReader
from plait.data.readers.vector import VectorReader
from plait.data.schema import Column
from plait.data.table import Table

ROWS: Final = 12
LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Sample:
    """Arrays as a reader gives them.

    Attributes:
        name: What a test report calls it.
        reader: A fitted reader.
        values: Ordinary rows [rows, *reader.shape].
        extreme: Rows at the ends of what the reader can give: smallest, largest, constant, empty.
    """

    name: str
    reader: Reader
    values: NDArray[Any]
    extreme: NDArray[Any]


@dataclass(frozen=True)
class Cells:
    """Table cells of one modality.

    Attributes:
        name: What a test report calls it.
        columns: Their columns in the schema.
        table: Rows that can be read; at least the last one has no filled cell.
        bad: Rows in which something cannot be read.
    """

    name: str
    columns: tuple[Column, ...]
    table: Table
    bad: Table


def samples_of(kind: str) -> list[Sample]:
    """Made arrays of a modality kind, of several shapes.

    Raises:
        LookupError: There are none yet: give the suite samples of your own, or add them here.
    """
    if kind not in _SAMPLES:
        raise LookupError(f"plait.testing.inputs has no sample of modality kind {kind!r}; there are {sorted(_SAMPLES)}")
    return _SAMPLES[kind]()


def cells_of(kind: str) -> Cells:
    """Made table cells of a modality kind.

    Raises:
        LookupError: There are none yet: give the suite cells of your own, or add them here.
    """
    if kind not in _CELLS:
        raise LookupError(f"plait.testing.inputs has no cells of modality kind {kind!r}; there are {sorted(_CELLS)}")
    return _CELLS[kind]()


def _images() -> list[Sample]:
    found = []
    for shape in ((1, 20, 16), (3, 8, 8), (3, 44, 64)):
        rng = np.random.default_rng(0)
        reader = ImageReader(channels=shape[0], height=shape[1], width=shape[2])
        values = rng.integers(0, 256, (ROWS, *shape), dtype=np.uint8)
        extreme = np.zeros((3, *shape), np.uint8)
        extreme[1], extreme[2, :, ::2] = 255, 255
        found.append(Sample("x".join(map(str, shape)), reader, values, extreme))
    return found


def _sounds() -> list[Sample]:
    found = []
    for rate, samples in ((4_000, 2_000), (16_000, 24_000), (1_000, 1_024)):
        rng = np.random.default_rng(0)
        values = (3_000 * rng.normal(size=(ROWS, samples))).clip(-32_767, 32_767).astype(np.int16)
        extreme = np.zeros((4, samples), np.int16)
        extreme[1], extreme[2], extreme[3, ::2] = 32_767, -32_768, 32_767
        found.append(Sample(f"{rate} Hz", AudioReader(rate=rate, samples=samples), values, extreme))
    return found


def _vectors() -> list[Sample]:
    found = []
    for width in (1, 7, 600):
        rng = np.random.default_rng(0)
        values = rng.normal(5, 3, (ROWS, width)).astype(np.float32)
        if width > 1:
            values[:, -1] = 2.5  # a constant
        extreme = np.zeros((4, width), np.float32)
        extreme[1], extreme[2], extreme[3] = LARGEST, -LARGEST, 1e-38
        found.append(Sample(f"{width} numbers", VectorReader(width=width), values, extreme))
    return found


def _texts() -> list[Sample]:
    found = []
    for tokens, merges in (
        (8, ""),
        (20, "a b\nab c"),
        (200, "\n".join(f"{one} {two}" for one in "abcdefgh" for two in "ijklm")),
    ):
        rng = np.random.default_rng(0)
        reader = TextReader(merges=merges, tokens=tokens, fold=True)
        values = rng.integers(1, reader.vocabulary + 1, (ROWS, tokens)).astype(np.int16)
        values[np.arange(tokens) >= rng.integers(1, tokens + 1, (ROWS, 1))] = 0
        extreme = np.zeros((4, tokens), np.int16)
        extreme[1], extreme[2], extreme[3, 0] = 1, reader.vocabulary, reader.vocabulary
        found.append(Sample(f"{tokens} tokens", reader, values, extreme))
    return found


def _series() -> list[Sample]:
    found = []
    for steps, channels in ((1, 1), (12, 3), (150, 1), (70, 50)):  # 50 channels: layer 0 is reduced
        rng = np.random.default_rng(0)
        values = rng.normal(5, 3, (ROWS, steps, channels + 1)).astype(np.float32)
        values[rng.random(values.shape) < 0.1] = np.nan
        values[:, 0, 0] = 1.0
        real = np.arange(steps) < rng.integers(1, steps + 1, (ROWS, 1))
        values[:, :, -1] = real
        values[~real] = 0
        extreme = np.zeros((5, steps, channels + 1), np.float32)
        extreme[1], extreme[2], extreme[3], extreme[4] = LARGEST, -LARGEST, np.nan, 1e-38
        extreme[1:, :, -1] = 1
        found.append(
            Sample(f"{steps} steps of {channels}", SeriesReader(channels=channels, steps=steps), values, extreme)
        )
    return found


def _field(name: str, kind: Any, start: int, categories: int = 0) -> Field:
    names = tuple(f"{index:03}" for index in range(categories))
    return Field(name=name, kind=kind, start=start, width=4 if kind == "date" else 1, categories=names)


def _tables() -> list[Sample]:
    number, code = _field("size", "numeric", 0), _field("colour", "categorical", 1, 3)
    mixed = (number, code, _field("day", "date", 2), _field("fixed", "numeric", 6))
    codes = tuple(_field(f"code{i}", "categorical", i, 40) for i in range(17))  # over 512 numbers: reduced
    return [
        _table_sample("mixed columns", mixed),
        _table_sample("numbers", (number,)),
        _table_sample("categories", codes),
    ]


def _table_sample(name: str, fields: tuple[Field, ...]) -> Sample:
    rng = np.random.default_rng(0)
    reader = TabularReader(fields=fields)
    values = rng.normal(10, 4, (ROWS, *reader.shape)).astype(np.float32)
    extreme = np.stack([np.full(reader.shape, number, np.float32) for number in (0, LARGEST, -LARGEST, np.nan)])
    for field in fields:
        if field.kind == "categorical":
            values[:, field.start] = rng.integers(0, len(field.categories) + 1, ROWS)
            extreme[1:3, field.start] = (len(field.categories), 1)
        if field.name == "fixed":
            values[:, field.start] = 1e6
    values[rng.random(values.shape) < 0.1] = np.nan
    return Sample(name, reader, values, extreme)


def _sets() -> list[Sample]:
    """Two or three items, of which some are absent; never all."""
    found = []
    for items, inner in ((2, _vectors()[1]), (3, _images()[1])):
        reader = SetReader(columns=tuple("abc"[:items]), item=inner.reader)
        flat = [values.reshape(len(values), -1) for values in (inner.values, inner.extreme)]
        made = []
        for values in flat:
            turned = np.stack([np.roll(values, place, axis=0) for place in range(items)], axis=1)
            there = np.ones((*turned.shape[:2], 1), values.dtype)
            there[1::2, 0] = 0
            made.append(np.concatenate([np.where(there > 0, turned, 0), there], axis=2).astype(values.dtype))
        found.append(Sample(f"{items} items of {inner.name}", reader, *made))
    return found


_SAMPLES: Final[dict[str, Callable[[], list[Sample]]]] = {
    "audio": _sounds,
    "image": _images,
    "series": _series,
    "set": _sets,
    "tabular": _tables,
    "text": _texts,
    "vector": _vectors,
}


def _cells(kind: str, good: list[Any], bad: list[Any]) -> Cells:
    """One column of cells; both tables have its type."""
    together = pa.array([*good, *bad])
    tables = (together[: len(good)], together[len(good) :])
    made = [Table(pa.table({"cell": pa.chunked_array([part])})) for part in tables]
    return Cells(kind, (Column(name="cell", role="input", kind=kind),), made[0], made[1])


def _image_cells() -> Cells:
    from PIL import Image

    rng = np.random.default_rng(0)
    files: list[bytes | None] = []
    for side in (12, 12, 16, 12):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (side, side), dtype=np.uint8)).save(stream, "PNG")
        files.append(stream.getvalue())
    return _cells("image", [*files, None], [b"no image", (files[0] or b"")[:40]])


def _sound_cells() -> Cells:
    import soundfile

    rng = np.random.default_rng(0)
    files: list[bytes | None] = []
    for samples in (1_500, 1_500, 1_200, 2_000):
        stream = io.BytesIO()
        soundfile.write(stream, 0.1 * rng.normal(size=samples), 4_000, format="WAV", subtype="PCM_16")
        files.append(stream.getvalue())
    return _cells("audio", [*files, None], [b"no sound", (files[0] or b"")[:20]])


def _vector_cells() -> Cells:
    good = [[1.0, 2.0], [3.0, -4.0], [0.5, 1e30], [0.0, 0.0], None]
    return _cells("vector", good, [[1.0], [1.0, float("nan")], [float("inf"), 0.0]])


def _text_cells() -> Cells:
    columns = (Column(name="cell", role="input", kind="text"),)
    good = ["a table with words", "words, words \N{GRINNING FACE}", "\u05e9\u05dc\u05d5\u05dd", "\0", " \n"]
    bad = pa.array([[1.0], [2.0, 3.0]])
    return Cells("text", columns, Table(pa.table({"cell": good})), Table(pa.table({"cell": bad})))


def _series_cells() -> Cells:
    good = [[[1.0, 2.0], [3.0, 4.0]], [[0.5, 1e30]], [[1.0, None], None, [2.0, float("nan")]], [[0.0, 0.0]] * 9, []]
    return _cells("series", good, [[[1.0]], [[1.0, 2.0], [1.0, 2.0, 3.0]], [[float("inf"), 0.0]], [[1e300, 0.0]]])


def _set_cells() -> Cells:
    columns = tuple(Column(name=name, role="input", kind="vector") for name in ("front", "back"))
    good = {"front": [[1.0, 2.0], None, [0.5, 1.0], None], "back": [[3.0, 4.0], [1.0, 0.0], None, None]}
    bad = {"front": [[1.0], None], "back": [[1.0, 2.0], [1.0, float("nan")]]}
    tables = (
        Table(pa.table({name: pa.array(one[name], pa.list_(pa.float64())) for name in one})) for one in (good, bad)
    )
    return Cells("set", columns, *tables)


def _table_cells() -> Cells:
    columns = (
        Column(name="size", role="input", kind="numeric"),
        Column(name="colour", role="input", kind="categorical"),
        Column(name="day", role="input", kind="date"),
    )
    good = {
        "size": ["1.5", "-2", None, "4", None],
        "colour": ["red", "blue", "red", None, None],
        "day": ["2020-02-29", None, "1999-12-31T23:30:00", "2001-01-01", None],
    }
    bad = {"size": ["wide", "1"], "colour": ["red", "green"], "day": ["2020-01-01", "the day after"]}
    return Cells("tabular", columns, Table(pa.table(good)), Table(pa.table(bad)))


_CELLS: Final[dict[str, Callable[[], Cells]]] = {
    "audio": _sound_cells,
    "image": _image_cells,
    "series": _series_cells,
    "set": _set_cells,
    "tabular": _table_cells,
    "text": _text_cells,
    "vector": _vector_cells,
}
