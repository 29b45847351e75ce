"""Classical models in a fit: they compete, are kept, resumed, and predict in the end what the test stage saw."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import plait
from made import made_rows, write_table
from plait.exceptions import InputError
from plait.pipeline import choose as choose_stage
from plait.pipeline.test import TestStage
from plait.predictor import Predictor
from plait.search.choosing import Choice
from plait.training.checkpoints import load_tensors, save_tensors
from plait.training.model import UnimodalNetwork

ORIGINAL = choose_stage.choose


def choosing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever the scores, a fit returns the candidate of this name."""

    def choose(trials: Any, *args: Any) -> Choice:
        place = next(i for i, trial in enumerate(trials) if trial.candidate.name == name)
        return dataclasses.replace(ORIGINAL(trials, *args), chosen=place)

    monkeypatch.setattr(choose_stage, "choose", choose)


@pytest.fixture(scope="module")
def split_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors and table columns, several tasks with gaps, and a column that says which rows are for the test."""
    columns = made_rows(150)
    told = {n: columns[n] for n in ("view", "size", "ward", "label", "price")}
    told["price"] = [None if row % 7 == 0 else value for row, value in enumerate(told["price"])]
    told["part"] = ["test" if row % 5 == 0 else "validation" if row % 5 == 1 else "train" for row in range(150)]
    return write_table(tmp_path_factory.mktemp("split"), told)


Fitted = Callable[..., Predictor]


@pytest.fixture
def fit(split_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fitted:
    def fitted(chosen: str, name: str = "run", **options: Any) -> Predictor:
        choosing(monkeypatch, chosen)
        return plait.fit(
            split_table, ["label", "price"], out=tmp_path / name, split_column="part", trials=1, **options
        )  # fmt: skip

    return fitted


@pytest.fixture(scope="module")
def stack_run(split_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that returned the stack; read-only."""
    out = tmp_path_factory.mktemp("stacked") / "run"
    with pytest.MonkeyPatch.context() as patch:
        choosing(patch, "stack")
        plait.fit(split_table, ["label", "price"], out=out, split_column="part", trials=1)
    return out


def test_they_compete_and_are_told(fit: Fitted, tmp_path: Path) -> None:
    predictor = fit("forest of view")
    rows = {row["name"]: row for row in predictor.leaderboard_rows()}
    families = ("logistic", "forest", "boosting")
    wanted = {f"{family} of {name}" for family in families for name in ("view", "tabular", "all")} | {"stack"}
    assert {name for name, row in rows.items() if row["kind"] == "classical"} == wanted
    assert all(rows[name]["validation"] is not None and rows[name]["test"] is not None for name in wanted)
    assert rows["forest of view"]["chosen"]
    assert rows["stack"]["validation"] > 0.2
    assert predictor.show() == {"architectures": [], "modalities": {"used": ["view"], "discarded": ["tabular"]}}
    search = predictor.manifest["choice"]["search"]
    assert search["better"] not in wanted, "none of them was found by the search"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "A forest of randomised trees from scikit-learn reads view as it is." in page
    assert "Fitting classical models" in page
    assert {"scikit-learn", "skops"} <= set(predictor.manifest["versions"])


@pytest.mark.parametrize("chosen", ["logistic of all", "boosting of tabular", "stack", "ensemble"])
def test_the_predictor_says_what_the_test_stage_saw(
    chosen: str, fit: Fitted, split_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    work = TestStage.work

    def listening(stage: TestStage, one: Any) -> dict[str, Any]:
        trial = one.trials[one.choice.chosen]
        seen["rows"], seen["used"] = one.test, trial.candidate.used
        seen["classical"] = [member.name for member in trial.candidate.members if member.classical]
        return work(stage, one)

    monkeypatch.setattr(TestStage, "work", listening)
    if chosen == "ensemble":  # of classical members and others, whatever the scores say
        from plait.search import ensemble

        def select(pool: Any, rows: Any) -> Any:
            counts = np.zeros(len(pool.told["label"]), np.int64)
            counts[[0, len(counts) // 2, len(counts) - 1]] = (2, 1, 1)
            return counts

        monkeypatch.setattr(ensemble._Pool, "select", select)
    predictor = fit(chosen)
    frame = pd.read_parquet(split_table)
    test = frame.iloc[seen["rows"]]
    told = predictor.evaluate(test)["tasks"]
    for task, measured in predictor.manifest["metrics"]["test"].items():
        assert told[task]["n"] == measured["n"]
        for metric, value in measured["metrics"].items():
            assert told[task]["metrics"][metric] == pytest.approx(value, abs=1e-5), (task, metric)
    if chosen == "ensemble":
        assert seen["classical"]
    together = predictor.predict_proba(test)
    for row in range(0, len(test), 7):
        np.testing.assert_allclose(predictor.predict_proba(test.iloc[[row]]), together.iloc[[row]], atol=1e-6)


def test_what_reads_raw_values_alone_runs_no_encoder(
    stack_run: Path, split_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = plait.load(stack_run)
    assert not any(isinstance(network, UnimodalNetwork) for network in predictor.model.networks)
    before = predictor.predict(split_table)
    monkeypatch.setattr("plait.predictor.ENCODERS", {})
    pd.testing.assert_frame_equal(plait.load(stack_run).predict(split_table), before)


def test_an_interrupted_fit_ends_the_same(fit: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the classical stage, and after the choice; bit for bit as if it had not been."""
    from plait.pipeline.refit import RefitStage
    from plait.pipeline.search import SearchStage

    fit("stack", "whole")
    wanted = (tmp_path / "whole" / "weights.safetensors").read_bytes()
    for stage in (SearchStage, RefitStage):
        with monkeypatch.context() as patch:
            patch.setattr(stage, "work", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                fit("stack", stage.__name__)
        with monkeypatch.context() as patch:
            patch.setattr("plait.pipeline.classical.ClassicalStage.work", lambda *_: pytest.fail("it was fitted again"))
            fit("stack", stage.__name__, resume=True)
        assert (tmp_path / stage.__name__ / "weights.safetensors").read_bytes() == wanted


def test_altered_weights_are_refused(stack_run: Path, tmp_path: Path) -> None:
    """By their checksum; with a right checksum, by the list of types."""
    import hashlib

    import torch

    from plait.classical.storage import dumps

    shutil.copytree(stack_run, tmp_path / "run")
    weights, manifest = tmp_path / "run" / "weights.safetensors", tmp_path / "run" / "plait.json"
    data = bytearray(weights.read_bytes())
    for place in np.random.default_rng(0).integers(0, len(data), 20):
        altered = data.copy()
        altered[place] ^= 1
        weights.write_bytes(bytes(altered))
        with pytest.raises(InputError, match="checksum differs"):
            plait.load(tmp_path / "run")
    weights.write_bytes(bytes(data))
    foreign = dumps({"family": "forest", "steps": {}, "heads": {"label": {1, 2}}})
    tensors = load_tensors(weights) | {"decision/_extra_state": torch.tensor(list(foreign), dtype=torch.uint8)}
    save_tensors(weights, tensors)
    content = json.loads(manifest.read_bytes())
    content["weights"]["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"holds .*builtins\.set.* Restore it, or fit again"):
        plait.load(tmp_path / "run")


def test_another_version_is_told_and_a_fresh_process_says_the_same(
    stack_run: Path, tmp_path: Path, split_table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(stack_run, tmp_path / "run")
    predictor = plait.load(tmp_path / "run")
    assert not any("scikit-learn" in note for note in predictor.notes)
    code = (
        f"import plait; plait.load({str(tmp_path / 'run')!r}).predict({str(split_table)!r})"
        f".to_json({str(tmp_path / 'told.json')!r}, double_precision=15)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    told, wanted = pd.read_json(tmp_path / "told.json"), predictor.predict(split_table)
    assert told["label"].tolist() == wanted["label"].tolist()
    np.testing.assert_allclose(told["price"], wanted["price"], rtol=1e-12)
    manifest = tmp_path / "run" / "plait.json"
    content = json.loads(manifest.read_bytes())
    there, content["versions"]["scikit-learn"] = content["versions"]["scikit-learn"], "1.4.9"
    manifest.write_text(json.dumps(content))
    (note,) = [note for note in plait.load(tmp_path / "run").notes if "scikit-learn" in note]
    assert "1.4.9" in note
    assert there in note
    assert note in caplog.text


def test_hidden_states_are_read_where_the_reader_says_nothing(
    made_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images and sounds, beside vectors and table columns as they are."""
    choosing(monkeypatch, "logistic of all")
    predictor = plait.fit(made_table, "label", out=tmp_path / "run", ignore=["price", "patient"], trials=1)
    assert predictor.candidate.raw == ("tabular", "view")
    assert predictor.candidate.encoded == ("image", "sound")
    table = made_rows()
    right = predictor.predict(table)["label"] == np.array(table["label"])
    assert right.mean() > 0.8


def test_no_time_leaves_them_out_and_says_so(vector_table: Path, tmp_path: Path) -> None:
    predictor = plait.fit(vector_table, "label", out=tmp_path / "run", time_limit=1)
    kinds = [row["kind"] for row in predictor.leaderboard_rows()]
    left = [note for note in predictor.notes if "classical models" in note]
    assert kinds.count("classical") == 10 or (len(left) == 1 and "a longer time limit fits them" in left[0])
