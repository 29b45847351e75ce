"""`plait evaluate`: metrics on a table with targets."""

from __future__ import annotations

import typer

from plait.cli._options import AllowOutside, AsJson, BadRows, Run, TableFile, bad_rows_word, figure, print_json


def evaluate(
    run: Run, table: TableFile, bad_rows: BadRows = "fail", allow_outside: AllowOutside = False, as_json: AsJson = False
) -> None:
    """Measure a run on a table that has the targets.

    [bold]Examples[/]

      plait evaluate run test.parquet

      plait evaluate run test.parquet --json
    """
    from plait import load

    told = load(run).evaluate(table, bad_rows=bad_rows_word(bad_rows), allow_outside=allow_outside)
    if as_json:
        print_json(told)
        return
    for name, task in told["tasks"].items():
        typer.echo(f"{name} ({task['n']:,} of {told['rows']:,} rows have a label)")
        for metric, value in task["metrics"].items():
            typer.echo(f"  {metric:<18} {figure(value)}")
