"""Where validation rows are few, training rows take turns in their place."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import plait
from made import made_rows, write_table
from plait.cli.main import app
from plait.exceptions import InputError
from plait.pipeline import choose as choose_stage
from plait.pipeline import folds as folds_stage
from plait.pipeline import turns as turns_module
from plait.pipeline._base import COMPARED
from plait.predictor import Predictor
from plait.search import evaluator
from plait.search.choosing import Choice
from plait.search.stacked import StackTrainer
from plait.training.checkpoints import load_tensors
from plait.training.loop import Trainer
from plait.training.model import Bag

NAMES = ("view", "size", "ward", "price")


def table_of(folder: Path, **changed: Any) -> Path:
    columns = made_rows(90)
    folder.mkdir(exist_ok=True)
    return write_table(folder, {name: columns[name] for name in (*NAMES, "label", "patient")} | changed)


def fitted(table: Path, out: Path, **options: Any) -> Predictor:
    # In this process, whatever it takes: others know nothing of what a test replaces.
    given: dict[str, Any] = {"ignore": ["label", "patient"], "trials": 2, "folds": 5, "workers": 1} | options
    return plait.fit(table, "price", out=out, **given)


def stage(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "stages" / "folds.json").read_text())["result"]
    return found


def outputs_of(run: Path, candidate: str) -> np.ndarray:
    """Outputs of a candidate's first seed by row of the table, NaN where it is not judged."""
    told = stage(run)
    number = next(i for i, one in enumerate(told["trials"]) if one["candidate"]["name"] == candidate)
    values = load_tensors(run / "stages" / "folds.safetensors")[f"{number}/outputs/0/price"].numpy()
    found = np.full(90, np.nan)
    found[told["rows"]] = values[:, 0]
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    fitted(table_of(folder), folder / "run")
    return folder / "run"


def test_every_training_and_validation_row_is_judged_once(run: Path) -> None:
    manifest = json.loads((run / "plait.json").read_text())
    rows = stage(run)["rows"]
    counts = manifest["data"]["rows"]
    assert manifest["folds"] == {"parts": 5, "rows": len(rows)}
    assert len(set(rows)) == len(rows) == counts["train"] + counts["validation"]
    assert all(row["validation"] is not None and row["interval"][0] is not None for row in manifest["leaderboard"])
    assert manifest["metrics"]["validation"]["price"]["n"] == len(rows)
    assert any("As asked, 77 rows are judged: in 5 parts" in note for note in manifest["notes"])


def swapped_within_a_part(run: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fit anew with the labels of two rows of the third part swapped.

    Returns:
        Rows of that part, and those of all others.
    """
    rows = np.array(stage(run)["rows"])
    parts = np.split(rows, _ends(run))
    prices = made_rows(90)["price"]
    one, other = parts[2][np.argsort(np.array(prices)[parts[2]])[[0, -1]]]
    swapped = list(prices)
    swapped[one], swapped[other] = prices[other], prices[one]
    fitted(table_of(folder / "swapped", price=swapped), folder / "run")
    assert stage(folder / "run")["rows"] == rows.tolist()
    return parts[2], np.setdiff1d(rows, parts[2])


def test_no_row_is_judged_by_a_classical_model_that_saw_its_label(run: Path, tmp_path: Path) -> None:
    inside, outside = swapped_within_a_part(run, tmp_path)
    for candidate in ("logistic of tabular", "forest of view", "boosting of all", "stack"):
        change = np.abs(outputs_of(tmp_path / "run", candidate) - outputs_of(run, candidate))
        assert change[inside].max() < 1e-5
        assert change[outside].max() > 1e-3


def test_no_row_is_judged_by_a_network_that_learned_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for when to stop, which the judged rows decide as validation rows always do: here nothing stops early."""
    monkeypatch.setattr(Trainer, "score", lambda *_: None)
    monkeypatch.setattr(StackTrainer, "_has_labels", False)
    run = tmp_path / "before"
    fitted(table_of(tmp_path), run)
    inside, outside = swapped_within_a_part(run, tmp_path)
    for candidate in ("view", "tabular", "early", "concat of last layers", "late mean"):
        change = np.abs(outputs_of(tmp_path / "run", candidate) - outputs_of(run, candidate))
        assert change[inside].max() < 1e-5
        assert change[outside].max() > 1e-3


def _ends(run: Path) -> np.ndarray:
    """Where each part ends: the validation rows, then quarters of the training rows."""
    manifest = json.loads((run / "plait.json").read_text())
    counts = manifest["data"]["rows"]
    sizes = [len(part) for part in np.array_split(np.arange(counts["train"]), 4)]
    return np.cumsum([counts["validation"], *sizes[:-1]])


def test_the_same_seed_gives_the_same_and_resume_finds_it(run: Path, tmp_path: Path) -> None:
    table = table_of(tmp_path)
    rows = fitted(table, tmp_path / "run").leaderboard_rows()
    was = json.loads((run / "plait.json").read_text())["leaderboard"]
    assert [(r["name"], r["validation"], r["test"]) for r in rows] == [
        (r["name"], r["validation"], r["test"]) for r in was
    ]
    (tmp_path / "run" / "stages" / "ensemble.json").unlink()
    again = fitted(table, tmp_path / "run", resume=True)
    assert [(r["name"], r["validation"]) for r in again.leaderboard_rows()] == [
        (r["name"], r["validation"]) for r in rows
    ]


def test_turns_that_were_done_are_not_done_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, turned, done = table_of(tmp_path), folds_stage._turned, []

    def killed(turn: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(turn)
        return turned(turn)

    monkeypatch.setattr(folds_stage, "_turned", killed)
    with pytest.raises(KeyboardInterrupt):
        fitted(table, tmp_path / "run")
    assert len(list((tmp_path / "run" / "stages").glob("folds-*.checkpoint"))) == 2
    again: list[Any] = []
    monkeypatch.setattr(folds_stage, "_turned", lambda turn: again.append(turn) or turned(turn))
    predictor = fitted(table, tmp_path / "run", resume=True)
    assert len(again) == 2
    assert not list((tmp_path / "run" / "stages").glob("*.checkpoint"))
    was = json.loads((run / "plait.json").read_text())["leaderboard"]
    assert [row["validation"] for row in predictor.leaderboard_rows()] == [row["validation"] for row in was]


def test_turns_in_other_processes_come_to_the_same(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds_stage, "WORTHWHILE", 0.0)
    fitted(table_of(tmp_path), tmp_path / "run", workers=2)
    for candidate in ("view", "stack", "concat of last layers", "ensemble"):
        boards = [json.loads((one / "plait.json").read_text())["leaderboard"] for one in (run, tmp_path / "run")]
        scores = [next(row["validation"] for row in board if row["name"] == candidate) for board in boards]
        assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("chosen", "models"),
    [("view", 5), ("concat of last layers", 5), ("ensemble", 5), ("late stacking", 5), ("stack", 1)],
)
def test_what_predicts_is_the_mean_of_what_the_turns_learned(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, models: int
) -> None:
    original = choose_stage.choose

    def choose(trials: Any, *args: Any) -> Choice:
        place = next(i for i, trial in enumerate(trials) if trial.candidate.name == chosen)
        return dataclasses.replace(original(trials, *args), chosen=place)

    monkeypatch.setattr(choose_stage, "choose", choose)
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    (copied / "stages" / "choose.json").unlink()
    table = table_of(tmp_path)
    predictor = fitted(table, copied, resume=True)
    assert len(predictor.bag.models) == models
    shown = CliRunner().invoke(app, ["show", str(copied)]).stdout
    assert ("models        5, each learned without some of the rows" in shown) == (models == 5)
    rows = pq.read_table(copied / "splits.parquet").to_pandas()
    test = pd.read_parquet(table).iloc[rows["row"][rows["part"] == "test"]]
    row = next(one for one in predictor.leaderboard_rows() if one["chosen"])
    told = predictor.evaluate(test.reset_index(drop=True))["tasks"]["price"]["metrics"]["rmse"]
    assert row["name"] == chosen
    assert told == pytest.approx(predictor.manifest["metrics"]["test"]["price"]["metrics"]["rmse"], rel=1e-5)
    whole = predictor.predict(test.reset_index(drop=True))["price"].to_numpy()
    each = []
    for model in predictor.bag:
        alone = plait.load(copied)
        alone.bag = Bag([model])
        each.append(alone.predict(test.reset_index(drop=True))["price"].to_numpy())
    np.testing.assert_allclose(np.mean(each, axis=0), whole, rtol=1e-5)
    if models > 1:
        assert np.ptp(each, axis=0).max() > 1e-3, "each learned from other rows"


def test_models_of_features_are_fitted_on_all_rows_in_the_end(run: Path, tmp_path: Path) -> None:
    fitted(table_of(tmp_path), tmp_path / "once", folds=1)
    once = json.loads((tmp_path / "once" / "plait.json").read_text())
    boards = [json.loads((run / "plait.json").read_text())["leaderboard"], once["leaderboard"]]
    tests = [{row["name"]: row["test"] for row in board} for board in boards]
    assert tests[0]["logistic of tabular"] != tests[1]["logistic of tabular"]
    assert once["folds"] is None
    assert once["weights"]["models"] == 1


def test_few_rows_are_judged_in_turn_unless_validation_rows_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "FEW", 150)
    table = table_of(tmp_path)
    assert fitted(table, tmp_path / "few", folds=None, trials=1).manifest["folds"]["parts"] == 5
    given = fitted(table, tmp_path / "given", folds=5, trials=1, validation=table_of(tmp_path / "more"))
    assert given.manifest["folds"] is None
    assert any("--folds 5" in note and "given" in note for note in given.manifest["notes"])
    monkeypatch.setattr(turns_module, "FEW", 5)
    assert fitted(table, tmp_path / "enough", folds=None, trials=1).manifest["folds"] is None


def test_groups_stay_in_one_part(tmp_path: Path) -> None:
    out = tmp_path / "run"
    predictor = fitted(table_of(tmp_path), out, folds=3, trials=1, group="patient", ignore=["label"])
    assert predictor.manifest["folds"]["parts"] == 3
    patients = np.array(made_rows(90)["patient"])[stage(out)["rows"]]
    changes = np.flatnonzero(np.diff([np.flatnonzero(patients == one).min() for one in patients]) < 0)
    assert len(changes) <= 2, "a patient's rows stand together, part by part"


def test_a_time_limit_ends_the_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds_stage, "SLACK", 1e6)
    predictor = fitted(table_of(tmp_path), tmp_path / "run", trials=None, time_limit=12)
    assert predictor.manifest["folds"] is None
    assert stage(tmp_path / "run")["cut"] == 12


@pytest.mark.parametrize(
    ("folds", "told"), [(0, r"--folds is 0; give 1 to 20"), (True, "whole number"), (2.5, "whole number")]
)
def test_folds_out_of_range_are_refused(tmp_path: Path, folds: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        fitted(table_of(tmp_path), tmp_path / "run", folds=folds)


def test_several_targets_with_gaps_take_turns(tmp_path: Path) -> None:
    prices = [None if row % 4 == 0 else price for row, price in enumerate(made_rows(90)["price"])]
    table = table_of(tmp_path, price=prices)
    predictor = plait.fit(
        table, ["price", "label"], out=tmp_path / "run", ignore=["patient"], trials=1, folds=3, metric=None
    )
    manifest = predictor.manifest
    told = manifest["metrics"]["validation"]
    assert told["label"]["n"] == manifest["folds"]["rows"] > told["price"]["n"]
    assert {one["target"] for one in manifest["sharing"]} == {"price", "label"}
    assert all(one["difference"] is not None for one in manifest["sharing"])
    names = {row["name"]: row for row in manifest["leaderboard"]}
    assert names["concat of last layers, a network per target"]["test"] is not None


def test_parts_on_both_sides_of_what_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules fitted on few validation rows are cross-fitted ten times, on more once: 14 and 16 rows here."""
    monkeypatch.setattr(evaluator, "SMALL_VALIDATION", 15)
    predictor = fitted(table_of(tmp_path), tmp_path / "run", trials=1)
    rows = {row["name"]: row for row in predictor.manifest["leaderboard"]}
    assert len(rows["late weighted-mean"]["seeds"]) == 1
    assert len(rows["early"]["seeds"]) == 3


def test_columns_that_are_called_like_competitors(tmp_path: Path) -> None:
    columns = made_rows(90)
    named = {"early": columns["view"], "stack/0": columns["view"], "stack": columns["view"], "price": columns["price"]}
    table = write_table(tmp_path, named)
    predictor = plait.fit(table, "price", out=tmp_path / "run", trials=1, folds=3)
    assert predictor.manifest["folds"]["parts"] == 3
    board = [(row["name"], row["kind"]) for row in predictor.leaderboard_rows()]
    assert {("early", "unimodal"), ("early", "early"), ("stack", "unimodal"), ("stack", "classical")} <= set(board)
    scores = {key: row["validation"] for key, row in zip(board, predictor.leaderboard_rows(), strict=True)}
    assert scores["early", "unimodal"] != scores["early", "early"]
    assert predictor.predict(table)["price"].notna().all()


def test_all_that_follows_the_comparison_depends_on_all_of_it() -> None:
    from plait.pipeline import fit as stages

    for stage in ("Choose", "Finetune", "Threshold", "Refit", "Test", "Report"):
        assert set(COMPARED) <= set(getattr(stages, f"{stage}Stage").after)
