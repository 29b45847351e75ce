"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from plait.data.atomic import write_atomic, write_json
from plait.exceptions import InputError


def test_written_whole_into_folders_that_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    write_atomic(path, b"first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert [found.name for found in path.parent.iterdir()] == ["b.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(InputError) as told:
        write_atomic(path, b"new")
    assert str(told.value) == (
        f"{path} cannot be written (No space left on device); is the disk full, or the folder read-only?"
    )
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.bin"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.bin", b"new")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "x", tmp_path / "folder"):
        with pytest.raises(InputError, match="cannot be written"):
            write_atomic(path, b"x")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder"]


def test_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"é": [1.5, None]}
    assert "é" in text
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"é": [1.5, None]}
