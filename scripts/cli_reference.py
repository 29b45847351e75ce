"""Write docs/cli.md from the `--help` of every command; `--check` only says whether it is up to date."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
COMMANDS = (
    "fit", "predict", "evaluate", "leaderboard", "show", "trials", "schema", "report", "demo", "data build",
    "recipe list", "recipe run",
)  # fmt: skip


def help_of(*words: str) -> str:
    """The help text of a command, 100 columns wide, without colours."""
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "plait", *words, "--help"]
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("python -m plait", "plait")
    return "\n".join(line.rstrip() for line in plain.strip().splitlines())


def page() -> str:
    """The whole page."""
    parts = ["# The command line\n\nWritten by `make docs` from `--help`.\n", f"```text\n{help_of()}\n```\n"]
    parts += [f"## plait {command}\n\n```text\n{help_of(*command.split())}\n```\n" for command in COMMANDS]
    return "\n".join(parts)


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/cli.md is out of date: run `make docs`")


if __name__ == "__main__":
    main()
