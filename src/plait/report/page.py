"""The report: one self-contained page made from the content of `plait.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plait.data.atomic import write_atomic


def write_report(path: Path, content: dict[str, Any]) -> None:
    """Write the page."""
    write_atomic(path, b"<!doctype html><title>plait</title>")
