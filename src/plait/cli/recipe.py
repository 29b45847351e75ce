"""`plait recipe`: worked applications on published data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plait.cli._options import AsJson, print_json

recipe = typer.Typer(name="recipe", help="Worked applications.", no_args_is_help=True, rich_markup_mode="rich")


@recipe.callback()
def _recipe() -> None:
    """Worked applications on published data."""


@recipe.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """Name all recipes, what each learns, the file it reads and its switches.

    [bold]Example[/]

      plait recipe list
    """
    from plait.recipes._base import RECIPES, make_recipe

    found = [make_recipe(name) for name in sorted(RECIPES)]
    if as_json:
        print_json(
            [{"name": r.name, "summary": r.summary, "file": r.file, "switches": dict(r.options)} for r in found]
        )  # fmt: skip
        return
    for one in found:
        typer.echo(f"{one.name:<12} {one.summary}\n{'':<12} reads {one.file}")
        for switch, what in one.options.items():
            typer.echo(f"{'':<12} --with {switch}: {what}")


@recipe.command()
def run(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Which; `plait recipe list` names all.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", help="Folder below which its file lies (docs/data.md).", envvar="PLAIT_DATA"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run folder to write.", show_default=False)],
    switches: Annotated[
        list[str] | None, typer.Option("--with", metavar="SWITCH", help="A switch of the recipe; may be repeated.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Architectures by the strategy, and as many at random.")
    ] = None,
    time_limit: Annotated[float | None, typer.Option("--time-limit", help="Seconds for the fit.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides everything that is drawn.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn a published table and print what came of it, beside simpler models on the same rows.

    [bold]Examples[/]

      plait recipe run toxicity --data data --out tox-run

      plait recipe run sentiment --data data --out mosi-run --with context --trials 32
    """
    from plait.cli._progress import TerminalNarrator
    from plait.recipes._base import Budget, make_recipe

    made = make_recipe(name, switches or ())
    with TerminalNarrator() as narrator:
        told = made.run(data, out, Budget(trials, time_limit, seed), resume, narrator)
    if as_json:
        print_json(told.figures)
        return
    typer.echo("\n".join(told.lines))
