"""Every bad input: one message (what was given, what was expected, how to mend), exit code 2, no traceback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from made import made_rows, png, wav, write_table
from plait.cli.main import main


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of a call."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a call that must be refused, on one line."""
    code, out, err = run(arguments, capsys)
    assert code == 2, (out, err)
    assert out == ""
    assert "Traceback" not in err
    assert err.count("Error: ") == 1
    return " ".join(err[err.index("Error: ") :].split())


@pytest.fixture
def simple(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small table with changed columns."""

    def make(name: str = "table.parquet", rows: int = 40, **changes: object) -> Path:
        columns = {key: made_rows(rows)[key] for key in ("view", "size", "ward", "label", "patient")}
        for key, value in changes.items():
            if value is None:
                columns.pop(key)
            else:
                columns[key] = value  # type: ignore[assignment]
        return write_table(tmp_path, columns, name)

    return make


def fit(table: object, out: Path, *more: str) -> list[str]:
    """The words of a fit."""
    return ["fit", str(table), "--out", str(out), "--trials", "1", *more]


FILES: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "empty file": ("t.csv", b"", ("is empty (0 bytes)",)),
    "header only": ("t.csv", b"a,label\n", ("has no rows",)),
    "truncated csv": ("t.csv", b"a,label\n1,x\n2,y\n3", ("not readable as CSV", "Every row needs 2 values")),
    "binary as csv": ("t.csv", b"a,b\n\x00\x01\x02\x00", ("is binary", "UTF-8")),
    "parquet as csv": ("t.csv", b"PAR1....PAR1", ("is a Parquet file", "rename")),
    "utf-16": ("t.csv", "a,label\n1,x\n".encode("utf-16"), ("UTF-16", "save it again as UTF-8")),
    "latin-1": ("t.csv", "a,label\n1,h\xe9\n2,y\n".encode("latin-1"), ("UTF",)),
    "semicolons": ("t.csv", b"a;label\n1;x\n2;y\n", ("separated by semicolons", "commas")),
    "twice the same column": ("t.csv", b"a,a,label\n1,2,x\n", ("more than one column called 'a'", "rename")),
    "truncated parquet": ("t.parquet", b"PAR1\x15\x04\x15", ("not readable as Parquet", "cut off")),
    "truncated jsonl": ("t.jsonl", b'{"a": 1, "label": "x"}\n{"a": 2, "lab', ("line 2 is not JSON", "cut off")),
    "mixed types": ("t.jsonl", b'{"a": 1}\n{"a": "x"}\n', ("'a'", "mixes types")),
    "unknown suffix": ("t.xlsx", b"PK", (".xlsx", ".csv", ".parquet")),
}


@pytest.mark.parametrize("case", FILES)
def test_tables_that_cannot_be_read(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, data, expected = FILES[case]
    path = tmp_path / name
    path.write_bytes(data)
    message = refused(fit(path, tmp_path / "run", "--target", "label"), capsys)
    for words in (*expected, str(path)):
        assert words in message
    assert not (tmp_path / "run").exists()


def test_missing_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(fit(tmp_path / "nowhere.csv", tmp_path / "run", "--target", "label"), capsys)
    assert "There is no table" in message
    assert "nowhere.csv" in message


OPTIONS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "unknown target": (["--target", "labl"], ("no column 'labl'", "did you mean label?")),
    "target twice": (["--target", "label", "--target", "label"], ("'label'", "twice as target")),
    "target is group": (["--target", "label", "--group", "label"], ("as target and as group", "one role")),
    "no target": ([], ("No target", "--target COLUMN", "ward")),
    "unknown kind": (["--target", "label", "--kind", "size=numbr"], ("no kind 'numbr'", "did you mean numeric?")),
    "kind without =": (["--target", "label", "--kind", "size"], ("size", "kind")),
    "kind of nothing": (["--target", "label", "--kind", "sise=numeric"], ("no column 'sise'", "did you mean size?")),
    "target kind": (["--target", "label", "--kind", "label=numeric"], ("no kind 'numeric' of a target", "multiclass")),
    "unknown metric": (["--target", "label", "--metric", "r2"], ("--metric r2", "accuracy")),
    "bad rows word": (["--target", "label", "--bad-rows", "maybe"], ("'maybe'", "fail, skip")),
    "seed": (["--target", "label", "--seed", "-1"], ("--seed is -1", "whole number")),
    "workers": (["--target", "label", "--workers", "0"], ("--workers is 0", "1 or more")),
    "device": (["--target", "label", "--device", "tpu9"], ("'tpu9'", "cpu")),
    "split words": (["--target", "label", "--split-column", "ward"], ("'ward' (split)", "train")),
    "no schema": (["--schema", "nowhere.json"], ("nowhere.json cannot be read", "plait schema")),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str, simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, expected = OPTIONS[case]
    message = refused(fit(simple(), tmp_path / "run", *words), capsys)
    for part in expected:
        assert part in message
    assert not (tmp_path / "run").exists()


LIMITS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "negative time": (["--time-limit", "-5"], ("--time-limit is -5", "above 0")),
    "no time": (["--time-limit", "nan"], ("--time-limit is nan", "above 0")),
    "no trials": (["--trials", "0"], ("--trials is 0", "1 or more")),
    "both": (["--trials", "3", "--time-limit", "9"], ("Both --time-limit and --trials", "give one")),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits(case: str, simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, expected = LIMITS[case]
    message = refused(["fit", str(simple()), "--out", str(tmp_path / "run"), "--target", "label", *words], capsys)
    for part in expected:
        assert part in message


def test_all_mistakes_are_told_together(
    simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--target", "labl", "--group", "patent", "--kind", "size=numbr", "--bad-rows", "maybe", "--seed", "-2"]
    message = refused(["fit", str(simple()), "--out", str(simple("t2.parquet")), "--time-limit", "-5", *words], capsys)
    for part in ("labl", "patent", "numbr", "maybe", "--seed is -2", "--time-limit is -5", "is a file"):
        assert part in message
    assert "7 things to mend" in message


TABLES: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "one class": ({"label": ["x"] * 40}, ("one class only, 'x'", "nothing to tell apart")),
    "no label": ({"label": pa.nulls(40, pa.string())}, ("no value in any row",)),
    "class of one": ({"label": ["x"] * 20 + ["y"] * 19 + ["z"]}, ("class 'z' has one row only", "Add rows")),
    "only the target": (dict.fromkeys(("view", "size", "ward", "patient")), ("no input column",)),
    "constant number": ({"label": [1.5] * 40}, ("one class only, 1.5",)),
    "infinite target": ({"label": [float(i) / 7 for i in range(39)] + [float("inf")]}, ("infinite",)),
    "list as target": ({"label": [[1.0, 2.0]] * 40}, ("'label'", "classes")),
}


@pytest.mark.parametrize("case", TABLES)
def test_targets_that_cannot_be_learned(
    case: str, simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, expected = TABLES[case]
    message = refused(fit(simple(**changes), tmp_path / "run", "--target", "label"), capsys)
    for part in expected:
        assert part in message
    assert not (tmp_path / "run").exists()


def test_one_row(simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(fit(simple(rows=1), tmp_path / "run", "--target", "label"), capsys)
    assert "has one row" in message


def test_group_of_one_value(simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(
        fit(simple(patient=[7] * 40), tmp_path / "run", "--target", "label", "--group", "patient"), capsys
    )
    assert "'patient' has one value" in message


def test_validation_lacks_an_input(
    simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = simple("other.parquet", view=None, label=None)
    message = refused(fit(simple(), tmp_path / "run", "--target", "label", "--validation", str(other)), capsys)
    assert "no column 'view' (input)" in message
    assert "no column 'label' (target)" in message


def truncated(data: bytes) -> bytes:
    """The first two thirds of a file."""
    return data[: len(data) * 2 // 3]


def bomb() -> bytes:
    """A PNG whose header promises 100,000 x 100,000 pixels."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


GOOD_IMAGE = png(np.random.default_rng(0).integers(0, 255, (12, 12)))
GOOD_SOUND = wav(np.random.default_rng(0).normal(0, 0.1, 1200))

CELLS: dict[str, tuple[str, object, tuple[str, ...]]] = {
    "truncated image": ("image", truncated(GOOD_IMAGE), ("row 6: image", "not a readable image")),
    "no image": ("image", b"hello, I am no image", ("row 6: image", "not an image of a known format", "PNG")),
    "bomb": ("image", bomb(), ("row 6: image", "absurdly large", "50,000,000")),
    "truncated sound": ("sound", truncated(GOOD_SOUND), ("row 6: sound", "truncated")),
    "no sound": ("sound", b"RIFFxxxxWAVEnothing", ("row 6: sound",)),
    "hour-long sound": ("sound", wav(np.zeros(100 * 3700), 100), ("row 6: sound", "3,700 s", "at most 600 s")),
    "vector with NaN": ("view", [0.0, float("nan"), 1.0], ("row 6: view", "NaN")),
    "vector with infinity": ("view", [0.0, float("inf"), 1.0], ("row 6: view", "infinite")),
    "infinite number": ("size", float("inf"), ("row 6: tabular", "'size'", "finite")),
}


@pytest.mark.parametrize("case", CELLS)
def test_bad_cells(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    column, cell, expected = CELLS[case]
    columns = made_rows(40)
    columns[column][5] = cell
    table = write_table(tmp_path, {name: columns[name] for name in {"view", "label", column}})
    message = refused(fit(table, tmp_path / "run", "--target", "label"), capsys)
    for part in (*expected, "1 row cannot be read", "--bad-rows skip"):
        assert part in message
    assert not (tmp_path / "run").exists()


PATHS: dict[str, tuple[str, tuple[str, ...]]] = {
    "leaves the folder": ("../secret.png", ("row 6: image", "leaves the table's folder", "--allow-outside")),
    "absolute": ("/etc/passwd.png", ("row 6: image", "leaves the table's folder")),
    "address": ("https://example.org/a.png", ("row 6: image", "is an address", "download")),
    "missing": ("missing.png", ("row 6: image", "there is no file")),
}


@pytest.mark.parametrize("case", PATHS)
def test_paths(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, expected = PATHS[case]
    (tmp_path / "secret.png").write_bytes(GOOD_IMAGE)
    folder = tmp_path / "inner"
    folder.mkdir()
    columns = made_rows(40)
    for row, image in enumerate(columns["image"]):
        (folder / f"{row}.png").write_bytes(image or GOOD_IMAGE)
    names = [f"{row}.png" for row in range(40)]
    names[5] = path
    table = write_table(folder, {"image": names, "label": columns["label"]})
    message = refused(fit(table, tmp_path / "run", "--target", "label"), capsys)
    for part in expected:
        assert part in message


def test_skipping_bad_rows_lists_them_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = made_rows(60)
    columns["view"][5] = [float("nan"), 0.0, 0.0]
    table = write_table(tmp_path, {name: columns[name] for name in ("view", "size", "label")})
    out = tmp_path / "run"
    code, text, err = run(fit(table, out, "--target", "label", "--bad-rows", "skip", "--json"), capsys)
    assert code == 0, err
    assert "row 6: view: the vector holds NaN" in err
    assert json.loads(text)["leaderboard"]
    code, text, err = run(["predict", str(out), str(table), "--bad-rows", "skip"], capsys)
    lines = text.splitlines()
    assert code == 0
    assert len(lines) == 61
    assert lines[6] in ("", '""')
    assert "row 6 skipped: view" in err
    message = refused(["evaluate", str(out), str(table)], capsys)
    assert "1 row of" in message
    assert "--bad-rows skip" in message


def test_a_refused_fit_leaves_an_existing_folder_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = made_rows(40)
    columns["view"][5] = [float("nan"), 0.0, 0.0]
    table = write_table(tmp_path, {name: columns[name] for name in ("view", "label")})
    out = tmp_path / "mine"
    out.mkdir()
    (out / "keep.txt").write_text("mine")
    assert "1 row cannot be read" in refused(fit(table, out, "--target", "label"), capsys)
    assert [path.name for path in out.iterdir()] == ["keep.txt"]


def test_out_is_a_file(simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").write_text("mine")
    message = refused(fit(simple(), tmp_path / "run", "--target", "label"), capsys)
    assert "is a file" in message
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_out_is_not_writable(simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    assert "not a writable folder" in refused(fit(simple(), folder / "run", "--target", "label"), capsys)


def test_out_below_a_file(simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    assert "cannot be written" in refused(fit(simple(), tmp_path / "file" / "run", "--target", "label"), capsys)


def test_out_holds_a_run(made_table: Path, made_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(fit(made_table, made_run, "--target", "label"), capsys)
    assert "holds a run" in message
    assert "--resume" in message
    assert "another folder" in message


@pytest.fixture
def copied_run(made_run: Path, tmp_path: Path) -> Path:
    """A run that may be spoiled."""
    return Path(shutil.copytree(made_run, tmp_path / "copy"))


def test_run_of_a_newer_version(copied_run: Path, made_table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((copied_run / "plait.json").read_text())
    (copied_run / "plait.json").write_text(json.dumps({**manifest, "format": 99}))
    for command in (["predict", str(copied_run), str(made_table)], ["show", str(copied_run)]):
        message = refused(command, capsys)
        assert "format 99" in message
        assert "update plait" in message


def test_run_whose_weights_were_altered(copied_run: Path, made_table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = copied_run / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    message = refused(["predict", str(copied_run), str(made_table)], capsys)
    assert "were altered" in message
    assert "fit again" in message


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda run: (run / "plait.json").write_text("{"), "is damaged"),
        (lambda run: (run / "plait.json").write_text("[]"), "is damaged"),
        (lambda run: (run / "plait.json").write_text('{"format": 1}'), "is damaged"),
        (lambda run: (run / "plait.json").unlink(), "is not finished"),
        (lambda run: (run / "weights.safetensors").unlink(), "are missing"),
        (lambda run: shutil.rmtree(run), "There is no run folder"),
    ],
)
def test_spoiled_runs(
    spoil: Callable[[Path], object],
    expected: str,
    copied_run: Path,
    made_table: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(copied_run)
    assert expected in refused(["predict", str(copied_run), str(made_table)], capsys)


def test_predicting_a_table_that_lacks_an_input(
    made_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = made_rows(10)
    table = write_table(tmp_path, {name: columns[name] for name in ("image", "view", "size")})
    message = refused(["predict", str(made_run), str(table)], capsys)
    assert "no column 'sound' (input)" in message
    assert "no column 'ward' (input)" in message


def test_evaluating_without_the_target(made_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = made_rows(10)
    columns.pop("label")
    message = refused(["evaluate", str(made_run), str(write_table(tmp_path, columns))], capsys)
    assert "no column 'label' (target" in message


def test_predict_out(made_run: Path, made_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ".csv, .jsonl, .parquet" in refused(["predict", str(made_run), str(made_table), "--out", "x.xls"], capsys)
    nowhere = str(tmp_path / "nowhere" / "x.csv")
    assert "there is no folder" in refused(["predict", str(made_run), str(made_table), "--out", nowhere], capsys)


ENCODERS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "no form": (["view"], ("--encoder view: give MODALITY=run:FOLDER", "MODALITY=run:FOLDER#NAME")),
    "no source": (["view=RUN"], ("--encoder view=", "give MODALITY=run:FOLDER")),
    "no folder": (["view=run:"], ("--encoder view=run:: give MODALITY=run:FOLDER",)),
    "unknown source": (["view=rum:RUN"], ("no source 'rum' of encoders", "did you mean run?", "run:FOLDER#NAME")),
    "nowhere": (["view=run:nowhere"], ("--encoder view=run:nowhere: There is no run folder nowhere",)),
    "nowhere, by name": (["view=run:nowhere#sight"], ("There is no run folder nowhere;",)),
    "no run": (["view=run:EMPTY"], ("holds no run", "plait.json")),
    "unfinished": (["view=run:BEGUN"], ("is not finished", "--resume")),
    "damaged": (["view=run:DAMAGED"], ("plait.json is damaged", "restore it, or fit again")),
    "not here": (["vew=run:RUN"], ("the table has no modality 'vew'; did you mean view?",)),
    "not there": (["view=run:RUN#vew"], ("has no modality 'vew'; did you mean view?", "MODALITY=run:FOLDER#NAME")),
    "another kind": (["view=run:RUN#image"], ("'view' is vector here, and the encoder of 'image' in", "reads image")),
    "another length": (["long=run:RUN#view"], ("the vectors here have 5 numbers, and it reads 3",)),
    "other columns": (
        ["tabular=run:RUN"],
        ("it reads 'ward', which is no input here", "it does not read 'age', which --ignore leaves out"),
    ),
    "column of another kind": (["tabular=run:RUN"], ("'size' is categorical here and was numeric there", "--kind")),
    "twice": (["view=run:RUN", "view=run:nowhere"], ("--encoder names 'view' more than once",)),
    "all together": (
        ["view=run:nowhere", "vew=run:RUN#image", "tabular=hub:x"],
        ("There is no run folder nowhere", "no modality 'vew'", "no source 'hub'", "3 things to mend"),
    ),
}


@pytest.mark.parametrize("case", ENCODERS)
def test_encoders_of_another_run(
    case: str, made_run: Path, tmp_path: Path, simple: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, expected = ENCODERS[case]
    folders = {"RUN": made_run, "EMPTY": tmp_path / "empty", "BEGUN": tmp_path / "begun", "DAMAGED": tmp_path / "bad"}
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun" / "stages").mkdir(parents=True)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "plait.json").write_text('{"format": 1, "modalities": [{"name": "view"}]}')
    for key, folder in folders.items():
        words = [word.replace(key, str(folder)) for word in words]
    table = simple(
        ward=None,
        age=list(range(40, 80)),
        size=[str(row % 3) for row in range(40)],
        long=[[1.0] * 5] * 40,
        patient=None,
    )
    options = [part for word in words for part in ("--encoder", word)]
    message = refused(fit(table, tmp_path / "out", "--target", "label", "--kind", "size=categorical", *options), capsys)
    for part in expected:
        assert part in message
    assert not (tmp_path / "out").exists()


def test_encoders_without_their_weights(
    copied_run: Path, tmp_path: Path, simple: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((copied_run / "plait.json").read_text())
    manifest["decision"] = {"name": "image", "kind": "unimodal", "modality": "image"}
    (copied_run / "plait.json").write_text(json.dumps(manifest))
    (copied_run / "stages" / "encode-2.safetensors").unlink()
    words = ["--target", "label", "--encoder", f"view=run:{copied_run}"]
    message = refused(fit(simple(), tmp_path / "out", *words), capsys)
    for part in ("does not use 'view' but 'image'", "encode-2.safetensors is not there", "restore it, or fit"):
        assert part in message
    (copied_run / "weights.safetensors").write_bytes(b"")
    words = ["--target", "label", "--encoder", f"view=run:{copied_run}#image"]
    assert "were altered since the fit" in refused(fit(simple(), tmp_path / "out", *words), capsys)


def test_the_helper_notices_a_call_that_is_not_refused(made_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):
        refused(["show", str(made_run)], capsys)


def test_a_report_into_a_folder(made_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(["report", str(made_run), "--out", str(tmp_path)], capsys)
    assert f"--out {tmp_path} is a folder; give the path of a file" in message


def test_out_with_files_that_a_fit_would_write(
    simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    (own / "log.jsonl").write_text("my own")
    message = refused(fit(simple(), own), capsys)
    assert "is no run, but holds log.jsonl, which a fit would write over" in message
    assert [path.name for path in own.iterdir()] == ["log.jsonl"]
    assert (own / "log.jsonl").read_text() == "my own"


def test_a_target_is_no_input(simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(fit(simple(), tmp_path / "run", "--target", "label", "--input", "label"), capsys)
    assert "'label' is given as target and as input: a column has one role, give it once" in message


def test_thousands_in_a_target_of_numbers(
    simple: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = simple(price=[f"{1000 + row:,}" for row in range(40)])
    message = refused(fit(table, tmp_path / "run", "--target", "price", "--kind", "price=regression"), capsys)
    assert "'price' is to be a number, but" in message
    assert "Write numbers with digits and a point alone." in message
    message = refused(fit(table, tmp_path / "run", "--target", "label", "--kind", "price=numeric"), capsys)
    assert "column 'price': '1,000' is not a number" in message
