"""Every registered operation keeps the contract of fusion operations; the contract refuses what does not."""

from __future__ import annotations

import math

import pytest
import torch

from plait.fusion.operations import OPERATIONS
from plait.fusion.operations._base import Operation, masked, product_of, sum_of
from plait.fusion.operations.concat import Concat
from plait.fusion.operations.mean import Mean
from plait.fusion.operations.tensor import TensorFusion
from plait.testing.operations import (
    OperationAbsence,
    OperationCase,
    OperationIndependence,
    OperationNumbers,
    operation_cases,
)

CASES = operation_cases()


def test_every_operation_is_tried() -> None:
    assert len(OPERATIONS) >= 7
    assert {case.operation for case in CASES} == set(OPERATIONS)
    assert all(OperationCase(name, sources) in CASES for name in OPERATIONS for sources in (1, 2, 3))


class Registered:
    @pytest.fixture(params=CASES, ids=str)
    def case(self, request: pytest.FixtureRequest) -> OperationCase:
        return request.param


class TestNumbers(Registered, OperationNumbers):
    pass


class TestAbsence(Registered, OperationAbsence):
    pass


class TestIndependence(Registered, OperationIndependence):
    pass


# Each of these breaks one law.


class NoColumns(Mean):
    def columns(self, width, sources):
        return 0


class NoEntries(Concat):
    def weights(self, width, sources):
        return {"absent": (0, width)}


class StartsNowhere(Concat):
    def own_bound(self, name, shape):
        return math.nan


class NoBound(Mean):
    def bound(self, source_width, total_width):
        return 0.0


class NoBias(Mean):
    def bias(self, sources):
        return math.inf


class Narrow(Mean):
    def combine(self, columns, present, weights):
        return super().combine(columns, present, weights)[..., :-1]


class DividesByNothing(Mean):
    def combine(self, columns, present, weights):
        return sum_of(masked(columns, present, 0.0)) / present.sum(dim=0).unsqueeze(-1)


class PromisesTooMuch(TensorFusion):
    most_sources = 13

    def columns(self, width, sources):
        return 1 if sources < 13 else 0

    def combine(self, columns, present, weights):
        assert columns[0].shape[-1], "there are no columns"
        return super().combine(columns, present, weights)


class OneOnly(Mean):
    most_sources = 1


class Huge(Operation):
    def bias(self, sources):
        return 1e3

    def combine(self, columns, present, weights):
        return product_of(columns, present)


class Dull(Mean):
    def bound(self, source_width, total_width):
        return 1e-9


class Leaky(Mean):
    def combine(self, columns, present, weights):
        return sum_of(columns) / len(columns)


def _times_mask(columns, present):
    """0 times what is not finite is no number."""
    return sum_of(one * mask.unsqueeze(-1) for one, mask in zip(columns, present, strict=True))


class LeakyWhereNotFinite(Mean):
    def combine(self, columns, present, weights):
        return _times_mask(columns, present)


class Blind(Mean):
    def combine(self, columns, present, weights):
        return sum_of(columns).detach() * 0 + columns[-1]


class SquareRoot(Mean):
    """Finite, but with an infinite slope at 0."""

    def combine(self, columns, present, weights):
        return _times_mask(columns, present).abs().sqrt()


class FirstCountsTwice(Mean):
    def combine(self, columns, present, weights):
        return sum_of(masked(columns, present, 0.0)) + columns[0] * present[0][..., None]


class Crowd(Mean):
    def combine(self, columns, present, weights):
        found = super().combine(columns, present, weights)
        return found - found.mean(dim=-2, keepdim=True)


class AddsUpWhereNothingIsAbsent(Mean):
    def combine(self, columns, present, weights):
        return sum_of(columns) if present is None else super().combine(columns, present, weights)


class Alone(Concat):
    """Knows no stacked cells: takes the first one's vectors for all."""

    def combine(self, columns, present, weights):
        absent = weights["absent"]
        while absent.dim() > 2:
            absent = absent[0]
        return super().combine(columns, present, {"absent": absent.expand(*columns[0].shape[:-2], *absent.shape)})


NUMBERS, ABSENCE, INDEPENDENCE = OperationNumbers(), OperationAbsence(), OperationIndependence()
BROKEN = [
    (NoColumns, NUMBERS.test_columns_and_weights),
    (NoEntries, NUMBERS.test_columns_and_weights),
    (StartsNowhere, NUMBERS.test_columns_and_weights),
    (NoBound, NUMBERS.test_start_of_projections),
    (NoBias, NUMBERS.test_start_of_projections),
    (Narrow, NUMBERS.test_result),
    (DividesByNothing, NUMBERS.test_result),
    (PromisesTooMuch, NUMBERS.test_most_sources),
    (OneOnly, NUMBERS.test_most_sources),
    (Huge, NUMBERS.test_fresh_values),
    (Dull, NUMBERS.test_fresh_values),
    (Leaky, lambda case: ABSENCE.test_rubbish(case, 1e30)),
    (LeakyWhereNotFinite, lambda case: ABSENCE.test_rubbish(case, math.nan)),
    (Blind, ABSENCE.test_presence_matters),
    (Leaky, ABSENCE.test_gradients),
    (SquareRoot, ABSENCE.test_gradients),
    (FirstCountsTwice, INDEPENDENCE.test_order),
    (Crowd, INDEPENDENCE.test_company),
    (AddsUpWhereNothingIsAbsent, INDEPENDENCE.test_nothing_absent),
    (Alone, lambda case: INDEPENDENCE.test_stacked(case, (4,))),
]


@pytest.mark.parametrize(("operation", "law"), BROKEN)
def test_broken_operation(operation, law, monkeypatch) -> None:
    monkeypatch.setitem(OPERATIONS._entries, "broken", operation)
    law(OperationCase("mean", 3))  # the law can be kept
    with pytest.raises(AssertionError):
        law(OperationCase("broken", 3))


def test_every_law_is_shown_to_fail() -> None:
    suites = (OperationNumbers, OperationAbsence, OperationIndependence)
    laws = {name for suite in suites for name in vars(suite) if name.startswith("test_")}
    shown = {name for _, law in BROKEN for name in (law.__name__, *law.__code__.co_names) if name.startswith("test_")}
    assert len(laws) == 12
    assert laws == shown


def test_weights_that_do_not_go_by_the_sources_stay_where_they_are() -> None:
    """And those of an outer product are turned as it is."""
    value = torch.arange(8.0)[:, None]
    turned = INDEPENDENCE.permuted(OperationCase("tensor", 3), {"weight": value}, (2, 0, 1))["weight"]
    assert torch.equal(turned.reshape(2, 2, 2), value.reshape(2, 2, 2).permute(2, 0, 1))


class Mixed(Mean):
    """With a matrix after the mean, whose shape has nothing to do with the sources."""

    def weights(self, width, sources):
        return {"after": (width, width)}

    def combine(self, columns, present, weights):
        return super().combine(columns, present, weights) @ weights["after"]


def test_an_operation_with_a_matrix_of_its_own_keeps_the_order_law(monkeypatch) -> None:
    monkeypatch.setitem(OPERATIONS._entries, "mixed", Mixed)
    for sources in (1, 2, 3, 5):
        INDEPENDENCE.test_order(OperationCase("mixed", sources))
