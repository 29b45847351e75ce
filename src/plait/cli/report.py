"""`plait report`: the page that shows what a fit found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plait.cli._options import Run


def report(
    run: Run,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it here instead of into the run.")
    ] = None,
    browse: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Draw a run's report again and print its path.

    [bold]Example[/]

      plait report run --open
    """
    from plait.exceptions import InputError
    from plait.pipeline.run import read_manifest
    from plait.report.page import write_report

    path = out or run / "report.html"
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; give the path of a file, such as {path / 'report.html'}.")
    write_report(path, read_manifest(run))
    typer.echo(str(path))
    if browse:
        typer.launch(path.absolute().as_uri())
