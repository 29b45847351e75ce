"""`plait predict`: answers for new rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plait.cli._options import AllowOutside, AsJson, BadRows, Run, TableFile, bad_rows_word

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".jsonl", ".parquet")

SHOWN = 20
"""Skipped rows that are listed."""


def predict(
    run: Run,
    table: TableFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write .csv, .jsonl or .parquet instead of printing CSV."),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Add a column TARGET__CLASS with the probability of each class.")
    ] = False,
    bad_rows: BadRows = "fail",
    allow_outside: AllowOutside = False,
    as_json: AsJson = False,
) -> None:
    """Predict the targets of new rows: one row per row of TABLE, in order.

    [bold]Examples[/]

      plait predict run new.parquet

      plait predict run new.csv --proba --out answers.csv
    """
    from plait import load
    from plait.exceptions import InputError

    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: the suffix must be one of {', '.join(SUFFIXES)}.")
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.absolute().parent}; make it, or give another file.")
    answers, chances, bad = load(run).predict_both(table, bad_rows=bad_rows_word(bad_rows), allow_outside=allow_outside)
    frame = answers.join(chances) if proba else answers
    for row, reason in sorted(bad.items())[:SHOWN]:
        typer.echo(f"row {row + 1} skipped: {reason}", err=True)
    if len(bad) > SHOWN:
        typer.echo(f"... and {len(bad) - SHOWN:,} more rows skipped", err=True)
    if out is not None:
        _write(frame, out)
    if as_json:
        typer.echo(frame.to_json(orient="records", force_ascii=False, double_precision=15))
    elif out is None:
        typer.echo(frame.map(_joined).to_csv(index=False), nl=False)


def _joined(cell: Any) -> Any:
    """A list of labels as CSV holds it: between semicolons, and a semicolon alone where there is none."""
    return (";".join(map(str, cell)) or ";") if isinstance(cell, list) else cell


def _write(frame: pd.DataFrame, out: Path) -> None:
    from plait.data.atomic import write_atomic

    suffix = out.suffix.lower()
    if suffix == ".parquet":
        data = frame.to_parquet(None, index=False)
    elif suffix == ".jsonl":
        data = frame.to_json(orient="records", lines=True, force_ascii=False, double_precision=15).encode()
    else:
        data = frame.map(_joined).to_csv(index=False).encode()
    write_atomic(out, data)
    typer.echo(f"{len(frame):,} rows written to {out}", err=True)
