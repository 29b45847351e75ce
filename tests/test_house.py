"""The house rules that a machine can hold: import order, first sentences, sizes, names, no pickle, no side effects."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "plait").rglob("*.py"))
LONGEST_FILE = 420
LONGEST_BODY = 60


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Names and body lengths of all functions of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1


def test_there_are_sources() -> None:
    assert len(SOURCES) > 60


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is_for_and_is_no_longer_than_a_room_should_be(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
    assert first.endswith((".", ":")), "the first line is one sentence: what this room is for"
    assert text.count("\n") <= LONGEST_FILE
    assert path.name not in {"utils.py", "helpers.py", "common.py", "misc.py"}
    long = [(name, size) for name, size in functions(path) if size > LONGEST_BODY]
    assert not long


def test_no_pickle_anywhere() -> None:
    for path in SOURCES:
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not names & {"pickle", "dill", "cloudpickle", "shelve", "marshal"}, path
        assert "torch.load" not in path.read_text(encoding="utf-8"), path
        assert "allow_pickle=True" not in path.read_text(encoding="utf-8"), path


def test_the_import_order_holds() -> None:
    result = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert "1 kept, 0 broken" in result.stdout


def test_every_room_has_a_test_folder() -> None:
    rooms = {
        path.name for path in (ROOT / "src" / "plait").iterdir() if path.is_dir() and (path / "__init__.py").exists()
    }
    tests = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert len(rooms) > 8
    assert rooms <= tests
