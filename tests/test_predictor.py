"""The front door: answers in order, in the right type, one row independent of all others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import plait
from made import made_rows
from plait.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(made_run: Path) -> Predictor:
    return plait.load(made_run)


def test_a_row_does_not_depend_on_its_company(predictor: Predictor, made_table: Path) -> None:
    data = parquet.read_table(made_table)
    together = predictor.predict_proba(data).to_numpy()
    order = np.random.default_rng(0).permutation(len(together))
    shuffled = predictor.predict_proba(data.take(pa.array(order))).to_numpy()
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5)
    for row in range(0, 120, 17):
        alone = predictor.predict_proba(data.slice(row, 1)).to_numpy()
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_answers_match_the_probabilities(predictor: Predictor, made_table: Path) -> None:
    answers, chances, bad = predictor.predict_both(made_table)
    assert not bad
    assert list(answers.columns) == ["label"]
    assert list(chances.columns) == ["label__down", "label__up"]
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)
    assert (answers["label"] == np.array(["down", "up"])[chances.to_numpy().argmax(axis=1)]).all()
    assert (predictor.predict(made_table)["label"] == answers["label"]).all()


def test_it_learned_something(predictor: Predictor) -> None:
    assert predictor.manifest["metrics"]["test"]["label"]["metrics"]["accuracy"] > 0.7


def test_all_modalities_absent_gives_the_prior(predictor: Predictor) -> None:
    columns = {name: [None] for name in ("image", "sound", "view", "size", "ward")}
    chances = predictor.predict_proba(columns).to_numpy()
    assert np.isfinite(chances).all()
    assert chances.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([3, 7], "int64"),
        ([True, False], "bool"),
        (["a", "b"], "object"),
        ([0.5, 1.5], "float64"),
    ],
)
def test_labels_come_back_in_their_own_type(labels: list[object], kind: str, tmp_path: Path) -> None:
    made = made_rows(60)
    columns = {"view": made["view"], "label": [labels[value == "up"] for value in made["label"]]}
    predictor = plait.fit(columns, "label", kinds={"label": "binary"}, out=tmp_path / "run", trials=1)
    answers = predictor.predict(columns)["label"]
    assert answers.dtype == kind or (kind == "object" and answers.dtype == "str")
    assert set(answers) <= set(labels)


def test_classes_are_sorted_as_numbers(tmp_path: Path) -> None:
    made = made_rows(90)
    columns = {"view": made["view"], "label": [[10, 9, 2][i % 3] for i in range(90)]}
    predictor = plait.fit(columns, "label", out=tmp_path / "run", trials=1)
    assert list(predictor.predict_proba(columns).columns) == ["label__2", "label__9", "label__10"]


def test_a_run_moves(made_run: Path, made_table: Path, tmp_path: Path) -> None:
    moved = plait.load(shutil.copytree(made_run, tmp_path / "elsewhere"))
    here = plait.load(made_run).predict_proba(made_table).to_numpy()
    np.testing.assert_array_equal(moved.predict_proba(made_table).to_numpy(), here)


def test_another_process_gives_the_same_answers(made_run: Path, made_table: Path, predictor: Predictor) -> None:
    words = [sys.executable, "-m", "plait", "predict", str(made_run), str(made_table), "--proba"]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    rows = [line.split(",") for line in printed.strip().splitlines()]
    assert rows[0] == ["label", "label__down", "label__up"]
    own = predictor.predict_proba(made_table).to_numpy()
    np.testing.assert_allclose(np.array([row[1:] for row in rows[1:]], dtype=float), own, atol=1e-6)


def test_unknown_columns_and_order_do_not_matter(predictor: Predictor, made_table: Path) -> None:
    data = parquet.read_table(made_table)
    expected = predictor.predict_proba(data).to_numpy()
    turned = data.select(data.column_names[::-1]).append_column("extra", pa.array(range(120)))
    np.testing.assert_array_equal(predictor.predict_proba(turned).to_numpy(), expected)


def test_leaderboard_frame(predictor: Predictor) -> None:
    board = predictor.leaderboard()
    assert list(board.columns) == ["name", "kind", "validation", "test", "seconds", "chosen"]
    assert board["chosen"].sum() == 1
    assert board["validation"].is_monotonic_decreasing
    assert {"unimodal", "late", "early", "architecture", "classical", "ensemble"} == set(board["kind"])
    assert {f"late {rule}" for rule in ("vote", "mean", "weighted-mean", "product", "max", "stacking")} <= set(
        board["name"]
    )


def test_a_frames_index_is_kept(predictor: Predictor, made_table: Path) -> None:
    frame = parquet.read_table(made_table).to_pandas().sample(frac=0.5, random_state=0)
    answers, chances = predictor.predict(frame), predictor.predict_proba(frame)
    assert answers.index.equals(frame.index)
    assert chances.index.equals(frame.index)
    np.testing.assert_allclose(chances.to_numpy(), predictor.predict_proba(made_table).loc[frame.index], atol=1e-5)


def test_an_unknown_word_for_bad_rows_is_refused(predictor: Predictor, made_table: Path) -> None:
    with pytest.raises(plait.InputError, match="'skp'; did you mean skip"):
        predictor.predict(made_table, bad_rows="skp")  # type: ignore[arg-type]


WRONG = {
    "trials": ({"trials": "3"}, "--trials is '3'; give a whole number from 1 on"),
    "half a trial": ({"trials": 1.5}, "--trials is 1.5; give a whole number"),
    "seed": ({"seed": None}, "--seed is None; give a whole number"),
    "truth": ({"trials": True}, "--trials is True; give a whole number"),
    "limit": ({"time_limit": "60"}, "--time-limit is '60'; give a number of seconds"),
    "out": ({"out": None}, "out is None; give the path of a folder"),
    "target": ({"target": 0}, "target is 0; give the name of a column"),
    "group": ({"group": 3}, "group is 3; give the name of a column"),
    "kinds": ({"kinds": ["a"]}, "kinds is ['a']; give a dict"),
    "schema": ({"schema": 3, "target": ()}, "schema is a int; give a Schema, or the path of a schema.json"),
    "one name": ({"ignore": "kar"}, "has no column 'kar' (ignored)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_option_of_a_wrong_type_is_refused_in_words(case: str, tmp_path: Path) -> None:
    options, expected = WRONG[case]
    table = {"a": [1.0, 2.0, 3.0, 4.0], "label": [0, 1, 0, 1]}
    with pytest.raises(plait.InputError) as told:
        plait.fit(table, **{"target": "label", "out": tmp_path / "run", **options})
    assert expected in str(told.value)
    assert not (tmp_path / "run").exists()


def test_a_schema_is_shown_edited_and_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=40), "b": rng.normal(size=40), "label": ["x", "y"] * 20}
    schema = plait.schema(table, "label").without({"b": "ignored: by me"})
    predictor = plait.fit(table, schema=schema, out=tmp_path / "run", trials=1)
    assert predictor.schema == schema
    assert repr(predictor) == f"<plait.Predictor of label by tabular, run {tmp_path / 'run'}>"
    assert predictor.notes == [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert any("There is one modality" in note for note in predictor.notes)
