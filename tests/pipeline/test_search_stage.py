"""The search stage of a fit: its trials, its ledger, its limits, what it tells."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import plait
from plait.exceptions import InputError
from plait.fusion import FusionSpace
from plait.pipeline import search
from plait.search import Evaluator


def board(predictor: plait.Predictor) -> list[dict[str, Any]]:
    """The leaderboard but for its times."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in predictor.manifest["leaderboard"]]


def test_a_space_smaller_than_the_trials_is_searched_whole_and_told(
    vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = FusionSpace({"view": [1, 2], "tabular": [1]}, operations=("concat",), activations=("relu",), max_cells=1)
    monkeypatch.setattr(search, "space_of", lambda fit: small)
    predictor = plait.fit(vector_table, "label", out=tmp_path / "run", trials=100)
    assert f"The search tried all {small.size()} architectures that there are." in predictor.notes
    told = predictor.manifest["search"]
    tried = [one["text"] for one in told["trials"] if one["proposer"] == "greedy"]
    assert sorted(tried) == sorted(map(str, small))
    assert told["space"]["size"] == small.size() == 5


@pytest.mark.parametrize("strategy", ["random", "similarity"])
def test_the_strategy_can_be_named(strategy: str, vector_table: Path, tmp_path: Path) -> None:
    predictor = plait.fit(vector_table, "label", out=tmp_path / "run", trials=4, strategy=strategy)
    told = predictor.manifest["search"]
    assert told["strategy"] == strategy
    assert sum(one["proposer"] == strategy for one in told["trials"]) >= 3
    assert {one["proposer"] for one in told["trials"]} <= {strategy, "random", "pruning"}
    names = {row["name"] for row in predictor.leaderboard_rows()}
    missing = set(told["finalists"]) - names  # what always competes stands there by another name
    assert all(name.endswith("c1 = relu(concat(tabular.2, view.2))") for name in missing)
    assert any(name.startswith("random search: ") for name in names) == (strategy != "random")


def test_an_unknown_strategy_is_refused(vector_table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--strategy is 'randon'; did you mean random\?"):
        plait.fit(vector_table, "label", out=tmp_path / "run", trials=4, strategy="randon")


def test_scores_are_in_the_ledger_and_known_ones_are_not_evaluated_again(
    vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    whole = plait.fit(vector_table, "label", out=run, trials=20)
    with sqlite3.connect(run / "trials.sqlite") as ledger:
        rows = ledger.execute("SELECT name, score FROM trials WHERE proposer = 'greedy' ORDER BY number").fetchall()
    told = [(t["text"], t["score"]) for t in whole.manifest["search"]["trials"] if t["proposer"] == "greedy"]
    assert rows == told
    (run / "stages" / "search.json").unlink()
    evaluated: list[str] = []
    original = Evaluator.evaluate
    monkeypatch.setattr(
        Evaluator,
        "evaluate",
        lambda self, given, *more: evaluated.extend(c.name for c in given) or original(self, given, *more),
    )
    again = plait.fit(vector_table, "label", out=run, trials=20, resume=True)
    assert evaluated == []
    assert board(again) == board(whole)


def test_random_search_has_as_many_seconds_as_the_strategy(
    vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, shares = search.SearchStage._run, {}

    def asked(stage: Any, fit: Any, space: Any, found: Any, name: str, share: float | None) -> None:
        shares[name] = share
        run(stage, fit, space, found, name, share)

    monkeypatch.setattr(search.SearchStage, "_run", asked)
    plait.fit(vector_table, "label", out=tmp_path / "run", time_limit=4)
    assert shares["greedy"] is not None
    assert shares["greedy"] == shares["random"]
