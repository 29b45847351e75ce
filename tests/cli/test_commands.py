"""The commands: JSON shapes to the letter, help, exit codes, light start-up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import plait
from plait.cli._options import figure
from plait.cli.fit import parse_encoders, parse_kinds
from plait.cli.main import app, main
from plait.exceptions import InputError

COMMANDS = ("fit", "predict", "evaluate", "leaderboard", "show", "trials", "schema", "report", "demo")


def output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Stdout of a call that must go well."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    assert ended.value.code in (0, None), captured.err
    return captured.out


def test_leaderboard_json(made_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(output(["leaderboard", str(made_run), "--json"], capsys))
    assert all(list(row) == ["name", "kind", "validation", "test", "seconds", "chosen"] for row in rows)
    assert sum(row["chosen"] for row in rows) == 1
    assert [row["validation"] for row in rows] == sorted((row["validation"] for row in rows), reverse=True)
    kinds = {"unimodal", "early", "late", "architecture", "classical", "ensemble"}
    assert {row["kind"] for row in rows} <= kinds


def test_evaluate_json(made_run: Path, made_table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(output(["evaluate", str(made_run), str(made_table), "--json"], capsys))
    assert list(told) == ["rows", "tasks"]
    assert told["rows"] == 120
    assert list(told["tasks"]) == ["label"]
    assert told["tasks"]["label"]["n"] == 120
    metrics = ["accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "log_loss"]
    assert list(told["tasks"]["label"]["metrics"]) == metrics


def test_show_json(made_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(output(["show", str(made_run), "--json"], capsys))
    assert list(told) == ["architectures", "modalities"]
    assert set(told["modalities"]) == {"used", "discarded"}
    everything = set(told["modalities"]["used"]) | set(told["modalities"]["discarded"])
    assert everything == {"image", "sound", "view", "tabular"}
    for architecture in told["architectures"]:
        assert set(architecture) == {"text", "cells"}


def test_predict_writes_every_format(
    made_run: Path, made_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda path: pd.read_json(path, lines=True)}
    frames = []
    for suffix, read in readers.items():
        out = tmp_path / f"answers{suffix}"
        output(["predict", str(made_run), str(made_table), "--proba", "--out", str(out)], capsys)
        frames.append(read(out))
    for frame in frames:
        assert list(frame.columns) == ["label", "label__down", "label__up"]
        assert len(frame) == 120
    pd.testing.assert_frame_equal(frames[0], frames[2], check_dtype=False)
    rows = json.loads(output(["predict", str(made_run), str(made_table), "--json"], capsys))
    assert [row["label"] for row in rows] == frames[0]["label"].tolist()


def test_human_output(made_run: Path, made_table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "accuracy" in output(["evaluate", str(made_run), str(made_table)], capsys)
    board = output(["leaderboard", str(made_run)], capsys)
    assert "late product" in board
    assert ">" in board
    assert "used" in output(["show", str(made_run)], capsys)
    assert "report.html" in output(["report", str(made_run)], capsys)


def test_schema_round_trip(made_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(output(["schema", str(made_table), "--target", "label", "--json"], capsys))
    kinds = {column["name"]: (column["role"], column["kind"]) for column in told["columns"]}
    assert kinds["image"] == ("input", "image")
    assert kinds["sound"] == ("input", "audio")
    assert kinds["view"] == ("input", "vector")
    assert kinds["size"] == ("input", "numeric")
    assert kinds["ward"] == ("input", "categorical")
    assert kinds["label"] == ("target", "binary")
    path = tmp_path / "schema.json"
    output(["schema", str(made_table), "--target", "label", "--out", str(path)], capsys)
    told["columns"] = [{**c, "role": "ignored"} if c["name"] in ("image", "sound") else c for c in told["columns"]]
    path.write_text(json.dumps(told))
    words = ["fit", str(made_table), "--schema", str(path), "--out", str(tmp_path / "run"), "--trials", "1", "--json"]
    fitted = json.loads(output(words, capsys))
    assert {"run", "chosen", "sentence", "leaderboard", "metrics", "stages", "shares", "seconds"} == set(fitted)
    assert {row["name"] for row in fitted["leaderboard"] if row["kind"] == "unimodal"} == {"view", "tabular"}


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    registered = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert registered == set(COMMANDS)
    for command in COMMANDS:
        assert f"plait {command}" in output([command, "--help"], capsys)


def test_the_cli_reference_is_up_to_date() -> None:
    script = Path(__file__).parents[2] / "scripts" / "cli_reference.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)


@pytest.mark.parametrize(
    "code",
    ["import plait", "import plait.cli.main", "import sys; sys.argv = ['plait', '--help']; import plait.cli.main"],
)
def test_starting_loads_nothing_heavy(code: str) -> None:
    heavy = ("torch", "pandas", "sklearn", "numpy", "pyarrow", "tokenizers")
    check = f"; import sys; print([m for m in {heavy} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code + check], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize("words", [["leaderboard"], ["show"]])
def test_reading_a_run_loads_no_torch(words: list[str], made_run: Path) -> None:
    code = (
        "import sys\nfrom plait.cli.main import main\n"
        f"try:\n    main({[*words, str(made_run)]!r})\nfinally:\n    print('torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip().endswith("False")


def test_interrupted_fit_says_how_to_go_on(made_table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        sys.executable,
        "-m",
        "plait",
        "fit",
        str(made_table),
        "--target",
        "label",
        "--out",
        str(out),
        "--trials",
        "1",
    ]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job would ignore it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (out / "stages" / "decode.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted; what is done is saved" in err
    assert f"plait fit {made_table} --target label --out {out} --trials 1 --resume" in err
    assert "Traceback" not in err


def test_module_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(["--version"], capsys).startswith("plait ")
    printed = subprocess.run([sys.executable, "-m", "plait", "--version"], check=True, capture_output=True, text=True)
    assert printed.stdout.startswith("plait ")


def test_show_names_the_rule_or_the_modality(
    made_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    manifest = json.loads((made_run / "plait.json").read_text())
    for row in manifest["leaderboard"]:
        row["chosen"] = row["name"] == "late mean"
    (run / "plait.json").write_text(json.dumps(manifest | {"architectures": []}))
    assert "late mean (a rule over the decisions of each modality)" in output(["show", str(run)], capsys)


def test_a_table_in_a_file_is_not_folded(made_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(["leaderboard", str(made_run)], capsys).splitlines()
    rows = json.loads(output(["leaderboard", str(made_run), "--json"], capsys))
    assert all(any(row["name"] in line and row["kind"] in line for line in lines) for row in rows)


def test_a_small_figure_keeps_its_digits() -> None:
    assert [figure(value) for value in (None, 0.0, 0.12345, 0.00001234, -12.5)] == [
        "-", "0.0000", "0.1235", "1.23e-05", "-12.5000",
    ]  # fmt: skip


def test_evaluate_without_a_modality(made_run: Path, made_table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["evaluate", str(made_run), str(made_table)]
    used = json.loads(output(["show", str(made_run), "--json"], capsys))["modalities"]["used"]
    less = json.loads(output([*asked, "--drop", used[0], "--json"], capsys))
    assert less["tasks"]["label"]["n"] == 120
    sets = json.loads(output([*asked, "--robustness", "--json"], capsys))["sets"]
    assert {"present": used, "tasks": json.loads(output([*asked, "--json"], capsys))["tasks"]} == sets[0]
    assert " + ".join(used) in output([*asked, "--robustness"], capsys)


def test_json_and_a_file_at_once(
    made_run: Path, made_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.csv"
    rows = json.loads(output(["predict", str(made_run), str(made_table), "--json", "--out", str(out)], capsys))
    assert [row["label"] for row in rows] == pd.read_csv(out)["label"].tolist()


def test_columns_that_the_fit_did_not_know_are_told_once(
    made_run: Path, made_table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor, table = plait.load(made_run), pd.read_parquet(made_table)
    predictor.predict(table)
    assert not caplog.messages
    for _ in range(2):
        predictor.predict(table.assign(one=1, two=2))
    assert caplog.messages == ["TABLE has columns that the fit did not know; they are not used: one, two."]


def test_labels_of_none_of_the_classes_are_told(
    made_run: Path, made_table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor, table = plait.load(made_run), pd.read_parquet(made_table)
    predictor.evaluate(table.assign(label=["up", *["other"] * 119]))
    assert not caplog.messages
    predictor.evaluate(table.assign(label="other"))
    assert caplog.messages == ["No label of 'label' in TABLE is of a class that training rows had."]


def test_what_is_dropped_need_not_be_readable(made_run: Path, made_table: Path) -> None:
    predictor, table = plait.load(made_run), pd.read_parquet(made_table)
    used = predictor.candidate.used
    assert "view" in used
    whole = predictor.evaluate(table, drop="view")
    assert predictor.evaluate(table.assign(view="no list"), drop=["view"]) == whole
    assert predictor.evaluate(table.assign(view="no list"), drop=used)["rows"] == 120
    with pytest.raises(InputError, match="view: "):
        predictor.evaluate(table.assign(view="no list"))


def test_more_skipped_rows_than_are_listed_are_counted(
    made_run: Path, made_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_parquet(made_table)
    table["view"] = [[1.0]] * 25 + list(table["view"][25:])
    table.to_parquet(tmp_path / "spoilt.parquet")
    with pytest.raises(SystemExit):
        main(["predict", str(made_run), str(tmp_path / "spoilt.parquet"), "--bad-rows", "skip"])
    told = capsys.readouterr().err
    assert told.count("skipped: ") == 20
    assert "... and 5 more rows skipped" in told


def test_an_option_that_says_two_things_of_one_column_is_refused() -> None:
    assert parse_kinds(["a=text", "a=text", "b", "c=d=text"]) == {"a": "text", "b": "", "c=d": "text"}
    for parse, words in ((parse_kinds, ["a=text", "a=numeric"]), (parse_encoders, ["a=run:x", "a=run:y"])):
        with pytest.raises(InputError, match="names 'a' more than once; give one value"):
            parse(words)
