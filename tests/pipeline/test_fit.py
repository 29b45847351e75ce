"""A fit as a whole: same seed same result, resumed after a kill, limits, splits, targets, absent modalities."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import plait
from made import made_rows, write_table
from plait.exceptions import InputError
from plait.pipeline.narrator import Narrator
from plait.pipeline.run import RunFolder
from plait.predictor import Predictor
from plait.search import Ledger

TEN = 10


class Listener(Narrator):
    """Remembers the notes of a fit."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def without_seconds(predictor: Predictor) -> list[dict[str, Any]]:
    """The leaderboard, but for what is not promised to be the same."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in predictor.manifest["leaderboard"]]


def weights(run: Path) -> bytes:
    """The bytes of a run's weights."""
    return (run / "weights.safetensors").read_bytes()


def test_same_seed_same_result_bit_for_bit(vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plait.fit(vector_table, "label", out=tmp_path / "a", trials=2, seed=3)
    monkeypatch.setenv("PLAIT_CACHE", str(tmp_path / "other cache"))
    second = plait.fit(vector_table, "label", out=tmp_path / "b", trials=2, seed=3, workers=2)
    other = plait.fit(vector_table, "label", out=tmp_path / "c", trials=2, seed=4)
    assert without_seconds(first) == without_seconds(second)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert without_seconds(first) != without_seconds(other)


def events(run: Path) -> int:
    """Lines of a run's log."""
    path = run / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_interrupted_at_ten_points_and_resumed(
    vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plait.fit(vector_table, "label", out=tmp_path / "whole", trials=2)
    total = events(tmp_path / "whole")
    assert total > TEN
    original = RunFolder.log
    for number, point in enumerate(np.linspace(2, total, TEN).astype(int)):
        run, left = tmp_path / f"run{number}", [int(point)]

        def log(self: RunFolder, event: str, *, left: list[int] = left, **facts: Any) -> None:
            left[0] -= 1
            if left[0] <= 0:
                raise KeyboardInterrupt
            original(self, event, **facts)

        monkeypatch.setattr(RunFolder, "log", log)
        with pytest.raises(KeyboardInterrupt):
            plait.fit(vector_table, "label", out=run, trials=2)
        monkeypatch.setattr(RunFolder, "log", original)
        resumed = plait.fit(vector_table, "label", out=run, trials=2, resume=True)
        assert without_seconds(resumed) == without_seconds(whole)
        assert weights(run) == weights(tmp_path / "whole")


def command(table: Path, *words: str) -> list[str]:
    """The real command, all but the run folder."""
    return [sys.executable, "-m", "plait", "fit", str(table), "--target", "label", *words, "--out"]


def killed(words: list[str], until: Callable[[], bool], environment: dict[str, str]) -> bool:
    """Run a command and SIGKILL it as soon as something has happened; whether it was still running then."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not until():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_killed_at_ten_points_and_resumed(made_table: Path, tmp_path: Path) -> None:
    """SIGKILL of the real command, wherever it is then."""
    words = command(made_table, "--trials", "2")
    subprocess.run([*words, str(tmp_path / "whole")], check=True, capture_output=True)
    total = events(tmp_path / "whole")
    whole = plait.load(tmp_path / "whole")
    count = 0
    for number, point in enumerate(np.linspace(1, total - 1, TEN).astype(int)):
        run = tmp_path / f"run{number}"
        # A cache of its own, so that every run has everything to do.
        environment = {**os.environ, "PLAIT_CACHE": str(tmp_path / f"cache{number}")}
        count += killed([*words, str(run)], lambda run=run, point=point: events(run) >= point, environment)  # type: ignore[misc]
        subprocess.run([*words, str(run), "--resume"], check=True, capture_output=True, env=environment)
        assert without_seconds(plait.load(run)) == without_seconds(whole), point
        assert weights(run) == weights(tmp_path / "whole"), point
    assert count >= TEN - 2


def rungs(run: Path) -> list[tuple[Any, ...]]:
    """Proposer, number, passes, and scores by name of the rungs in a run's ledger, in the order they were written."""
    path = run / "trials.sqlite"
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    with suppress(InputError):  # the file is there, but not yet its table
        for row in Ledger(path).look():
            found.setdefault((row["proposer"], row["rung"], row["passes"]), {})[row["name"]] = row["score"]
    return [(*rung, scores) for rung, scores in found.items()]


class InMidSearch:
    """The moment when a process has begun to search and so many rungs are in the ledger, or a little later.

    Args:
        run: The run folder.
        point: How many rungs.
        kind: 0 at once; 1 a tenth of a second later; 2 as soon as more weights to inherit are written.
    """

    def __init__(self, run: Path, point: int, kind: int) -> None:
        self.run, self.point, self.kind = run, point, kind
        self.before = self.searches()
        self.since: float | None = None
        self.written: set[Path] = set()

    def searches(self) -> int:
        """How often the search has begun, as the log has it."""
        path = self.run / "log.jsonl"
        return path.read_text().count('"name": "search", "state": "begun"') if path.exists() else 0

    def __call__(self) -> bool:
        files = set(self.run.glob("stages/search-*.safetensors"))
        if self.since is None:
            if self.searches() == self.before or len(rungs(self.run)) < self.point:
                return False
            self.since, self.written = time.monotonic(), files
        waited = time.monotonic() - self.since
        return [True, waited > 0.1, bool(files - self.written) or waited > 1][self.kind]


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("trials", [40, 256], ids=["no halving", "halving"])
def test_killed_ten_times_in_mid_search_and_resumed_each_time(trials: int, vector_table: Path, tmp_path: Path) -> None:
    words = command(vector_table, "--strategy", "genetic", "--trials", str(trials))
    environment, run = {**os.environ, "PLAIT_CACHE": str(tmp_path / "cache")}, tmp_path / "run"
    subprocess.run([*words, str(tmp_path / "whole")], check=True, capture_output=True, env=environment)
    every = [rung for rung in rungs(tmp_path / "whole") if rung[0] != "competitors"]
    assert (len({passes for _, _, passes, _ in every}) > 1) == (trials == 256), "halving wants batches of 24"

    for number, point in enumerate(np.linspace(0, len(every) - 1, TEN).astype(int)):
        due = InMidSearch(run, int(point), number % 3)
        assert killed([*words, str(run), *(["--resume"] if number else [])], due, environment)
        assert due.since is not None
        assert not (run / "stages" / "search.json").exists()
    subprocess.run([*words, str(run), "--resume"], check=True, capture_output=True, env=environment)

    assert sorted(map(str, rungs(run))) == sorted(map(str, rungs(tmp_path / "whole")))
    assert without_seconds(plait.load(run)) == without_seconds(plait.load(tmp_path / "whole"))
    assert weights(run) == weights(tmp_path / "whole")
    assert not list(run.glob("stages/search-*.safetensors"))


def test_resume_on_a_missing_and_on_a_finished_run(vector_table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = plait.fit(vector_table, "label", out=run, trials=1, resume=True)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.name != "log.jsonl"}
    again = plait.fit(vector_table, "label", out=run, trials=1, resume=True)
    assert again.manifest == first.manifest
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name != "log.jsonl"}


def test_a_changed_option_redoes_what_depends_on_it(vector_table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    plait.fit(vector_table, "label", out=run, trials=1)
    networks = [path.read_bytes() for path in sorted((run / "stages").glob("encode-*"))]
    stamp = (run / "stages" / "encode-0.json").stat().st_mtime_ns
    changed = plait.fit(vector_table, "label", out=run, trials=1, metric="accuracy", resume=True)
    fresh = plait.fit(vector_table, "label", out=tmp_path / "fresh", trials=1, metric="accuracy")
    assert without_seconds(changed) == without_seconds(fresh)
    assert (run / "stages" / "encode-0.json").stat().st_mtime_ns == stamp
    assert [path.read_bytes() for path in sorted((run / "stages").glob("encode-*"))] == networks


def test_a_changed_table_is_noticed(tmp_path: Path) -> None:
    columns = {name: made_rows()[name] for name in ("view", "size", "label")}
    table = write_table(tmp_path, columns)
    before = plait.fit(table, "label", out=tmp_path / "run", trials=1)
    columns["view"][0] = [9.0, 9.0, 9.0]
    write_table(tmp_path, columns)
    after = plait.fit(table, "label", out=tmp_path / "run", trials=1, resume=True)
    assert before.manifest["weights"] != after.manifest["weights"]


def test_resume_with_other_targets_is_refused_and_changes_nothing(vector_table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    plait.fit(vector_table, "label", out=run, trials=1)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "log.jsonl"}
    with pytest.raises(InputError, match="learns 'label', not 'size'; give another --out"):
        plait.fit(vector_table, "size", out=run, trials=1, resume=True)
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != "log.jsonl"}


def test_resume_with_another_seed_is_told(vector_table: Path, tmp_path: Path) -> None:
    first, second = Listener(), Listener()
    plait.fit(vector_table, "label", out=tmp_path / "run", trials=1, narrator=first)
    plait.fit(vector_table, "label", out=tmp_path / "run", trials=1, seed=np.int64(1), resume=True, narrator=second)
    assert not any("began with" in note for note in first.notes)
    assert any("the seed are not those this run began with" in note for note in second.notes)


def test_what_time_ended_is_told_and_learned_on_with_more_time(vector_table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    short = plait.fit(vector_table, "label", out=run, time_limit=0.1)
    assert any("Time ended the learning of view after" in note for note in short.notes)
    assert any("trainings of fusion networks" in note for note in short.notes)
    assert "ended by time" in (run / "report.html").read_text()
    longer = plait.fit(vector_table, "label", out=run, time_limit=30, resume=True)
    assert not any("Time ended" in note for note in longer.notes)
    assert all(m["epochs"] > n["epochs"] for m, n in zip(
        longer.manifest["modalities"], short.manifest["modalities"], strict=True
    ))  # fmt: skip


def test_numbers_in_one_table_and_text_in_another_are_judged_cell_by_cell(tmp_path: Path) -> None:
    columns = {name: made_rows()[name] for name in ("view", "size", "label")}
    table = write_table(tmp_path, columns)
    frame = pd.DataFrame(columns)
    frame["size"] = frame["size"].astype(object)
    frame.loc[3, "size"] = "heavy"
    test = pd.DataFrame({**frame, "size": frame["size"].map(lambda cell: None if cell is None else str(cell))})
    with pytest.raises(InputError, match=r"row 4 of the test table: .*'heavy'"):
        plait.fit(table, "label", test=test, out=tmp_path / "run", trials=1)
    predictor = plait.fit(table, "label", test=test, out=tmp_path / "run", trials=1, bad_rows="skip")
    assert predictor.manifest["data"]["skipped"] == 1


def test_a_lost_cache_is_filled_again(vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plait.fit(vector_table, "label", out=tmp_path / "run", trials=1)
    monkeypatch.setenv("PLAIT_CACHE", str(tmp_path / "empty"))
    (tmp_path / "run" / "stages" / "evaluate.json").unlink()
    again = plait.fit(vector_table, "label", out=tmp_path / "run", trials=1, resume=True)
    assert without_seconds(again) == without_seconds(whole)


def test_two_processes_do_not_write_one_run(vector_table: Path, tmp_path: Path) -> None:
    held = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match="Another process is writing the run"):
        plait.fit(vector_table, "label", out=tmp_path / "run", trials=1, resume=True)
    held.close()


def test_the_shortest_time_limit_leaves_a_run_that_predicts(made_table: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    predictor = plait.fit(made_table, "label", out=tmp_path / "run", time_limit=0.001)
    assert time.monotonic() - started < 0.0011 + 10 + 10  # 10 s of grace for a busy machine
    assert len(predictor.predict(made_table)) == 120


def test_rows_that_judge_are_left_out_where_comparing_on_all_would_take_too_long(
    vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plait.pipeline import afford

    monkeypatch.setattr(afford, "JUDGED", 1.0)
    listener = Listener()
    predictor = plait.fit(
        pa.concat_tables([parquet.read_table(vector_table)] * 10), "label", out=tmp_path / "run", time_limit=15,
        narrator=listener,
    )  # fmt: skip
    assert any("840 of 840 train, 32 of 180 validation, 32 of 180 test" in note for note in listener.notes)
    assert predictor.manifest["data"]["rows"] == {"train": 840, "validation": 32, "test": 32}


def test_a_limit_too_short_for_all_rows_uses_some(vector_table: Path, tmp_path: Path) -> None:
    data = parquet.read_table(vector_table)
    large = pa.concat_tables([data] * 400)  # 48,000 rows
    listener = Listener()
    predictor = plait.fit(large, "label", out=tmp_path / "run", time_limit=0.01, narrator=listener)
    assert any("The time limit does not pay for all rows" in note for note in listener.notes)
    assert 0 < predictor.manifest["data"]["rows"]["train"] < 33_000
    parts = parquet.read_table(tmp_path / "run" / "splits.parquet")
    assert parts.num_rows == 48_000
    assert parts.column("part").null_count > 0


def test_rows_of_every_class_are_the_last_to_be_left_out() -> None:
    from plait.pipeline.afford import _every_class_first

    classes = np.array([0] * 50 + [1] * 3 + [2])
    rows = np.random.default_rng(0).permutation(54)
    found = _every_class_first(rows, classes)
    assert sorted(found) == list(range(54))
    assert np.bincount(classes[found[:5]]).tolist() == [2, 2, 1]
    assert found[5:].tolist() == [row for row in rows if row not in found[:5]]


def test_the_shortest_limit_keeps_a_rare_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=400), "label": ["rare" if row < 6 else "common" for row in range(400)]}
    for seed in range(3):
        plait.fit(columns, "label", out=tmp_path / f"run{seed}", time_limit=0.01, seed=seed)


def test_split_shares_and_file(vector_table: Path, tmp_path: Path) -> None:
    predictor = plait.fit(vector_table, "label", out=tmp_path / "run", trials=1)
    assert predictor.manifest["data"]["rows"] == {"train": 84, "validation": 18, "test": 18}
    parts = parquet.read_table(tmp_path / "run" / "splits.parquet")
    assert parts.column_names == ["table", "row", "part"]
    assert parts.column("row").to_pylist() == list(range(120))


def test_given_validation_and_no_test(tmp_path: Path) -> None:
    columns = {name: made_rows(150)[name] for name in ("view", "size", "label")}
    table = {name: cells[:100] for name, cells in columns.items()}
    validation = {name: cells[100:] for name, cells in columns.items()}
    predictor = plait.fit(table, "label", validation=validation, out=tmp_path / "run", trials=1)
    assert predictor.manifest["data"]["rows"] == {"train": 100, "validation": 50, "test": 0}
    assert all(row["test"] is None for row in predictor.leaderboard_rows())
    assert predictor.manifest["metrics"]["test"] is None


def test_given_test_leaves_the_rest_to_be_split(tmp_path: Path) -> None:
    columns = {name: made_rows(150)[name] for name in ("view", "size", "label")}
    table = {name: cells[:100] for name, cells in columns.items()}
    test = {name: cells[100:] for name, cells in columns.items()}
    predictor = plait.fit(table, "label", test=test, out=tmp_path / "run", trials=1)
    assert predictor.manifest["data"]["rows"] == {"train": 85, "validation": 15, "test": 50}
    evaluated = predictor.evaluate(test)["tasks"]["label"]
    assert evaluated == predictor.manifest["metrics"]["test"]["label"]


def test_groups_are_kept_together(made_table: Path, tmp_path: Path) -> None:
    data = parquet.read_table(made_table).select(["view", "label", "patient"])
    plait.fit(data, "label", group="patient", out=tmp_path / "run", trials=1)
    parts = parquet.read_table(tmp_path / "run" / "splits.parquet").column("part").to_pylist()
    for patient in set(data.column("patient").to_pylist()):
        assert (
            len({part for part, own in zip(parts, data.column("patient").to_pylist(), strict=True) if own == patient})
            == 1
        )


def test_identical_rows_across_splits_are_told(tmp_path: Path) -> None:
    columns = {name: made_rows(60)[name] for name in ("view", "size", "label")}
    twice = {name: cells + cells for name, cells in columns.items()}
    twice["part"] = ["train"] * 60 + ["validation"] * 30 + ["test"] * 30
    listener = Listener()
    plait.fit(twice, "label", split_column="part", out=tmp_path / "run", trials=1, narrator=listener)
    assert any("30 of 30 validation rows equal a training row" in note for note in listener.notes)
    assert any("30 of 30 test rows equal a training row" in note for note in listener.notes)


def test_rows_with_nothing_in_them_are_no_twins(tmp_path: Path) -> None:
    columns = made_rows(60)
    columns = {"view": [None if row % 3 == 0 else cell for row, cell in enumerate(columns["view"])]} | {
        "label": columns["label"]
    }
    listener = Listener()
    plait.fit(columns, "label", out=tmp_path / "run", trials=1, narrator=listener)
    assert not any("equal a training row" in note for note in listener.notes)


def test_several_targets_with_missing_labels(made_table: Path, tmp_path: Path) -> None:
    data = parquet.read_table(made_table).select(["view", "size", "label", "price"]).to_pydict()
    rng = np.random.default_rng(0)
    for name in ("label", "price"):
        data[name] = [None if rng.random() < 0.4 else cell for cell in data[name]]
    predictor = plait.fit(data, ["label", "price"], out=tmp_path / "run", trials=1)
    told = predictor.evaluate(data)
    assert told["rows"] == 120
    assert told["tasks"]["label"]["n"] == 120 - data["label"].count(None)
    assert told["tasks"]["price"]["n"] == 120 - data["price"].count(None)
    assert list(predictor.predict(data).columns) == ["label", "price"]
    assert list(predictor.predict_proba(data).columns) == ["label__down", "label__up"]


def test_one_modality_steps_aside(vector_table: Path, tmp_path: Path) -> None:
    listener = Listener()
    data = parquet.read_table(vector_table).select(["view", "label"])
    predictor = plait.fit(data, "label", out=tmp_path / "run", trials=4, narrator=listener)
    kinds = [row["kind"] for row in predictor.leaderboard_rows()]
    assert sorted(kinds) == ["classical"] * 4 + ["ensemble", "unimodal"]
    assert any("one modality" in note for note in listener.notes)


def test_a_modality_absent_in_all_training_rows_is_left_out(tmp_path: Path) -> None:
    columns = {name: made_rows(90)[name] for name in ("view", "size", "label")}
    columns["view"] = [None] * 80 + [[1.0, 2.0, 3.0]] * 10
    columns["part"] = ["train"] * 60 + ["validation"] * 20 + ["test"] * 10
    listener = Listener()
    predictor = plait.fit(columns, "label", split_column="part", out=tmp_path / "run", trials=1, narrator=listener)
    assert any("'view' is absent in every training row" in note for note in listener.notes)
    assert predictor.show()["modalities"] == {"used": ["tabular"], "discarded": ["view"]}


@pytest.mark.parametrize("rows", [100, 25])
def test_features_that_know_their_labels_are_told_once_the_test_rows_are_read(tmp_path: Path, rows: int) -> None:
    """But of few test rows nothing is said: they may agree by chance."""
    rng = np.random.default_rng(0)
    label, part = rng.integers(0, 2, 300), np.repeat(["train", "validation", "test"], 100)
    knows = np.where(
        (part == "test")[:, None], rng.normal(size=(300, 4)), label[:, None] + 0.1 * rng.normal(size=(300, 4))
    )
    says = label[:, None] + rng.normal(size=(300, 4))
    listener = Listener()
    columns = {"knows": list(knows), "says": list(says), "label": label, "part": part}
    columns = {name: values[: 200 + rows] for name, values in columns.items()}
    plait.fit(
        columns, "label", split_column="part", metric="accuracy", out=tmp_path / "run", trials=1, narrator=listener
    )
    found = [note for note in listener.notes if "far more than chance" in note]
    assert len(found) == (rows == 100)
    for told in found:
        assert told.startswith("knows has ")
        assert "says has" not in told


def test_columns_without_an_encoder_are_told(tmp_path: Path) -> None:
    columns = {name: made_rows(60)[name] for name in ("view", "label")}
    columns["film"] = [f"{row}.mp4" for row in range(60)]
    listener = Listener()
    plait.fit(columns, "label", out=tmp_path / "run", trials=1, narrator=listener)
    assert any("'film' is left out: plait has no encoder for video yet" in note for note in listener.notes)
    with pytest.raises(InputError, match="no encoder for that kind"):
        plait.fit(columns, "label", inputs=["film"], out=tmp_path / "run2", trials=1)


def test_threads_and_random_state_are_as_before(vector_table: Path, tmp_path: Path) -> None:
    import torch

    torch.set_num_threads(2)
    state = torch.get_rng_state()
    predictor = plait.fit(vector_table, "label", out=tmp_path / "run", trials=1)
    predictor.predict(vector_table)
    assert torch.get_num_threads() == 2
    assert torch.equal(state, torch.get_rng_state())
    torch.set_num_threads(1)


def test_no_clock_decides_anything_in_a_fit_by_counts(
    vector_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = plait.fit(vector_table, "label", out=tmp_path / "calm", trials=1)
    ticks = iter(range(0, 10**9, 10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    frantic = plait.fit(vector_table, "label", out=tmp_path / "frantic", trials=1)
    assert without_seconds(calm) == without_seconds(frantic)


def test_the_run_holds_no_pickle(made_run: Path) -> None:
    files = [path for path in made_run.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".sqlite", ".parquet", ".html", ".jsonl", ""}
    names = {path.name for path in made_run.iterdir()}
    expected = {"plait.json", "weights.safetensors", "trials.sqlite", "splits.parquet", "report.html", "log.jsonl"}
    assert expected <= names
    json.loads((made_run / "plait.json").read_text())


def test_pandas_and_csv_give_the_same_run(vector_table: Path, tmp_path: Path) -> None:
    frame = parquet.read_table(vector_table).drop_columns(["view"]).to_pandas()
    frame["other"] = np.arange(120) % 7
    frame.to_csv(tmp_path / "table.csv", index=False)
    one = plait.fit(pd.DataFrame(frame), "label", out=tmp_path / "a", trials=1)
    two = plait.fit(tmp_path / "table.csv", "label", out=tmp_path / "b", trials=1)
    assert without_seconds(one) == without_seconds(two)


def test_no_label_in_test_or_validation_rows(tmp_path: Path) -> None:
    columns = {name: made_rows(90)[name] for name in ("view", "size", "label")}
    columns["label"] = columns["label"][:60] + [None] * 30
    columns["part"] = ["train"] * 60 + ["validation"] * 15 + ["test"] * 15
    predictor = plait.fit(columns, "label", split_column="part", out=tmp_path / "run", trials=1)
    assert all(row["test"] is None and row["validation"] is None for row in predictor.leaderboard_rows())
    assert "nothing could be compared" in predictor.manifest["choice"]["sentence"]
    assert predictor.manifest["metrics"]["test"]["label"]["n"] == 0


def test_a_checkpoint_of_another_table_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {name: made_rows()[name] for name in ("view", "label")}
    other = {**columns, "view": [cell and cell[::-1] for cell in columns["view"]]}
    whole = plait.fit(other, "label", out=tmp_path / "whole", trials=1)
    original, epochs = RunFolder.log, []

    def log(self: RunFolder, event: str, **facts: Any) -> None:
        original(self, event, **facts)
        epochs.extend([event] if event == "epoch" else [])
        if len(epochs) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "log", log)
    with pytest.raises(KeyboardInterrupt):
        plait.fit(columns, "label", out=tmp_path / "run", trials=1)
    monkeypatch.setattr(RunFolder, "log", original)
    assert list((tmp_path / "run" / "stages").glob("*.checkpoint"))
    resumed = plait.fit(other, "label", out=tmp_path / "run", trials=1, resume=True)
    assert without_seconds(resumed) == without_seconds(whole)
    assert not list((tmp_path / "run" / "stages").glob("*.checkpoint"))
