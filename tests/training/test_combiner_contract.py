"""Every registered combiner keeps the contract of combiners."""

from __future__ import annotations

import pytest

from plait.testing import CombinerGradients
from plait.training import COMBINERS, Combiner


def test_every_combiner_is_tried() -> None:
    assert len(COMBINERS) >= 1


class TestGradients(CombinerGradients):
    @pytest.fixture(params=list(COMBINERS))
    def combiner(self, request: pytest.FixtureRequest) -> Combiner:
        return COMBINERS[request.param]()
