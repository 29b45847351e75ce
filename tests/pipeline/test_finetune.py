"""Fine-tuning: a leaderboard row of its own, kept only if it helps, the same when resumed; gates are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plait
from plait.fusion import Architecture, Candidate
from plait.pipeline import choose, finetune
from plait.search import Choice
from plait.training.loop import Plan

GATED = "c1 = relu(gate(tabular.1, view.1))"
CHOOSE = choose.choose


def gated(*arguments: Any, **more: Any) -> Choice:
    """The usual choice, but that the gate is returned."""
    found = CHOOSE(*arguments, **more)
    position = next(i for i, trial in enumerate(arguments[0]) if trial.candidate.name == GATED)
    return replace(found, chosen=position)


@pytest.fixture
def table() -> dict[str, Any]:
    """A vector and a number whose product carries the label: encoders that learn together find it."""
    rng = np.random.default_rng(0)
    view, size = rng.normal(size=(240, 3)), rng.normal(size=240)
    label = np.where(view[:, 0] * size > 0, "up", "down")
    return {
        "view": view.tolist(),
        "size": [None if i % 9 == 0 else float(v) for i, v in enumerate(size)],
        "label": label,
    }


@pytest.fixture(autouse=True)
def _the_gate_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    from plait.pipeline.evaluate import EvaluateStage

    usual = EvaluateStage.candidates
    gate = Candidate(name=GATED, kind="architecture", architecture=Architecture.parse(GATED), proposer="progressive")
    monkeypatch.setattr(EvaluateStage, "candidates", lambda self, fit: [*usual(self, fit), gate])
    monkeypatch.setattr(choose, "choose", gated)


def board(predictor: plait.Predictor) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in predictor.manifest["leaderboard"]]


@pytest.mark.parametrize("helps", [True, False])
def test_fine_tuning_is_returned_where_it_helps(
    helps: bool, table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "standard_error", lambda difference: -10.0 if helps else 10.0)
    predictor = plait.fit(table, "label", out=tmp_path / "run", trials=1)
    told = predictor.manifest["finetune"]
    assert told["tried"] is True
    assert told["kept"] is helps
    assert told["difference"] == pytest.approx(told["after"] - told["before"])
    chosen = next(row for row in predictor.leaderboard_rows() if row["chosen"])
    assert chosen["name"] == (f"{GATED}, fine-tuned" if helps else GATED)
    scores = [row["validation"] for row in predictor.leaderboard_rows()]
    assert scores == sorted(scores, reverse=True)
    frozen = {row["name"]: row for row in predictor.leaderboard_rows()}[GATED]
    assert (chosen["test"] != frozen["test"]) == helps
    # What was measured is what is returned.
    measured = predictor.evaluate(table)["tasks"]["label"]["metrics"]["accuracy"]
    assert measured > 0.4
    assert plait.load(tmp_path / "run").predict(table).equals(predictor.predict(table))
    resumed = plait.fit(table, "label", out=tmp_path / "run", trials=1, resume=True)
    assert board(resumed) == board(predictor)


@pytest.mark.parametrize("ended", ["before", "during"])
def test_what_time_kept_from_fine_tuning_is_done_with_more_time(
    ended: str, table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr(finetune, "RESERVE", -10.0)  # all the time there is, however slow the machine
    with monkeypatch.context() as short:
        if ended == "before":
            short.setattr(finetune, "RESERVE", 10.0)  # nothing is left
        else:
            short.setattr(finetune, "Plan", lambda *plan, **more: Plan(*plan, **{**more, "seconds": 1e-6}))
        first = plait.fit(table, "label", out=run, time_limit=3)
    again = plait.fit(table, "label", out=run, time_limit=3, resume=True)
    assert again.manifest == first.manifest
    words = "No time was left to fine-tune" if ended == "before" else "Time ended the fine-tuning after 1 of 8 passes"
    assert any(words in note for note in first.notes)
    longer = plait.fit(table, "label", out=run, time_limit=6, resume=True)
    assert longer.manifest["finetune"]["epochs"] > 1
    assert not any(words in note for note in longer.notes)


def test_the_gates_of_what_is_returned_are_told(table: dict[str, Any], tmp_path: Path) -> None:
    predictor = plait.fit(table, "label", out=tmp_path / "run", trials=1)
    (gate,) = predictor.manifest["gates"]
    assert gate["cell"] == 1
    assert gate["sources"] == ["tabular.1", "view.1"]
    assert sum(gate["mean"]) == pytest.approx(1.0)
    for low, mean, high in zip(gate["low"], gate["mean"], gate["high"], strict=True):
        assert 0 <= low <= mean <= high <= 1
    assert "The architecture that was found" in (tmp_path / "run" / "report.html").read_text()


def test_a_late_rule_is_not_fine_tuned(table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "choose", CHOOSE)
    known = {**table, "view": [[float(label == "up")] * 3 for label in table["label"]]}
    predictor = plait.fit(known, "label", out=tmp_path / "run", trials=1, metric="accuracy")
    assert predictor.manifest["architectures"] == []
    assert predictor.manifest["finetune"] is None
    assert predictor.manifest["gates"] is None
