"""`plait leaderboard`: everything that competed."""

from __future__ import annotations

import typer

from plait.cli._options import AsJson, Run, print_json, print_leaderboard


def leaderboard(run: Run, as_json: AsJson = False) -> None:
    """Print all candidates of a run, best validation score first (in turns: of all rows that judge); > is returned.

    [bold]Example[/]

      plait leaderboard run
    """
    from plait.pipeline.run import leaderboard_rows, read_manifest

    manifest = read_manifest(run)
    rows = leaderboard_rows(manifest)
    if as_json:
        print_json(rows)
        return
    print_leaderboard(rows)
    typer.echo(f"\n{manifest['choice']['sentence']}")
