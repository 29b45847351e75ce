"""Options that several commands share, and how their figures are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Run = Annotated[Path, typer.Argument(help="The run folder that `plait fit` wrote.", show_default=False)]
TableFile = Annotated[
    str,
    typer.Argument(
        metavar="TABLE", help="A table: .csv, .tsv, .jsonl (.ndjson) or .parquet (.pq).", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
BadRows = Annotated[
    str, typer.Option("--bad-rows", metavar="fail|skip", help="Refuse a table with unreadable rows, or skip them.")
]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Let paths of media lead out of their table's folder.")
]


WIDE = 500


def bad_rows_word(word: str) -> Any:
    """Check the value of --bad-rows."""
    from plait.exceptions import InputError, did_you_mean

    if word not in ("fail", "skip"):
        raise InputError(f"--bad-rows is {word!r}; {did_you_mean(word, ['fail', 'skip'])}.")
    return word


def print_json(content: Any) -> None:
    """Print JSON on stdout; NaN never occurs."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def figure(value: float | None) -> str:
    """A figure for a table: four decimals, three digits where that is too small, a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.3g}"


def print_leaderboard(rows: list[dict[str, Any]]) -> None:
    """Print the leaderboard as a table on stdout; the chosen row is marked."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("name", overflow="fold")
    table.add_column("kind")
    for name in ("validation", "test", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        scores = ["-" if row[part] is None else f"{row[part]:.4f}" for part in ("validation", "test")]
        cells = [row["name"], row["kind"], *scores, f"{row['seconds']:.1f}"]
        table.add_row(">" if row["chosen"] else "", *cells, style="bold" if row["chosen"] else "")
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width to keep to
        console.width = WIDE
    console.print(table)
    console.print("Seconds are those of combining alone; what every row shares, the networks, is not in them.")
