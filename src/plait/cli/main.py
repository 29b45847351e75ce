"""The command `plait`: one file per sub-command, errors without traceback, exit codes 0, 2 and 130."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

import typer

from plait._version import __version__
from plait.cli.data import data
from plait.cli.demo import demo
from plait.cli.evaluate import evaluate
from plait.cli.fit import fit
from plait.cli.leaderboard import leaderboard
from plait.cli.predict import predict
from plait.cli.recipe import recipe
from plait.cli.report import report
from plait.cli.schema import schema
from plait.cli.show import show
from plait.cli.trials import trials
from plait.exceptions import InputError

EXIT_INPUT = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="plait",
    help="Learn from a table of images, sound, text, series, numbers and categories: plait finds out how to combine "
    "them.\n\n"
    "Example: plait fit table.parquet --target label --out run",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (fit, predict, evaluate, leaderboard, show, trials, schema, report, demo):
    app.command()(command)
app.add_typer(data)
app.add_typer(recipe)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"plait {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options that stand before the command."""


def tell(error: InputError) -> None:
    """Print the mistakes of a call on stderr, one a line."""
    problems = error.problems
    if len(problems) == 1:
        typer.echo(f"Error: {problems[0]}", err=True)
        return
    typer.echo(f"Error: {len(problems)} things to mend:", err=True)
    for problem in problems:
        typer.echo(f"  - {problem}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; never returns.

    Args:
        arguments: The words after `plait`; by default those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, standalone_mode=True)
    except InputError as error:
        tell(error)
        sys.exit(EXIT_INPUT)
    except SystemExit as ended:
        if ended.code == EXIT_INTERRUPTED:  # typer has turned the KeyboardInterrupt into this
            _tell_interrupted(words)
        raise
    except KeyboardInterrupt:
        _tell_interrupted(words)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def entry() -> None:
    """Run the command line as a process of its own.

    An interrupted process ends by `os._exit`: Python would otherwise kill itself by SIGINT at its very end, if the
    interrupt came while a library ran generated code, and the exit code would not be 130.
    """
    try:
        main()
    except SystemExit as ended:
        if ended.code == EXIT_INTERRUPTED:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(EXIT_INTERRUPTED)
        raise


def _tell_interrupted(words: list[str]) -> None:
    if words[:1] in (["fit"], ["recipe"]):
        again = words if "--resume" in words else [*words, "--resume"]
        typer.echo(f"\nInterrupted; what is done is saved. Go on with:\n  plait {shlex.join(again)}", err=True)
    elif words[:1] == ["demo"]:
        typer.echo(f"\nInterrupted; what is done is saved. Go on with:\n  plait {shlex.join(words)}", err=True)
    else:
        typer.echo("\nInterrupted.", err=True)
