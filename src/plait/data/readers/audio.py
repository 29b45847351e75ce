"""Reads sounds: one channel at one rate and length, chosen from the training rows."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar, Literal, Self

import numpy as np

from plait.data.media import audio_length, cell_bytes, decode_audio
from plait.data.readers._base import READERS, Reader, Reading
from plait.data.schema import Column
from plait.data.table import Table, sample_rows
from plait.exceptions import BadCell

MAX_RATE = 16_000
MAX_SAMPLES = 160_000
MIN_SAMPLES = 1_024
SAMPLE = 512
COVERED = 0.95


@READERS.register("audio")
class AudioReader(Reader):
    """Samples [length], 16-bit.

    The rate is the training clips' most frequent one, at most 16 kHz; the length covers 95 % of them, at most 160,000
    samples. Longer clips are cut at the end, shorter ones padded with silence.
    """

    slow: ClassVar[bool] = True

    kind: Literal["audio"] = "audio"
    rate: int
    samples: int

    @classmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Choose rate and length from up to 512 training clips."""
        column = cells.column(columns[0].name)
        lengths = []
        for row in sample_rows(column, SAMPLE):
            try:
                if data := cell_bytes(column[row].as_py()):
                    lengths.append(audio_length(data))
            except BadCell:
                continue
        if not lengths:
            return cls(rate=MAX_RATE, samples=MIN_SAMPLES)
        rate = min(MAX_RATE, Counter(length[1] for length in lengths).most_common(1)[0][0])
        seconds = float(np.quantile([frames / own for frames, own in lengths], COVERED))
        return cls(rate=rate, samples=int(np.clip(round(seconds * rate), MIN_SAMPLES, MAX_SAMPLES)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(samples,)."""
        return (self.samples,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """16-bit whole numbers: a sample of 1.0 is 32,767."""
        return np.dtype(np.int16)

    def read(self, cells: Table) -> Reading:
        """Decode every clip."""
        reading = self.empty(len(cells))
        for row, cell in enumerate(cells.data.column(0)):
            try:
                if (data := cell_bytes(cell.as_py())) is not None:
                    wave = decode_audio(data, self.rate, self.samples)
                    reading.values[row] = np.rint(np.clip(wave, -1, 1) * 32767)
                    reading.present[row] = True
            except BadCell as error:
                reading.bad[row] = str(error)
        return reading
