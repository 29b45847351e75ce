"""Every registered task kind keeps the contract of task kinds."""

from __future__ import annotations

import pytest

from plait.tasks import TASK_KIND_REGISTRY
from plait.testing import TaskKindAnswers, TaskKindCase, TaskKindLosses, TaskKindMetrics, task_kind_case

CASES = [task_kind_case(TASK_KIND_REGISTRY[kind]) for kind in TASK_KIND_REGISTRY]
CASES += [task_kind_case(TASK_KIND_REGISTRY["multiclass"], classes) for classes in (3, 7)]
CASES += [task_kind_case(TASK_KIND_REGISTRY["ordinal"], classes) for classes in (3, 7)]


def test_every_kind_is_tried() -> None:
    assert len(TASK_KIND_REGISTRY) >= 4
    assert {case.kind.name for case in CASES} == set(TASK_KIND_REGISTRY)


class Registered:
    @pytest.fixture(params=CASES, ids=str)
    def case(self, request: pytest.FixtureRequest) -> TaskKindCase:
        return request.param


class TestLosses(Registered, TaskKindLosses):
    pass


class TestAnswers(Registered, TaskKindAnswers):
    pass


class TestMetrics(Registered, TaskKindMetrics):
    pass
