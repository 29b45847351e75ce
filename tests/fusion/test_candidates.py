"""Candidates: what competes, as data."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from plait.fusion import Candidate, FusionNetwork, LateFusion, SingleModality
from plait.fusion.architecture import concat_of
from plait.fusion.candidates import COST_ORDER
from plait.tasks import Task

TASK = Task(name="t", kind="binary", label_type="str", classes=("a", "b"), prior=(-0.7, -0.7))
WIDTHS = {"b": (4, 5, 2), "a": (3, 6, 2)}

ALONE = Candidate(name="a", kind="unimodal", modality="a")
LATE = Candidate(name="late", kind="late", rule="mean", modalities=("b", "a"))
EARLY = Candidate(name="early", kind="early", architecture=concat_of({"b": 0, "a": 0}, depth=2))
DEEP = Candidate(name="deep", kind="architecture", architecture=concat_of({"b": 1, "a": 1}))


def test_what_is_built() -> None:
    assert isinstance(ALONE.build(WIDTHS, [TASK]), SingleModality)
    assert isinstance(LATE.build(WIDTHS, [TASK]), LateFusion)
    assert isinstance(EARLY.build(WIDTHS, [TASK]), FusionNetwork)
    assert [one.trained for one in (ALONE, LATE, EARLY, DEEP)] == [False, False, True, True]


def test_what_is_used() -> None:
    assert ALONE.used == ("a",)
    assert LATE.used == EARLY.used == ("a", "b")
    for candidate in (ALONE, LATE, EARLY):
        assert set(candidate.build(WIDTHS, [TASK]).modalities) == set(candidate.used)


def test_an_ensemble_of_fewer_modalities_is_cheaper_however_many_its_members() -> None:
    image, sound = (Candidate(name=name, kind="unimodal", modality=name) for name in ("image", "sound"))
    alone = Candidate(name="one", kind="ensemble", members=(image,) * 5, counts=(1,) * 5)
    both = Candidate(name="two", kind="ensemble", members=(image, sound), counts=(1, 1))
    assert alone.cost < both.cost
    assert (alone.sources, both.sources) == (5, 2)


def test_order_of_costs() -> None:
    larger = Candidate(name="larger", kind="architecture", architecture=concat_of({"b": 1, "a": 1}, depth=2))
    three = Candidate(name="three", kind="late", rule="mean", modalities=("a", "b", "c"))
    ordered = [ALONE, LATE, three, EARLY, DEEP, larger]
    mixed = [ordered[position] for position in (5, 2, 0, 4, 1, 3)]
    assert sorted(mixed, key=lambda one: one.cost) == ordered
    assert COST_ORDER[0] == "unimodal"
    assert COST_ORDER[-1] == "ensemble"


@pytest.mark.parametrize("candidate", [ALONE, LATE, EARLY, DEEP], ids=lambda one: one.name)
def test_round_trip(candidate) -> None:
    assert Candidate.model_validate(candidate.model_dump(exclude_defaults=True)) == candidate
    assert Candidate.model_validate_json(candidate.model_dump_json()) == candidate
    assert hash(candidate) == hash(Candidate.model_validate_json(candidate.model_dump_json()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "candidate 'x' is one modality, late rule, architecture, classical model or ensemble"),
        ({"modality": "a", "rule": "mean", "modalities": ("a",)}, "is one modality"),
        ({"modality": "a", "architecture": concat_of({"a": 0})}, "is one modality"),
        ({"rule": "mean"}, "a late rule, and nothing else, names the modalities"),
        ({"modality": "a", "modalities": ("a", "b")}, "a late rule, and nothing else, names the modalities"),
    ],
)
def test_one_thing_only(given, message) -> None:
    with pytest.raises(ValidationError, match=message):
        Candidate(name="x", kind="late", **given)
