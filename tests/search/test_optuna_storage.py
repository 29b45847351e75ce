"""A ledger in an Optuna storage: what Optuna loads back, what is refused, how fast it is, and optuna-dashboard."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from made_ledger import WHOLE, write_ledger
from optuna.trial import TrialState

from plait.exceptions import InputError
from plait.search import optuna_storage
from plait.search.attempts import Attempt, attempts
from plait.search.optuna_storage import to_optuna

ENDED = datetime(2026, 3, 1, 12, 0, 0)
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return attempts(write_ledger(tmp_path_factory.mktemp("made"), batches=1, batch=24).look())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'trials.db'}"


def load(url: str, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=url)


def test_optuna_loads_every_trial_back(found, url) -> None:
    written = to_optuna(found, url, "run", ENDED, {"plait": "1"})
    proposers = ("progressive", "random", "pruning", "competitors")
    assert written == {f"run/{name}": sum(one.proposer == name for one in found) for name in proposers}
    for name in proposers:
        study, group = load(url, f"run/{name}"), [one for one in found if one.proposer == name]
        assert study.direction.name == "MAXIMIZE"
        assert study.user_attrs == {"proposer": name, "plait": "1"}
        assert [trial.number for trial in study.trials] == list(range(len(group)))
        for trial, one in zip(study.trials, group, strict=True):
            assert trial.state == STATES[one.state]
            assert trial.value == one.score
            assert trial.intermediate_values == one.by_passes
            assert trial.user_attrs["architecture"] == one.architecture
            assert (trial.user_attrs["seed"], trial.user_attrs["proposer"]) == (one.seed, name)
            assert trial.user_attrs["seconds"] == pytest.approx(one.seconds)
            assert trial.duration == timedelta(seconds=one.seconds)
        best = max((one for one in group if one.state == "complete"), key=lambda one: one.score)
        assert study.best_trial.user_attrs["name"] == best.candidate.name
        assert study.best_value == best.score


def test_trials_follow_one_another_and_the_last_one_ends_when_the_ledger_did(found, url) -> None:
    to_optuna(found, url, "run", ENDED)
    trials = [trial for name in ("progressive", "random", "pruning", "competitors")
              for trial in load(url, f"run/{name}").trials]  # fmt: skip
    starts = [trial.datetime_start for trial in trials]
    assert starts == sorted(starts)
    assert max(trial.datetime_complete for trial in trials) == ENDED


def test_the_parameter_that_decides_the_score_is_the_most_important(tmp_path, url) -> None:
    """Here: whether the third cell reads sound."""
    rows = write_ledger(tmp_path, batches=1, batch=90).look()
    group = [one for one in attempts(rows) if one.proposer == "random"]

    def score(one: Attempt) -> float:
        cells = one.candidate.architecture.cells
        return float(len(cells) == 3 and any(source.modality == "sound" for source in cells[2].sources))

    to_optuna([replace(one, score=score(one), state="complete") for one in group], url, "run", ENDED)
    study = load(url, "run/random")
    every = set(study.trials[0].params)
    assert all(set(trial.params) == every for trial in study.trials)
    assert {"cells", "c1 feeds", "c1 reads image", "c2 operation", "c3 activation"} <= every
    evaluator = optuna.importance.MeanDecreaseImpurityImportanceEvaluator(seed=0)
    told = optuna.importance.get_param_importances(study, evaluator=evaluator)
    assert max(told, key=told.__getitem__) == "c3 reads sound"
    assert told["c3 reads sound"] > 0.5
    assert set(told) <= every


def test_optuna_goes_on_with_the_study(found, url) -> None:
    to_optuna(found, url, "run", ENDED)
    study = load(url, "run/random")
    kinds = study.trials[0].distributions
    trial = study.ask(kinds)
    study.tell(trial, 5.0)
    assert study.best_trial.number == len(study.trials) - 1 == 24


def test_trials_added_one_by_one_are_the_same(found, tmp_path, monkeypatch) -> None:
    def changed(*_):
        raise AttributeError("another Optuna")

    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("bulk", "slow")]
    found = [one for one in found if one.proposer in ("random", "competitors")]
    to_optuna(found, urls[0], "run", ENDED)
    monkeypatch.setattr(optuna_storage, "_rows", changed)
    to_optuna(found, urls[1], "run", ENDED)
    for name in ("random", "competitors"):
        bulk, slow = [load(url, f"run/{name}").trials for url in urls]
        assert len(bulk) == len(slow) > 0
        for one, other in zip(bulk, slow, strict=True):
            hidden = {"_trial_id"}
            assert {k: v for k, v in vars(one).items() if k not in hidden} == {
                k: v for k, v in vars(other).items() if k not in hidden
            }


def test_a_second_time_is_refused_and_nothing_is_doubled(found, url) -> None:
    to_optuna(found, url, "run", ENDED)
    with pytest.raises(InputError, match=r"trials\.db holds the study 'run/competitors' already.*--study-name"):
        to_optuna(found, url, "run", ENDED)
    to_optuna(found, url, "again", ENDED)
    names = optuna.get_all_study_names(storage=url)
    assert Counter(name.partition("/")[0] for name in names) == {"run": 4, "again": 4}
    assert len(load(url, "run/random").trials) == 24


def test_what_fails_midway_leaves_no_study(found, url, monkeypatch) -> None:
    real, calls = optuna_storage._add, []

    def second_fails(storage, study, trials):
        calls.append(study)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(storage, study, trials)

    monkeypatch.setattr(optuna_storage, "_add", second_fails)
    with pytest.raises(KeyboardInterrupt):
        to_optuna(found, url, "run", ENDED)
    assert optuna.get_all_study_names(storage=url) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("trials.db", "--to-optuna trials.db is not the URL of a database; did you mean sqlite:///trials.db?"),
        ("", "is not the URL of a database; give one as in sqlite:///trials.db."),
        ("nosuch://x", "--to-optuna nosuch://x cannot be used .*nosuch"),
        ("sqlite:////no/such/folder/x.db", "cannot be used .*unable to open database file"),
        ("sqlite:////no/x.db?timeout=soon", "cannot be used .*soon"),
        ("sqlite://", "is a database in memory"),
        ("sqlite:///:memory:", "is a database in memory"),
        ("mysql+pymysql://me:secret@nowhere/x", r"me:\*\*\*@nowhere"),
        ("odd://me:sec ret@no where:x/y", r"\.\.\.@no where"),
    ],
)
def test_a_database_that_cannot_be_used_is_told(found, url, told) -> None:
    with pytest.raises(InputError, match=told) as caught:
        to_optuna(found, url, "run", ENDED)
    assert "secret" not in str(caught.value)
    assert len(caught.value.problems) == 1
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_and_a_ledger_are_left_alone(found, tmp_path) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is no database, whatever its name says\n" * 100)
    ledger = write_ledger(tmp_path / "run", batches=1, batch=3).path
    for path, told in ((text, "file is not a database"), (ledger, "holds tables that are not Optuna's")):
        before = path.read_bytes()
        with pytest.raises(InputError, match=told):
            to_optuna(found, f"sqlite:///{path}", "run", ENDED)
        assert path.read_bytes() == before


def test_a_database_that_cannot_be_written_is_told(found, url, tmp_path) -> None:
    """SQLite's own words for a file without the right to write; root may write any, so a URL asks for it."""
    to_optuna(found[:3], url, "first", ENDED)
    reading = f"sqlite:///file:{tmp_path / 'trials.db'}?mode=ro&uri=true"
    with pytest.raises(InputError, match=r"cannot be used .*readonly database"):
        to_optuna(found, reading, "run", ENDED)
    assert optuna.get_all_study_names(storage=url) == ["first/progressive"]


@pytest.mark.parametrize("name", ["", "x" * 401])
def test_a_name_that_is_none_is_told(found, url, name) -> None:
    with pytest.raises(InputError, match="give one of 1 to 400"):
        to_optuna(found, url, name, ENDED)


def test_many_trials_take_less_than_a_quarter_of_what_one_by_one_takes(tmp_path, url) -> None:
    """5,000 in 20 seconds instead of 90."""
    made = attempts(write_ledger(tmp_path, batches=10, batch=30).look())
    few = [one for one in made if one.proposer == "random"][:20]
    many = [one for one in made if one.proposer == "progressive"]

    def seconds(group, name: str) -> float:
        began = time.process_time()
        to_optuna(group, url, name, ENDED)
        return (time.process_time() - began) / len(group)

    seconds(few, "warm")
    bulk = seconds(many, "bulk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna_storage, "_rows", lambda *_: (_ for _ in ()).throw(AttributeError()))
        slow = seconds(few, "slow")
    assert bulk < slow / 4
    assert len(load(url, "bulk/progressive").trials) == 300
    assert {trial.state for trial in load(url, "bulk/progressive").trials} == set(STATES.values())
    assert any(WHOLE in trial.intermediate_values for trial in load(url, "bulk/progressive").trials)


@pytest.mark.slow
def test_optuna_dashboard_shows_the_studies(found, url) -> None:
    pytest.importorskip("optuna_dashboard")
    to_optuna(found, url, "run", ENDED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()", url]
    server = subprocess.Popen(
        [*words, "--host", "127.0.0.1", "--port", str(port), "--quiet"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def fetch(path: str) -> bytes:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                    return answer.read()
            except urllib.error.HTTPError:
                raise
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.2)

    try:
        studies = json.loads(fetch("/api/studies"))["study_summaries"]
        proposers = {"run/progressive", "run/random", "run/pruning", "run/competitors"}
        assert {study["study_name"] for study in studies} == proposers
        number = next(study["study_id"] for study in studies if study["study_name"] == "run/random")
        study = json.loads(fetch(f"/api/studies/{number}?after=0"))
        assert len(study["trials"]) == 24
        assert Counter(trial["state"] for trial in study["trials"]) == {"Complete": 7, "Fail": 1, "Pruned": 16}
        assert {"c1 reads image", "cells"} <= {param["name"] for param in study["union_search_space"]}
        importances = json.loads(fetch(f"/api/studies/{number}/param_importances"))["param_importances"]
        assert len(importances[0]) > 5
        assert b"<html" in fetch(f"/dashboard/studies/{number}").lower()
    finally:
        server.terminate()
        server.wait(timeout=30)
