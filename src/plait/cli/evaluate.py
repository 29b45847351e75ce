"""`plait evaluate`: metrics on a table with targets."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from plait.cli._options import AllowOutside, AsJson, BadRows, Run, TableFile, bad_rows_word, figure, print_json
from plait.exceptions import InputError


def evaluate(
    run: Run,
    table: TableFile,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY", help="Go without this modality, as if no row had it; may be repeated."),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Measure with every set of the modalities used (of more than four: all, all but one, each alone).",
        ),
    ] = False,
    bad_rows: BadRows = "fail",
    allow_outside: AllowOutside = False,
    as_json: AsJson = False,
) -> None:
    """Measure a run on a table that has the targets.

    Beside every figure stands its 95 % interval (with --robustness in --json alone): a bootstrap over the rows, or over
    the group column if there is one.

    [bold]Examples[/]

      plait evaluate run test.parquet

      plait evaluate run test.parquet --json

      plait evaluate run test.parquet --drop image        # how well does it do without?

      plait evaluate run test.parquet --robustness        # with every set of modalities
    """
    if robustness and drop:
        raise InputError("--robustness measures with every set of modalities, --drop without some: give one of both.")
    from plait import load

    predictor, skipped = load(run), bad_rows_word(bad_rows)
    if robustness:
        told = predictor.robustness(table, bad_rows=skipped, allow_outside=allow_outside)
        print_json(told) if as_json else _print_sets(told)
        return
    told = predictor.evaluate(table, bad_rows=skipped, allow_outside=allow_outside, drop=drop or ())
    if as_json:
        print_json(told)
        return
    for name, task in told["tasks"].items():
        typer.echo(f"{name} ({task['n']:,} of {told['rows']:,} rows have a label)")
        for metric, value in task["metrics"].items():
            ends = task["intervals"][metric]
            words = f"   95 % interval {figure(ends[0])} to {figure(ends[1])}" if ends else ""
            typer.echo(f"  {metric:<18} {figure(value):>8}{words}")
        _print_labels(task.get("labels", {}))


def _print_labels(labels: dict[str, dict[str, Any]]) -> None:
    """A row per label of a column of lists, a column per metric."""
    if not labels:
        return
    wide = max(map(len, labels))
    typer.echo(f"  {'label':<{wide}} " + " ".join(f"{metric:>18}" for metric in next(iter(labels.values()))))
    for label, metrics in labels.items():
        typer.echo(f"  {label:<{wide}} " + " ".join(f"{figure(value):>18}" for value in metrics.values()))


def _print_sets(told: dict[str, Any]) -> None:
    """One table per task: a row per set of modalities, a column per metric."""
    wide = max(len(" + ".join(one["present"])) for one in told["sets"])
    for name, task in told["sets"][0]["tasks"].items():
        typer.echo(f"{name} ({task['n']:,} of {told['rows']:,} rows have a label)")
        typer.echo(f"  {'only':<{wide}} " + " ".join(f"{metric:>18}" for metric in task["metrics"]))
        for one in told["sets"]:
            values = " ".join(f"{figure(value):>18}" for value in one["tasks"][name]["metrics"].values())
            typer.echo(f"  {' + '.join(one['present']):<{wide}} {values}")
