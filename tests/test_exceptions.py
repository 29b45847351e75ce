"""The errors plait raises: messages told together, words guessed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.exceptions import BadCell, InputError, PlaitError, Problems, did_you_mean


def test_one_tree() -> None:
    assert issubclass(InputError, PlaitError)
    assert issubclass(BadCell, PlaitError)
    assert not issubclass(BadCell, InputError)


def test_an_input_error_tells_all_its_problems() -> None:
    error = InputError(["--trials is 0: give 1 or more.", "There is no table x.csv."])
    assert error.problems == ("--trials is 0: give 1 or more.", "There is no table x.csv.")
    assert str(error) == "--trials is 0: give 1 or more.\nThere is no table x.csv."
    assert InputError("one").problems == ("one",)


def test_problems_are_gathered_once_each_in_order() -> None:
    problems = Problems()
    problems.raise_if_any()
    problems.add("b")
    problems.collect(InputError(["a", "b"]))
    problems.add("a")
    with pytest.raises(InputError) as told:
        problems.raise_if_any()
    assert told.value.problems == ("b", "a")


def test_did_you_mean() -> None:
    assert did_you_mean("labl", ["label", "size"]) == "did you mean label? (known: label, size)"
    assert did_you_mean("zzz", ["label", "size"]) == "known: label, size"
    assert did_you_mean("zzz", []) == "known: none"
    assert did_you_mean("zzz", [f"c{i:02}" for i in range(30)]).endswith("c19, ...")


@settings(deadline=None)
@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=30))
def test_did_you_mean_always_answers(given_word: str, known: list[str]) -> None:
    assert did_you_mean(given_word, known)


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, unique=True))
def test_a_known_word_is_its_own_guess(known: list[str]) -> None:
    assert did_you_mean(known[0], known).startswith(f"did you mean {known[0]}?")
