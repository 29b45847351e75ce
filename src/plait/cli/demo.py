"""`plait demo`: the main job on a data set that ships with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plait.cli._options import AsJson
from plait.cli.fit import print_run


def demo(
    out: Annotated[Path, typer.Option("--out", help="The run folder to write.")] = Path("demo-run"),
    trials: Annotated[
        int, typer.Option("--trials", help="Fusion architectures to try, and as many again at random.")
    ] = 24,
    seed: Annotated[int, typer.Option("--seed", help="Decides weights and draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Learn 1,797 handwritten and spoken digits that ship with plait; prints the leaderboard and the report's path.

    The same as `plait fit` on that table, resumed if it was interrupted.

    [bold]Example[/]

      plait demo
    """
    from importlib.resources import as_file, files

    from plait import fit
    from plait.cli._progress import TerminalNarrator

    with as_file(files("plait.data") / "demo" / "digits.parquet") as table, TerminalNarrator() as narrator:
        predictor = fit(table, out=out, trials=trials, seed=seed, resume=True, narrator=narrator)
    print_run(predictor, out, as_json)
