"""Small tables made on the spot, with every kind of column."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet


def png(pixels: np.ndarray) -> bytes:
    """An image file of [height, width] or [height, width, 3] bytes."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def wav(samples: np.ndarray, rate: int = 4000) -> bytes:
    """A sound file of [samples] from -1 to 1."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def made_rows(rows: int = 120, seed: int = 0) -> dict[str, list[Any]]:
    """Columns of a made table: image, sound, vector, numbers, categories; a class, a number, a group.

    The class is bright or dark in the image, high or low in the sound, and the sign of the vector's first number; each
    is wrong now and then, and some cells are empty.
    """
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(rows) % 2)
    wrong = rng.random((4, rows)) < 0.15
    time = np.arange(1200) / 4000
    seen = [label ^ flip for flip in wrong]
    images = [png(rng.normal(90 + 80 * v, 25, (12, 12)).clip(0, 255)) for v in seen[0]]
    sounds = [wav(0.4 * np.sin(2 * np.pi * (300 + 500 * v) * time) + rng.normal(0, 0.05, 1200)) for v in seen[1]]
    vectors = [list(map(float, rng.normal(0, 1, 3) + np.array([2 * v - 1, 0, 0]))) for v in seen[2]]
    for cells, share in ((images, 0.1), (sounds, 0.1), (vectors, 0.1)):
        for row in np.flatnonzero(rng.random(rows) < share):
            cells[row] = None
    return {
        "image": images,
        "sound": sounds,
        "view": vectors,
        "size": [None if rng.random() < 0.05 else float(v + rng.normal()) for v in seen[3]],
        "ward": [str(rng.choice(["east", "west"] if v else ["east", "north"])) for v in seen[3]],
        "label": ["up" if v else "down" for v in label],
        "price": [float(100 * v + rng.normal(0, 20)) for v in label],
        "patient": [int(v) for v in np.arange(rows) // 3],
    }


def write_table(folder: Path, columns: dict[str, list[Any]], name: str = "table.parquet") -> Path:
    """A Parquet file of columns."""
    path = folder / name
    parquet.write_table(pa.table({key: pa.array(value) for key, value in columns.items()}), path)
    return path
