"""Runs a benchmark script the way a user does, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

Script = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    """Runs a script with `--json` and gives its figures; asserts that nothing else stood on stdout."""
    folder = tmp_path_factory.mktemp("benchmark")
    environment = os.environ | {
        "PLAIT_CACHE": str(folder / "cache"), "PLAIT_DATA": str(folder / "no data"), "OMP_NUM_THREADS": "1"
    }  # fmt: skip

    def run(name: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS / name), *arguments, "--json"],
            capture_output=True, text=True, cwd=folder, env=environment, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 1, done.stdout
        figures: dict[str, Any] = json.loads(lines[0])
        assert {"cpu", "cores", "threads", "torch"} <= figures["machine"].keys()
        assert figures["machine"]["threads"] == 1
        return figures

    return run
