"""`plait show`: what a run's predictor is made of."""

from __future__ import annotations

import typer

from plait.cli._options import AsJson, Run, print_json


def show(run: Run, as_json: AsJson = False) -> None:
    """Print the architecture of the returned predictor, and which modalities it uses.

    [bold]Example[/]

      plait show run
    """
    from plait.pipeline.run import describe, read_manifest

    told = describe(read_manifest(run))
    if as_json:
        print_json(told)
        return
    for architecture in told["architectures"]:
        typer.echo(f"architecture  {architecture['text']}")
    if not told["architectures"]:
        typer.echo("architecture  none: one modality alone, or a late rule")
    typer.echo(f"used          {', '.join(told['modalities']['used'])}")
    typer.echo(f"discarded     {', '.join(told['modalities']['discarded']) or 'none'}")
