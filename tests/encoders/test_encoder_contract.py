"""Every registered encoder keeps the contract of encoders."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from plait.data.readers import READERS, AudioReader, ImageReader, SeriesReader, TabularReader, TextReader, VectorReader
from plait.data.readers.tabular import Field
from plait.encoders import ENCODERS, default_encoder
from plait.encoders._base import has_encoder
from plait.testing import (
    EncoderCase,
    EncoderIndependence,
    EncoderLearning,
    EncoderStates,
    EncoderWeights,
    encoder_cases,
)

CASES = encoder_cases(ENCODERS)


def test_every_encoder_is_tried() -> None:
    assert len(ENCODERS) >= 7
    assert {case.name for case in CASES} == set(ENCODERS)


class Registered:
    cases: ClassVar[list[EncoderCase]] = CASES

    @pytest.fixture(params=CASES, ids=str)
    def case(self, request: pytest.FixtureRequest) -> EncoderCase:
        return request.param


class TestStates(Registered, EncoderStates):
    pass


class TestIndependence(Registered, EncoderIndependence):
    pass


class TestLearning(Registered, EncoderLearning):
    pass


class TestWeights(Registered, EncoderWeights):
    pass


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        (ImageReader(channels=1, height=28, width=28), "lenet"),
        (ImageReader(channels=3, height=40, width=40), "lenet"),
        (ImageReader(channels=3, height=41, width=20), "residual"),
        (ImageReader(channels=3, height=20, width=128), "residual"),
        (AudioReader(rate=8000, samples=8000), "logmel"),
        (VectorReader(width=3), "mlp"),
        (SeriesReader(channels=2, steps=5), "convolution"),
        (TextReader(merges="", tokens=8, fold=True), "subwords"),
        (TabularReader(fields=(Field(name="a", kind="numeric", start=0, width=1),)), "tabular"),
    ],
    ids=str,
)
def test_default_encoder(reader, name) -> None:
    assert default_encoder(reader) == name


def test_every_kind_that_is_read_is_encoded() -> None:
    assert {kind for kind in READERS if not has_encoder(kind)} == set()
    assert not has_encoder("smell")


def test_samples_are_what_readers_give() -> None:
    for case in CASES:
        for values in (case.sample.values, case.sample.extreme):
            assert values.shape[1:] == case.sample.reader.shape
            assert values.dtype == case.sample.reader.dtype
            assert len(values) > 0
    assert any(np.isnan(case.sample.values).any() for case in CASES if case.sample.values.dtype == np.float32)
