"""`plait show`: what a run's predictor is made of."""

from __future__ import annotations

import typer

from plait.cli._options import AsJson, Run, print_json


def show(run: Run, as_json: AsJson = False) -> None:
    """Print what decides in the returned predictor (architecture, rule, one modality), and the modalities it uses.

    [bold]Example[/]

      plait show run
    """
    from plait.pipeline.run import describe, leaderboard_rows, read_manifest

    manifest = read_manifest(run)
    told = describe(manifest)
    if as_json:
        print_json(told)
        return
    for architecture in told["architectures"]:
        typer.echo(f"architecture  {architecture['text']}")
    if not told["architectures"]:
        row = next(row for row in leaderboard_rows(manifest) if row["chosen"])
        words = {
            "unimodal": "one modality alone",
            "late": "a rule over the decisions of each modality",
            "classical": "a classical model from scikit-learn",
        }
        typer.echo(f"decides       {row['name']} ({words.get(row['kind'], row['kind'])})")
    if (models := manifest["weights"].get("models", 1)) > 1:
        typer.echo(f"models        {models}, each learned without some of the rows; their answers are averaged")
    typer.echo(f"used          {', '.join(told['modalities']['used'])}")
    typer.echo(f"discarded     {', '.join(told['modalities']['discarded']) or 'none'}")
