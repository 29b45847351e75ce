"""Every registered reader keeps the contract of readers."""

from __future__ import annotations

import pytest

from plait.data.readers import READERS
from plait.testing import ReaderArrays, ReaderCase, ReaderState, reader_case

CASES = [reader_case(kind) for kind in READERS]


def test_every_reader_is_tried() -> None:
    assert len(READERS) >= 6
    assert [case.kind for case in CASES] == list(READERS)


class Registered:
    @pytest.fixture(params=CASES, ids=str)
    def case(self, request: pytest.FixtureRequest) -> ReaderCase:
        return request.param


class TestArrays(Registered, ReaderArrays):
    pass


class TestState(Registered, ReaderState):
    pass
