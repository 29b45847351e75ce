"""Optuna's own suite for samplers, run on each sampler as plait makes it: seeded, with plait's settings.

plait gives Optuna no sampler of its own; this holds what plait asks of Optuna's, in whatever version is installed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.distributions import IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase

from plait.search.strategies.optuna import OptunaSearch
from plait.testing.strategies import WordSpace

pytestmark = pytest.mark.filterwarnings("ignore")  # the suite's own


@pytest.mark.parametrize("name", OptunaSearch.options())
class TestSamplers(BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self, name: str) -> Callable[[], BaseSampler]:
        return lambda: OptunaSearch(WordSpace(6, 4), seed=0, budget=20, option=name)._study.sampler


def test_the_suite_fails_a_sampler_that_leaves_its_range() -> None:
    class Outside(RandomSampler):
        def sample_independent(self, study, trial, param_name, param_distribution):
            return 99

    with pytest.raises(AssertionError):
        BasicSamplerTestCase().test_int(Outside, IntDistribution(0, 10))


def test_the_suite_has_cases() -> None:
    assert sum(name.startswith("test_") for name in dir(TestSamplers)) >= 10
