"""The ledger: whole transactions, unfinished rungs replaced, damage told."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
from made_search import trial_of

from plait.exceptions import InputError
from plait.fusion import Candidate
from plait.search import Ledger, Trial


def trials(*scores: float | None) -> list[Trial]:
    return [trial_of(f"t{i}", "late", [np.zeros(2)] * 2, score) for i, score in enumerate(scores)]


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "trials.sqlite")


def test_what_is_recorded_is_read(ledger) -> None:
    made = trials(0.25, None)
    ledger.record(made, "random", rung=2, seed=7)
    first, second = ledger.read()
    assert (first["name"], first["kind"], first["proposer"], first["rung"], first["seed"]) == (
        "t0",
        "late",
        "random",
        2,
        7,
    )
    assert first["score"] == 0.25
    assert first["scores"] == [0.25, 0.25]
    assert second["score"] is None
    assert second["scores"] == [None, None]
    assert Candidate.model_validate(first["candidate"]) == made[0].candidate
    assert [row["number"] for row in ledger.read()] == [1, 2]


def test_scores_keep_every_bit(ledger) -> None:
    ledger.record(trials(0.1 + 0.2, -1e-17), "x", 0, 0)
    assert [row["score"] for row in ledger.read()] == [0.1 + 0.2, -1e-17]
    assert ledger.read()[0]["scores"] == [0.1 + 0.2] * 2


def test_a_rung_recorded_again_is_replaced_and_no_other(ledger) -> None:
    ledger.record(trials(0.1, 0.2, 0.3), "search", 0, 0)
    ledger.record(trials(0.4), "search", 1, 0)
    ledger.record(trials(0.5), "other", 0, 0)
    ledger.record(trials(0.9, 0.8), "search", 0, 0)
    assert sorted(row["score"] for row in ledger.read()) == [0.4, 0.5, 0.8, 0.9]
    ledger.record([], "search", 0, 0)
    assert sorted(row["score"] for row in ledger.read()) == [0.4, 0.5]


def test_a_transaction_that_fails_leaves_the_ledger_as_it_was(ledger) -> None:
    ledger.record(trials(0.1), "search", 0, 0)
    broken = trials(0.2, 0.3)
    object.__setattr__(broken[1], "seconds", None)  # the table refuses it
    with pytest.raises(InputError):
        ledger.record(broken, "search", 0, 0)
    assert [row["score"] for row in ledger.read()] == [0.1]


def test_nothing_lies_about_afterwards(ledger) -> None:
    ledger.record(trials(0.1), "search", 0, 0)
    ledger.read()
    assert [path.name for path in ledger.path.parent.iterdir()] == ["trials.sqlite"]


def test_other_programs_can_read_it(ledger) -> None:
    ledger.record(trials(0.1), "search", 0, 0)
    connection = sqlite3.connect(ledger.path)
    (candidate,) = connection.execute("SELECT candidate FROM trials").fetchone()
    connection.close()
    assert json.loads(candidate) == {"name": "t0", "kind": "late", "rule": "mean", "modalities": ["a", "b"]}


@pytest.mark.parametrize("content", [b"this is no database, whatever its name says" * 30, "cut"])
def test_a_damaged_file_is_told(ledger, content) -> None:
    ledger.record(trials(0.1), "search", 0, 0)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    with pytest.raises(InputError, match=r"The ledger .*trials\.sqlite cannot be used \(.*\); is the file damaged\?"):
        ledger.read()


def test_a_folder_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(InputError, match="unable to open database file"):
        Ledger(tmp_path / "no" / "trials.sqlite").read()
