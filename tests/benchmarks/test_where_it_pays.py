"""The tables of `benchmarks/where_it_pays.py` ask what they say, share no recording, and rows are compared in pairs."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import plait
from plait.data.build.av_mnist import SPLITS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DATA = Path(os.environ.get("PLAIT_DATA", "../shared/data"))

there = pytest.mark.skipif(not DATA.exists(), reason="PLAIT_DATA holds no data")


@pytest.fixture
def room(monkeypatch):
    """Imports a file of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PLAIT_DATA", str(DATA))
    return importlib.import_module


@pytest.mark.parametrize(("question", "rows", "expected"), [("matched", 600, 540), ("sum", 250, 200), ("sum", 3, 100)])
def test_neither_digit_tells_the_answer(room, question, rows, expected):
    digits = room("paired_digits")
    seen, spoken = digits.DESIGNS[question](rows)
    told = digits.answers(question, seen, spoken)

    assert len(seen) == len(spoken) == len(told) == expected
    for side in (seen, spoken):
        counts = Counter(zip(side.tolist(), told.tolist(), strict=True))
        assert len(counts) == 10 * len(set(told.tolist()))
        assert len(set(counts.values())) == 1
    if question == "matched":
        assert {(a == b, c) for a, b, c in zip(seen, spoken, told, strict=True)} == {
            (True, "same"),
            (False, "different"),
        }
    else:
        assert (told == (seen + spoken) % 10).all()


def test_paired_differences_are_drawn_by_group(room):
    boards = room("leaderboards")
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 20)
    together = np.repeat(rng.choice([-1.0, 0.0, 1.0], 50), 20)

    mean, low, high = boards.paired(together, groups)
    _, narrow_low, narrow_high = boards.paired(together, np.arange(1_000))
    error = together.std() / np.sqrt(50)
    assert mean == pytest.approx(together.mean())
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.03)
    assert high - low > 3 * (narrow_high - narrow_low)  # rows that share a recording are no independent rows
    assert boards.paired(np.zeros(1_000), groups) == (0.0, 0.0, 0.0)
    assert boards.majority(["a", "a", "b"], ["a", "b", "b", "b"]) == 0.25


def test_differences_are_pooled_over_seeds_by_group(room):
    pays = room("where_it_pays")
    groups, rows = np.arange(40), {"test": 0.5}
    fits = [
        {"case": "x", "majority": 0.1, "leaderboard": {"found": rows, "random search": None},
         "pieces": {"best late": (np.full(40, value), groups)}}
        for value in (0.0, 1.0)
    ]  # fmt: skip
    (told,) = pays.pooled(fits)
    assert told["seeds"] == 2
    assert told["means"] == {"majority": 0.1, "found": 0.5}
    assert told["differences"] == {"best late": (0.5, 0.5, 0.5)}  # a group has its rows of both seeds in every draw


def test_rows_of_a_leaderboard_are_predictors(room, made_run, made_table, tmp_path):
    boards = room("leaderboards")
    rows = boards.rows_of(made_run)

    assert {"best late", "early", "concat of last layers", "found", "random search", "returned"} <= set(rows)
    assert sum(what.startswith("alone: ") for what in rows) == len(plait.load(made_run).manifest["modalities"])
    late = [row for row in plait.load(made_run).leaderboard_rows() if row["kind"] == "late"]
    assert rows["best late"]["validation"] == max(row["validation"] for row in late)
    found = {}
    for what in ("best late", "concat of last layers", "found"):
        if rows[what] is not None:
            folder = boards.as_run(made_run, rows[what]["name"], tmp_path)
            assert plait.load(folder).candidate.name == rows[what]["name"]
            found[what] = plait.load(folder).predict_proba(made_table).to_numpy()
    assert not np.array_equal(found["best late"], found["concat of last layers"])


@pytest.mark.data
@there
@pytest.mark.parametrize("question", ["digits", "matched", "sum"])
def test_no_recording_and_no_image_is_in_two_parts(room, question):
    digits = room("paired_digits")
    counts = (600, 200, 300)
    split = digits.digits(counts, 1) if question == "digits" else digits.pairs(question, counts, 1)

    for one, other in ((0, 1), (0, 2), (1, 2)):
        for column in ("recording", "image", "sound"):
            assert not set(split.parts[one][column]) & set(split.parts[other][column])
    for part in split.parts:
        assert {"image", "sound", "speaker", split.target, split.group} <= set(part.columns)
        if question != "digits":
            for side in ("seen", "spoken"):
                counted = part.groupby([side, question]).size()
                assert counted.nunique() == 1
                assert len(counted) == 10 * part[question].nunique()
            clips = part.groupby("recording")[question].value_counts().unstack(fill_value=0)
            assert ((clips.max(axis=1) - clips.min(axis=1)) <= 1).all()


@pytest.mark.data
@there
def test_encoders_of_the_digit_have_not_seen_images_that_others_choose_by(room):
    digits = room("paired_digits")
    learned = set(digits.digits((2_000, 500, 100), 0, 20, 0.0).train["recording"])
    made = digits.recipe(0, 0.0)
    train, validation, test = SPLITS
    images = set(made.plan(train, 2_000).image)
    for split, rows in ((validation, 500), (test, 500)):
        seen, _ = digits.matched_design(rows)
        if split is validation:
            assert not images & set(digits._images(made, split, seen, 0))
        part = digits.pairs("matched", (180, rows, rows), 0).parts[1 if split is validation else 2]
        assert not learned & set(part["recording"])


@pytest.mark.data
@there
@pytest.mark.parametrize("name", ["mfeat", "3sources"])
def test_views_have_noise_among_them_and_every_class_in_every_part(room, name):
    tables = room("tables")
    split = tables.views(name, noise=3, seed=2)

    rows = [set(part["row"]) for part in split.parts]
    assert len(set.union(*rows)) == sum(map(len, rows)) == {"mfeat": 2_000, "3sources": 169}[name]
    assert len({part["class"].nunique() for part in split.parts}) == 1
    assert [column for column in split.train if column.startswith("noise")] == ["noise0", "noise1", "noise2"]
    first = next(iter(split.train.columns))
    moved = {row: cell.tobytes() for part in split.parts for row, cell in zip(part["row"], part["noise1"], strict=True)}
    true = {row: cell.tobytes() for part in split.parts for row, cell in zip(part["row"], part[first], strict=True)}
    assert sorted(moved.values()) == sorted(true.values())
    assert sum(moved[row] == true[row] for row in true) < 10
