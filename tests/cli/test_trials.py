"""`plait trials`: tables, JSON alone on stdout, Optuna storages, mistakes without traceback."""

from __future__ import annotations

import builtins
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import optuna
import pytest

from plait.cli.main import main
from plait.fusion import Candidate, FusionSpace
from plait.search import Ledger, Trial

KEYS = [
    "name", "kind", "proposer", "rung", "passes", "seed", "score", "scores", "seconds", "architecture",
]  # fmt: skip


def call(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(words)
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def halved(tmp_path: Path) -> Path:
    """A run folder whose search halved a batch of 30, as a fit under way leaves it: no plait.json yet."""
    space, rng = FusionSpace({"image": range(4), "[bold]sound": range(3)}), np.random.default_rng(0)
    points = list({str(point): point for point in (space.sample(rng) for _ in range(60))}.values())[:30]
    ledger = Ledger(tmp_path / "halved" / "trials.sqlite")
    ledger.path.parent.mkdir()
    for rung, passes, among in ((0, 10, points), (1, 30, points[:10])):
        made = [Candidate(name=str(p), kind="architecture", architecture=p, proposer="random") for p in among]
        scores = [float(score) for score in rng.random(len(made))]
        told = [Trial(one, (), score, (score,), 0.25) for one, score in zip(made, scores, strict=True)]
        ledger.record(told, "random", rung, 7, passes)
    return ledger.path.parent


def test_json_is_every_trial_and_nothing_else(made_run, halved, capsys) -> None:
    for run in (made_run, halved):
        code, out, err = call(["trials", str(run), "--json"], capsys)
        rows = json.loads(out)
        ledger = Ledger(run / "trials.sqlite").look()
        assert (code, err) == (0, "")
        assert all(list(row) == KEYS for row in rows)
        for name in KEYS[:-1]:
            assert [row[name] for row in rows] == [row[name] for row in ledger]
    assert len(rows) == 40
    assert all(row["architecture"] == row["name"] for row in rows)


def test_tables_by_proposer_and_rung_and_the_best(made_run, halved, capsys) -> None:
    code, out, _ = call(["trials", str(halved)], capsys)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    rows = Ledger(halved / "trials.sqlite").look()
    whole = sorted((row["score"], row["name"]) for row in rows if row["passes"] == 30)
    assert code == 0
    assert lines[1] == f"random 30 10 20 0 {whole[-1][0]:.4f} 10.0"
    assert lines[4].startswith("random 10 1 30 ")
    assert lines[5].startswith(f"random 30 1 10 {whole[-1][0]:.4f}")
    assert lines[8:13] == [f"{score:.4f} random {name}" for score, name in whole[:-6:-1]]
    assert "[bold]sound" in out
    assert "`plait leaderboard` shows what was trained in full" in out
    code, out, _ = call(["trials", str(made_run)], capsys)
    assert code == 0
    assert "competitors" in out


def test_a_run_goes_into_an_optuna_storage(made_run, tmp_path, capsys) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    code, out, err = call(["trials", str(made_run), "--to-optuna", url], capsys)
    assert (code, err) == (0, "")
    assert f"optuna-dashboard {url}" in out
    rows = Ledger(made_run / "trials.sqlite").look()
    for proposer in {row["proposer"] for row in rows}:
        study = optuna.load_study(study_name=f"run/{proposer}", storage=url)
        found = [row for row in rows if row["proposer"] == proposer]
        assert len(study.trials) == len({row["name"] for row in found})
        assert study.best_value == max(row["score"] for row in found if row["score"] is not None)
        assert study.user_attrs["run"] == str(made_run.resolve())
        assert f"study run/{proposer}: {len(study.trials)} trials" in out
    assert len(optuna.get_all_study_names(storage=url)) == len({row["proposer"] for row in rows})


def test_another_name_and_json_beside(halved, tmp_path, capsys) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    words = ["trials", str(halved), "--to-optuna", url, "--study-name"]
    code, out, err = call([*words, "other", "--json"], capsys)
    assert code == 0
    assert len(json.loads(out)) == 40
    assert err == "study other/random: 30 trials\n"
    code, out, err = call([*words, "other"], capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {url} holds the study 'other/random' already, and nothing was written; ")
    assert call([*words, "third"], capsys)[0] == 0
    study = optuna.load_study(study_name="third/random", storage=url)
    assert [len(study.get_trials(states=[state])) for state in (optuna.trial.TrialState.COMPLETE,
            optuna.trial.TrialState.PRUNED)] == [10, 20]  # fmt: skip


def mistakes(tmp_path: Path) -> dict[str, tuple[list[str], str]]:
    """Calls below a folder with a sound run `halved`, and the message of each."""
    empty, damaged, old, file = (tmp_path / name for name in ("empty", "damaged", "old", "file"))
    for folder in (empty, damaged, old):
        folder.mkdir()
    file.write_text("")
    (damaged / "trials.sqlite").write_bytes(b"this is no database, whatever its name says" * 30)
    connection = sqlite3.connect(old / "trials.sqlite")
    connection.execute("CREATE TABLE trials (number INTEGER, name TEXT)")
    connection.close()
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    Ledger(nothing / "trials.sqlite").claim("key")
    run = str(tmp_path / "halved")
    return {
        "missing": ([str(tmp_path / "no")], "There is no run folder"),
        "file": ([str(file)], "There is no run folder"),
        "empty": ([str(empty)], f"The run {empty} has no trials"),
        "nothing": ([str(nothing)], f"The run {nothing} has no trials"),
        "damaged": ([str(damaged)], "is the file damaged?"),
        "old": ([str(old)], "another version of plait"),
        "name": ([run, "--study-name", "x"], "--study-name names what --to-optuna writes"),
        "url": ([run, "--to-optuna", "x.db"], "did you mean sqlite:///x.db?"),
        "folder": ([run, "--to-optuna", f"sqlite:///{tmp_path}/no/x.db"], "unable to open database file"),
        "is a folder": ([run, "--to-optuna", f"sqlite:///{tmp_path}"], "unable to open database file"),
        "ledger": ([run, "--to-optuna", f"sqlite:///{run}/trials.sqlite"], "tables that are not Optuna's"),
        "driver": ([run, "--to-optuna", "mysql+nosuch://a:b@c/d"], "mysql+nosuch://a:***@c/d cannot be used"),
    }


NAMES = (
    "missing", "file", "empty", "nothing", "damaged", "old", "name", "url", "folder", "is a folder", "ledger", "driver",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_one_message_and_exit_code_2(name, halved, tmp_path, capsys) -> None:
    made = mistakes(tmp_path)
    assert set(made) == set(NAMES)
    words, told = made[name]
    for more in ([], ["--json"]):
        code, out, err = call(["trials", *words, *more], capsys)
        assert (code, out) == (2, "")
        assert told in err
        assert err.startswith("Error: ")
        assert err.count("\n") == 1


def test_without_optuna_the_install_line_is_told(halved, capsys, monkeypatch) -> None:
    real = builtins.__import__

    def no_optuna(name, *args, **kwargs):
        if name.partition(".")[0] == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_optuna)
    code, out, err = call(["trials", str(halved), "--to-optuna", "sqlite:///x.db"], capsys)
    assert (code, out) == (2, "")
    assert err == "Error: Optuna is not installed: pip install 'plait[search]'\n"
    assert call(["trials", str(halved)], capsys)[0] == 0


def test_looking_writes_nothing_and_sees_what_a_fit_is_writing(halved, tmp_path, capsys) -> None:
    before = {path.name: path.read_bytes() for path in halved.iterdir()}
    assert call(["trials", str(halved), "--json"], capsys)[0] == 0
    assert {path.name: path.read_bytes() for path in halved.iterdir()} == before
    run = tmp_path / "copy"
    shutil.copytree(halved, run)
    with sqlite3.connect(run / "trials.sqlite") as connection:  # open, so that what it wrote is in the journal alone
        connection.execute("DELETE FROM trials WHERE rung = 1")
        connection.commit()
        assert (run / "trials.sqlite-wal").stat().st_size
        assert len(json.loads(call(["trials", str(run), "--json"], capsys)[1])) == 30
    connection.close()
