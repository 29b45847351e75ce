"""Splits: shares, classes, groups, seeds, and tables too small for them."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.splits import (
    PARTS,
    SPLIT_WORDS,
    TEST,
    TRAIN,
    VALIDATION,
    Shares,
    codes_of,
    split_from_column,
    split_rows,
)
from plait.data.table import Table, read_table
from plait.exceptions import InputError

SHARES = [Shares(), Shares(0.15, 0.0), Shares(0.0, 0.2), Shares(0.3, 0.3), Shares(0.05, 0.6), Shares(0.0, 0.0)]
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def wanted(shares: Shares) -> list[float]:
    return [1 - shares.validation - shares.test, shares.validation, shares.test]


def dealt(classes: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Rows by class and part."""
    return np.array([np.bincount(parts[classes == name], minlength=3) for name in np.unique(classes)])


@settings(deadline=None)
@given(sizes=SIZES, shares=st.sampled_from(SHARES), seed=st.integers(0, 3), data=st.data())
def test_every_class_and_the_whole_keep_their_shares(
    sizes: list[int], shares: Shares, seed: int, data: st.DataObject
) -> None:
    classes = np.repeat(np.arange(len(sizes)) - 1, sizes)
    classes = np.array(data.draw(st.permutations(classes.tolist())))
    parts = split_rows(len(classes), shares, seed, classes)
    assert parts.dtype == np.int8
    found, due = dealt(classes, parts), np.array(sizes)[:, None] * np.array(wanted(shares))
    filled_up = sum(1 for part in (VALIDATION, TEST) if found[:, part].sum() == 1)  # a part that would have been empty
    assert (np.abs(found - due) < 1 + 1e-9).all() or filled_up
    assert (np.abs(found - due) < 1 + filled_up + 1e-9).all()
    assert (found[:, TRAIN] >= 1).all()
    for part in (VALIDATION, TEST):
        if wanted(shares)[part] == 0:
            assert not found[:, part].any()
        elif (found[:, TRAIN] > 1).any():
            assert found[:, part].any()
    if min(sizes) > 10:
        assert (np.abs(found.sum(0) - due.sum(0)) <= 2).all()


def test_the_shares_of_a_large_table() -> None:
    for classes in (None, np.arange(10_000) % 10, np.arange(10_000) % 1000, np.zeros(10_000, np.int64)):
        assert np.bincount(split_rows(10_000, Shares(), 0, classes)).tolist() == [7000, 1500, 1500]
    assert np.bincount(split_rows(2_000, Shares(), 0, np.arange(2_000) % 1000)).tolist() == [1400, 300, 300]


@pytest.mark.parametrize("rows", range(2, 11))
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_tiny_tables(rows: int, classes: int) -> None:
    names = np.arange(rows) % classes
    parts = split_rows(rows, Shares(), 0, names)
    found = dealt(names, parts)
    assert (found[:, TRAIN] >= 1).all()
    spare = rows - min(rows, classes)
    assert found[:, VALIDATION].sum() >= min(1, spare)
    assert found[:, TEST].sum() >= min(1, max(0, spare - 1))


def test_one_row_and_none() -> None:
    assert split_rows(1, Shares(), 0).tolist() == [TRAIN]
    assert split_rows(0, Shares(), 0).tolist() == []


def test_rows_of_single_classes_are_for_training() -> None:
    classes = np.r_[np.arange(50), np.full(50, 99)]
    parts = split_rows(100, Shares(), 0, classes)
    assert (parts[:50] == TRAIN).all()
    assert np.bincount(parts[50:]).tolist() in ([35, 8, 7], [35, 7, 8])


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 100))
def test_same_seed_same_split(sizes: list[int], seed: int) -> None:
    classes = np.repeat(np.arange(len(sizes)), sizes)
    np.testing.assert_array_equal(
        split_rows(len(classes), Shares(), seed, classes), split_rows(len(classes), Shares(), seed, classes)
    )


def test_other_seeds_draw_other_rows_but_as_many() -> None:
    classes = np.arange(300) % 7
    first, second = (split_rows(300, Shares(), seed, classes) for seed in (0, 1))
    assert (first != second).any()
    np.testing.assert_array_equal(dealt(classes, first), dealt(classes, second))
    share = np.mean([split_rows(20, Shares(), seed) == VALIDATION for seed in range(400)], axis=0)
    assert (np.abs(share - 0.15) < 0.08).all()  # no row is drawn more often than another


def test_the_same_split_in_another_process() -> None:
    code = (
        "import numpy as np; from plait.data.splits import *; "
        "print(split_rows(200, Shares(), 5, np.arange(200) % 3).tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(split_rows(200, Shares(), 5, np.arange(200) % 3).tolist())


@settings(deadline=None)
@given(
    groups=st.lists(st.integers(0, 12), min_size=3, max_size=80), shares=st.sampled_from(SHARES), seed=st.integers(0, 5)
)
def test_groups_are_never_torn(groups: list[int], shares: Shares, seed: int) -> None:
    codes = np.array(groups)
    used = [part for part in range(3) if wanted(shares)[part] > 0]
    if len(set(groups)) < len(used):
        with pytest.raises(InputError):
            split_rows(len(codes), shares, seed, groups=codes)
        return
    parts = split_rows(len(codes), shares, seed, groups=codes)
    for group in set(groups):
        assert len(set(parts[codes == group].tolist())) == 1
    assert set(parts.tolist()) == set(used)
    np.testing.assert_array_equal(parts, split_rows(len(codes), shares, seed, groups=codes))
    largest = np.bincount(codes).max()
    if len(set(groups)) > 6:
        over = np.bincount(parts, minlength=3) - np.array(wanted(shares)) * len(codes)
        assert (over <= largest + 1e-9).all()


def test_groups_of_one_row_keep_the_shares() -> None:
    assert np.bincount(split_rows(1000, Shares(), 0, groups=np.arange(1000))).tolist() == [700, 150, 150]


@pytest.mark.parametrize(
    ("groups", "shares", "expected"),
    [
        (
            [0, 0, 1, 1],
            Shares(),
            "has 2 distinct values; at least 3 groups are needed to split by group into train, validation, test",
        ),
        (
            [0, 0, 0],
            Shares(0.2, 0),
            "has 1 distinct value; at least 2 groups are needed to split by group into train, validation.",
        ),
    ],
)
def test_too_few_groups(groups: list[int], shares: Shares, expected: str) -> None:
    with pytest.raises(InputError) as told:
        split_rows(len(groups), shares, 0, groups=np.array(groups))
    assert expected in str(told.value)
    assert "Use another group column or none." in str(told.value)


@pytest.mark.parametrize("kind", ["classes", "groups"])
def test_a_million_rows_take_seconds(kind: str) -> None:
    codes: dict[str, Any] = {kind: np.arange(300_000) % 1000 if kind == "classes" else np.arange(300_000) // 3}
    start = time.process_time()
    split_rows(300_000, Shares(), 0, **codes)
    assert time.process_time() - start < 3


def column(cells: list[Any]) -> Table:
    return read_table({"c": cells, "row": list(range(len(cells)))})


def test_every_split_word() -> None:
    words = list(SPLIT_WORDS)
    parts = split_from_column(column([*words, " Train ", "TEST", None, "", "  "]), "c")
    assert parts.tolist() == [*SPLIT_WORDS.values(), TRAIN, TEST, -1, -1, -1]
    assert [PARTS[part] for part in (TRAIN, VALIDATION, TEST)] == ["train", "validation", "test"]


@pytest.mark.parametrize(
    ("cells", "told_words"), [(["train", "trian", "best"], "'best', 'trian'"), ([0, 1, 2], "'0', '1', '2'")]
)
def test_unknown_split_words(cells: list[Any], told_words: str) -> None:
    with pytest.raises(InputError) as told:
        split_from_column(column(cells), "c")
    assert f"Column 'c' (split) holds {told_words}; expected dev, eval, test, testing, train, training" in str(
        told.value
    )


@pytest.mark.parametrize("cells", [["b", "a", None, "b", "", " "], [2.0, 1.0, None, 2.0, float("nan"), None]])
def test_codes_in_order_of_appearance_and_empty_cells_alone(cells: list[Any]) -> None:
    codes = codes_of(column(cells), "c")
    assert codes[:2].tolist() == [0, 1]
    assert codes[3] == 0
    assert len({*codes[[2, 4, 5]].tolist()}) == 3
    assert (codes[[2, 4, 5]] < -1).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=20))
def test_codes_are_equal_where_cells_are(cells: list[int | None]) -> None:
    codes = codes_of(column(cells), "c")
    for first in range(len(cells)):
        for second in range(first):
            assert (codes[first] == codes[second]) == (cells[first] == cells[second] and cells[first] is not None)
