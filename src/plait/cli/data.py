"""`plait data`: benchmark tables, built from public ingredients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plait.cli._options import AsJson, print_json

data = typer.Typer(name="data", help="Build benchmark tables.", no_args_is_help=True, rich_markup_mode="rich")


@data.callback()
def _data() -> None:
    """Build benchmark tables."""


@data.command()
def build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The benchmark: av-mnist.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder to write; nothing is overwritten.", show_default=False)
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", metavar="DIR", help="Folder below which the ingredient files lie.", show_default=False
        ),
    ] = None,
    train: Annotated[int, typer.Option("--train", metavar="ROWS", help="Training rows.")] = 55_000,
    validation: Annotated[int, typer.Option("--validation", metavar="ROWS", help="Validation rows.")] = 5_000,
    test: Annotated[int, typer.Option("--test", metavar="ROWS", help="Test rows.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="Decides every draw.")] = 0,
    components: Annotated[
        int, typer.Option("--components", help="Principal components that the images keep, 1 to 784.")
    ] = 5,
    snr: Annotated[
        float | None,
        typer.Option("--snr", metavar="DB", help="Signal-to-noise ratio of the sounds in dB; default: calibrated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a benchmark: train.parquet, validation.parquet, test.parquet and manifest.json.

    av-mnist pairs blurred written digits with the same digit spoken in noise. It is made of mnist.npz, fsdd.npz and
    background_noise_8k.npz, wherever they lie below --source. The same call gives the same rows everywhere.

    [bold]Example[/]

      plait data build av-mnist --source ../shared/data --out av-mnist

      plait fit av-mnist/train.parquet --validation av-mnist/validation.parquet --test av-mnist/test.parquet --out run
    """
    from plait.cli._progress import TerminalNarrator
    from plait.data.build import BUILDERS, BuildOptions

    options = BuildOptions(source, out, train, validation, test, seed, components, snr)
    builder = BUILDERS[name]()
    with TerminalNarrator() as narrator:
        manifest = builder.build(options, narrator)
    if as_json:
        print_json(manifest)
        return
    for split, told in manifest["splits"].items():
        typer.echo(f"{out / f'{split}.parquet'}  {told['rows']:>6,} rows  content sha256 {told['content_sha256']}")
    typer.echo(f"{out / 'manifest.json'}")
