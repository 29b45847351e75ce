"""Unimodal networks, one file per family; importing this package enters them in the registry."""

from plait.encoders._base import ENCODERS, Encoder, HiddenStates, default_encoder
from plait.encoders.audio import AudioEncoder
from plait.encoders.convolutional import LeNet, ResidualNet
from plait.encoders.flat import TabularEncoder, VectorEncoder
from plait.encoders.series import SeriesEncoder
from plait.encoders.sets import SetEncoder
from plait.encoders.text import TextEncoder

__all__ = [
    "ENCODERS",
    "AudioEncoder",
    "Encoder",
    "HiddenStates",
    "LeNet",
    "ResidualNet",
    "SeriesEncoder",
    "SetEncoder",
    "TabularEncoder",
    "TextEncoder",
    "VectorEncoder",
    "default_encoder",
]
