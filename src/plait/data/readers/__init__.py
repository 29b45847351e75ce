"""Readers of modalities, one file each; importing this package enters them in the registry."""

from plait.data.readers._base import READERS, Reader, Reading, load_reader
from plait.data.readers.audio import AudioReader
from plait.data.readers.image import ImageReader
from plait.data.readers.series import SeriesReader
from plait.data.readers.set import SetReader
from plait.data.readers.tabular import TabularReader
from plait.data.readers.text import TextReader
from plait.data.readers.vector import VectorReader

__all__ = [
    "READERS",
    "AudioReader",
    "ImageReader",
    "Reader",
    "Reading",
    "SeriesReader",
    "SetReader",
    "TabularReader",
    "TextReader",
    "VectorReader",
    "load_reader",
]
