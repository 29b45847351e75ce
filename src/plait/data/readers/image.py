"""Reads images: pixels of one size, grey or colour as the training rows are."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np

from plait.data.media import cell_bytes, decode_image, image_size
from plait.data.readers._base import READERS, Reader, Reading
from plait.data.schema import Column
from plait.data.table import Table, sample_rows
from plait.exceptions import BadCell

MAX_SIDE = 128
MIN_SIDE = 8
SAMPLE = 256


@READERS.register("image")
class ImageReader(Reader):
    """Pixels [channels, height, width], 0..255.

    The size is the median of the training images, scaled down so that no side is over 128 pixels; the images are
    stretched to it. One channel if all sampled training images are grey, otherwise three.
    """

    slow: ClassVar[bool] = True

    kind: Literal["image"] = "image"
    channels: int
    height: int
    width: int

    @classmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Choose size and channels from up to 256 training images."""
        column = cells.column(columns[0].name)
        sizes = []
        for row in sample_rows(column, SAMPLE):
            try:
                if data := cell_bytes(column[row].as_py()):
                    sizes.append(image_size(data))
            except BadCell:
                continue
        if not sizes:
            return cls(channels=3, height=MIN_SIDE, width=MIN_SIDE)
        height, width = (float(np.median([size[axis] for size in sizes])) for axis in (0, 1))
        scale = min(1.0, MAX_SIDE / max(height, width))
        return cls(
            channels=max(size[2] for size in sizes),
            height=max(MIN_SIDE, round(height * scale)),
            width=max(MIN_SIDE, round(width * scale)),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes."""
        return np.dtype(np.uint8)

    def read(self, cells: Table) -> Reading:
        """Decode every image."""
        reading = self.empty(len(cells))
        for row, cell in enumerate(cells.data.column(0)):
            try:
                if (data := cell_bytes(cell.as_py())) is not None:
                    pixels = decode_image(data, (self.height, self.width), self.channels)
                    reading.values[row] = pixels.transpose(2, 0, 1)
                    reading.present[row] = True
            except BadCell as error:
                reading.bad[row] = str(error)
        return reading
