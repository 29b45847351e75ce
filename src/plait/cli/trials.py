"""`plait trials`: what the search tried, and its way into an Optuna storage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plait.cli._options import WIDE, AsJson, Run, figure, print_json

if TYPE_CHECKING:
    from plait.search.attempts import Attempt

BEST = 5
KEYS = ("name", "kind", "proposer", "rung", "passes", "seed", "score", "scores", "seconds")


def trials(
    run: Run,
    to_optuna: Annotated[
        str | None,
        typer.Option(
            "--to-optuna", metavar="URL", show_default=False,
            help="Write them into an Optuna storage, one study per proposer, as in sqlite:///trials.db.",
        ),
    ] = None,
    study_name: Annotated[
        str | None,
        typer.Option(
            "--study-name", metavar="NAME", show_default=False,
            help="With --to-optuna: what the studies' names begin with. Default: the run folder's name.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Print what the search tried: trials by proposer and passes, and the best. Also while a fit is running.

    --to-optuna writes every architecture as a trial: operations, activations and layers are its
    parameters, and those that halving ended are pruned. Look at them with optuna-dashboard.

    [bold]Examples[/]

      plait trials run

      plait trials run --to-optuna sqlite:///trials.db && optuna-dashboard sqlite:///trials.db
    """
    from plait.exceptions import InputError
    from plait.search.attempts import attempts
    from plait.search.ledger import Ledger

    if study_name is not None and to_optuna is None:
        raise InputError("--study-name names what --to-optuna writes; give both, or neither.")
    if not run.is_dir():
        raise InputError(f"There is no run folder {run}; `plait fit TABLE --target COLUMN --out {run}` makes one.")
    ledger = Ledger(run / "trials.sqlite")
    rows = ledger.look()
    if not rows:
        raise InputError(f"The run {run} has no trials: there are none in {ledger.path}.")
    found = attempts(rows)
    if to_optuna is not None:
        _export(run, ledger.path, found, to_optuna, study_name, as_json)
    if as_json:
        texts = {(one.proposer, one.candidate.name): one.architecture for one in found}
        print_json(
            [
                {**{key: row[key] for key in KEYS}, "architecture": texts[row["proposer"], row["name"]]}
                for row in rows
            ]
        )  # fmt: skip
    elif to_optuna is None:
        _print_counts(rows, found)
        _print_best(found)


def _export(
    run: Path, ledger: Path, found: Sequence[Attempt], url: str, study_name: str | None, quiet: bool
) -> None:  # fmt: skip
    """Write the trials into an Optuna storage and say so; on stderr, where stdout is for JSON."""
    from datetime import datetime

    from plait._version import __version__
    from plait.search.optuna_storage import to_optuna

    name = (run.resolve().name or "run") if study_name is None else study_name
    ended = datetime.fromtimestamp(ledger.stat().st_mtime)
    written = to_optuna(found, url, name, ended, {"run": str(run.resolve()), "plait": __version__})
    for study, count in written.items():
        typer.echo(f"study {study}: {count} trials", err=quiet)
    if not quiet:
        typer.echo(f"Look at them: pip install optuna-dashboard && optuna-dashboard {url}")


def _print_counts(rows: Sequence[dict[str, Any]], found: Sequence[Attempt]) -> None:
    """Two tables: each proposer's architectures by their end, and scores by the passes after which they were taken."""
    proposers: dict[str, list[Attempt]] = {}
    for attempt in found:
        proposers.setdefault(attempt.proposer, []).append(attempt)
    table: list[list[str]] = []
    for name, group in proposers.items():
        ends = [str(sum(one.state == state for one in group)) for state in ("complete", "pruned", "failed")]
        best = max((one.score for one in group if one.state == "complete" and one.score is not None), default=None)
        table.append([name, str(len(group)), *ends, figure(best), f"{sum(one.seconds for one in group):.1f}"])
    _print(("proposer", "tried", "complete", "pruned", "failed", "best", "seconds"), table)
    rungs: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for row in rows:
        rungs.setdefault((row["proposer"], row["passes"]), []).append(row)
    table = []
    for (name, passes), group_rows in rungs.items():
        best = max((row["score"] for row in group_rows if row["score"] is not None), default=None)
        count = len({row["rung"] for row in group_rows})
        told = "all" if passes is None else str(passes)
        table.append([name, told, str(count), str(len(group_rows)), figure(best)])
    typer.echo("")
    _print(("proposer", "passes", "rungs", "scores", "best"), table)


def _print_best(found: Sequence[Attempt]) -> None:
    """The best of the search; of what competes in the end, where nothing was searched."""
    whole = [one for one in found if one.state == "complete" and one.score is not None]
    searched = [one for one in whole if one.by_passes] or whole
    best = sorted(searched, key=lambda one: -(one.score or 0.0))[:BEST]
    if not best:
        return
    typer.echo("")
    _print(
        ("score", "proposer", "best"), [[figure(one.score), one.proposer, one.candidate.name] for one in best], 1
    )  # fmt: skip
    if searched[0].by_passes:
        typer.echo("\nThese are short trainings that only rank; `plait leaderboard` shows what was trained in full.")


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers_to: int | None = None) -> None:
    """Print a table: names to the left and numbers to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        is_number = place > 0 if numbers_to is None else place < numbers_to
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # names are not markup
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
