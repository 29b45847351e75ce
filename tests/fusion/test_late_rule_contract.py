"""Every registered late fusion rule keeps the contract of late fusion rules, on every task kind."""

from __future__ import annotations

from typing import ClassVar

import pytest

from plait.fusion import LATE_RULES
from plait.tasks import TASK_KIND_REGISTRY
from plait.testing import LateRuleAbsence, LateRuleCase, LateRuleFitting, LateRuleOutputs, task_kind_case

TASKS = [task_kind_case(TASK_KIND_REGISTRY[kind], 2 if kind == "binary" else 3).task for kind in TASK_KIND_REGISTRY]
CASES = [LateRuleCase(rule, task) for rule in LATE_RULES for task in TASKS]


def test_every_rule_is_tried() -> None:
    assert len(LATE_RULES) >= 6
    assert len(CASES) == len(LATE_RULES) * len(TASK_KIND_REGISTRY)


class Registered:
    exempt: ClassVar[dict[str, dict[str, str]]] = {
        "test_masking_is_dropping": {
            "stacking": "an absent modality decides as the prior does, for a linear model needs every input",
        },
    }

    @pytest.fixture(params=CASES, ids=str)
    def case(self, request: pytest.FixtureRequest) -> LateRuleCase:
        return request.param


class TestOutputs(Registered, LateRuleOutputs):
    pass


class TestAbsence(Registered, LateRuleAbsence):
    pass


class TestFitting(Registered, LateRuleFitting):
    pass
