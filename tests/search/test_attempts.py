"""Attempts: rungs of one architecture put together, ends told apart, parameters that all trials have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_ledger import EARLY, SPACE, WHOLE, write_ledger

from plait.exceptions import InputError
from plait.fusion import Candidate
from plait.fusion.architecture import Architecture
from plait.search.attempts import NONE, attempts, parameters


def candidate(text: str) -> Candidate:
    return Candidate(name=text, kind="architecture", architecture=Architecture.parse(text))


def test_the_rungs_of_an_architecture_are_one_attempt(tmp_path) -> None:
    rows = write_ledger(tmp_path, batches=1, batch=30).look()
    found = [one for one in attempts(rows) if one.proposer == "random"]
    assert len(found) == 30
    assert [one.state for one in found] == ["complete", "failed", *["complete"] * 8, *["pruned"] * 20]
    assert [sorted(one.by_passes) for one in found] == [[EARLY, WHOLE], [EARLY], *[[EARLY, WHOLE]] * 8, *[[EARLY]] * 20]
    assert all(one.score == one.by_passes[max(one.by_passes)] for one in found if one.state != "failed")
    assert found[1].score is None
    assert [one.seconds for one in found] == [1.0] * 10 + [0.5] * 20
    assert [one.rung for one in found] == [1] * 10 + [0] * 20


def test_the_clock_is_the_sum_of_all_rows_before(tmp_path) -> None:
    rows = write_ledger(tmp_path, batches=1, batch=30).look()
    found = attempts(rows)
    began = {(one.proposer, one.candidate.name): one.began for one in found}
    for place in (0, 7, len(rows) - 1):
        key = rows[place]["proposer"], rows[place]["name"]
        assert began[key] == sum(row["seconds"] for row in rows[:place])


def test_whole_trainings_without_passes_are_complete(tmp_path) -> None:
    found = [one for one in attempts(write_ledger(tmp_path).look()) if one.proposer == "competitors"]
    assert [one.state for one in found] == ["complete", "complete", "failed", "complete"]
    assert all(one.by_passes == {} for one in found)
    assert [one.architecture is None for one in found] == [True, True, False, False]


def test_a_candidate_that_is_not_known_is_told() -> None:
    row = {
        "number": 1, "name": "odd", "proposer": "x", "candidate": {"name": "odd"}, "rung": 0, "passes": 3,
        "seed": 0, "score": 1.0, "scores": [1.0], "seconds": 1.0,
    }  # fmt: skip
    with pytest.raises(InputError, match="The trial 'odd' is none that this plait knows"):
        attempts([row])


def test_parameters_of_cells() -> None:
    tree = "c1 = relu(concat(b.10, a.2)); c2 = tanh(gate(a.0, b.1)); c3 = relu(mean(a.1, c1, c2))"
    deep, flat = parameters([candidate(tree), candidate("c1 = relu(concat(a.1, a.2))")])
    assert deep == {
        "cells": 3,
        "c1 operation": "concat", "c1 activation": "relu", "c1 feeds": "c3",
        "c1 reads a": "layer 2", "c1 reads b": "layer 10",
        "c2 operation": "gate", "c2 activation": "tanh", "c2 reads a": "layer 0", "c2 reads b": "layer 1",
        "c3 operation": "mean", "c3 activation": "relu", "c3 reads a": "layer 1", "c3 reads b": NONE,
    }  # fmt: skip
    assert list(flat) == list(deep)
    assert {name: value for name, value in flat.items() if value != NONE} == {
        "cells": 1, "c1 operation": "concat", "c1 activation": "relu", "c1 feeds": "heads",
        "c1 reads a": "layer 1 + layer 2",
    }  # fmt: skip


def test_parameters_of_what_is_no_architecture() -> None:
    rule = Candidate(name="r", kind="late", rule="mean", modalities=("a", "b"))
    alone = Candidate(name="a", kind="unimodal", modality="a")
    assert parameters([rule, alone]) == [
        {"kind": "late", "rule": "mean", "alone": NONE}, {"kind": "unimodal", "rule": NONE, "alone": "a"},
    ]  # fmt: skip
    mixed = parameters([rule, candidate("c1 = relu(concat(a.1, b.2))")])
    assert mixed[0]["cells"] == 0
    assert mixed[0]["c1 operation"] == NONE
    assert mixed[1]["kind"] == "architecture"


@given(st.sets(st.integers(0, SPACE.size() - 1), min_size=2, max_size=20))
def test_different_architectures_have_different_parameters_and_all_the_same_names(numbers: set[int]) -> None:
    """So that nothing of an architecture is lost."""
    points = [SPACE[number] for number in numbers]
    found = parameters([Candidate(name=str(p), kind="architecture", architecture=p) for p in points])
    assert len({tuple(told.items()) for told in found}) == len(points)
    assert len({tuple(told) for told in found}) == 1
