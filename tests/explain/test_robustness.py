"""Which sets of modalities are tried, and that what is dropped is really gone."""

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

import plait
from plait.data.batches import Rows
from plait.exceptions import InputError
from plait.explain.robustness import sets_of, without


def test_every_set_of_few_modalities_and_some_of_many() -> None:
    assert sets_of(["b", "a"]) == [("a", "b"), ("a",), ("b",)]
    assert len(sets_of("abcd")) == 15
    many = sets_of([f"m{number}" for number in range(8)])
    assert [len(one) for one in many] == [8] + [7] * 8 + [1] * 8


def test_what_is_dropped_is_absent_and_the_rest_stays() -> None:
    masks = {"a": np.array([True, False]), "b": np.array([True, True])}
    rows = Rows({"a": np.zeros((2, 1)), "b": np.zeros((2, 1))}, masks, index=np.arange(2))
    less = without(rows, {"b"})
    assert less.present["a"].tolist() == [True, False]
    assert less.present["b"].tolist() == [False, False]
    assert masks["b"].all()


def test_dropping_a_modality_is_the_same_as_empty_cells(made_run: Path, made_table: Path) -> None:
    predictor = plait.load(made_run)
    name = next(one for one in predictor.candidate.used if len(predictor.columns[one]) == 1)
    frame = parquet.read_table(made_table).to_pandas()
    frame[predictor.columns[name][0]] = None
    folder = made_table.parent / "without.parquet"
    frame.to_parquet(folder)
    assert predictor.evaluate(made_table, drop=name) == predictor.evaluate(folder)


def test_the_table_of_sets_begins_with_all_and_agrees_with_drop(made_run: Path, made_table: Path) -> None:
    predictor = plait.load(made_run)
    told = predictor.robustness(made_table)
    used = list(predictor.candidate.used)
    assert told["rows"] == 120
    assert told["sets"][0] == {"present": used, "tasks": predictor.evaluate(made_table)["tasks"]}
    for one in told["sets"]:
        gone = sorted(set(used) - set(one["present"]))
        assert one["tasks"] == predictor.evaluate(made_table, drop=gone)["tasks"]


def test_the_run_tells_it_of_the_test_rows(made_run: Path) -> None:
    predictor = plait.load(made_run)
    told = predictor.manifest["robustness"]
    assert [tuple(one["present"]) for one in told] == sets_of(predictor.candidate.used)
    test = {name: {**one} for name, one in predictor.manifest["metrics"]["test"].items()}
    for one in test.values():
        del one["intervals"]
    assert told[0]["tasks"] == test
    chosen = next(row for row in predictor.leaderboard_rows() if row["chosen"])
    assert told[0]["score"] == pytest.approx(chosen["test"])


def test_a_modality_that_is_not_there(made_run: Path, made_table: Path) -> None:
    with pytest.raises(InputError, match="no modality 'imag' to drop; did you mean image"):
        plait.load(made_run).evaluate(made_table, drop=["imag"])
