"""Every registered objective keeps the contract of objectives."""

from __future__ import annotations

import pytest

from plait.objectives import OBJECTIVES, Objective
from plait.testing import ObjectiveRows, ObjectiveTerms, ObjectiveWeights


def test_every_objective_is_tried() -> None:
    assert len(OBJECTIVES) >= 1
    assert all(OBJECTIVES[name].name == name for name in OBJECTIVES)


class Registered:
    @pytest.fixture(params=list(OBJECTIVES))
    def objective(self, request: pytest.FixtureRequest) -> Objective:
        return OBJECTIVES[request.param]()


class TestTerms(Registered, ObjectiveTerms):
    pass


class TestRows(Registered, ObjectiveRows):
    pass


class TestWeights(Registered, ObjectiveWeights):
    pass
