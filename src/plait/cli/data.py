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


Rows = Annotated[
    int | None, typer.Option(metavar="ROWS", help="Default: the benchmark's own number.", show_default=False)
]
Count = Annotated[
    int | None, typer.Option(metavar="COUNT", help="many-modalities; default: by --modalities.", show_default=False)
]


@data.command()
def build(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The benchmark: av-mnist, many-modalities.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder to write; nothing is overwritten.", show_default=False)
    ],
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="DIR", help="av-mnist: folder below which its files lie.", show_default=False),
    ] = None,
    train: Rows = None,
    validation: Rows = None,
    test: Rows = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides every draw.")] = 0,
    components: Annotated[
        int, typer.Option("--components", help="av-mnist: principal components that the images keep, 1 to 784.")
    ] = 5,
    snr: Annotated[
        float | None,
        typer.Option("--snr", metavar="DB", help="av-mnist: signal-to-noise ratio in dB; default: calibrated."),
    ] = None,
    modalities: Annotated[
        int, typer.Option("--modalities", metavar="COUNT", help="many-modalities: how many, 2 to 999.")
    ] = 24,
    alone: Count = None,
    pairs: Count = None,
    copies: Count = None,
    as_json: AsJson = False,
) -> None:
    """Build a benchmark: train.parquet, validation.parquet, test.parquet and manifest.json.

    av-mnist pairs blurred written digits with the same digit spoken in noise. It is made of mnist.npz, fsdd.npz and
    background_noise_8k.npz, wherever they lie below --source.

    many-modalities makes vectors: some tell the class --alone, some only in --pairs, some are --copies, the others are
    noise. manifest.json says which is which. The same call gives the same rows everywhere.

    [bold]Examples[/]

      plait data build av-mnist --source ../shared/data --out av-mnist

      plait fit av-mnist/train.parquet --validation av-mnist/validation.parquet --test av-mnist/test.parquet --out run

      plait data build many-modalities --modalities 24 --out many
    """
    from plait.cli._progress import TerminalNarrator
    from plait.data.build import BUILDERS, BuildOptions

    builder = BUILDERS[name]()
    asked = {"train": train, "validation": validation, "test": test}
    rows = {split: builder.rows[split] if count is None else count for split, count in asked.items()}
    options = BuildOptions(
        source, out, **rows, seed=seed, components=components, snr=snr, modalities=modalities, alone=alone, pairs=pairs,
        copies=copies,
    )  # fmt: skip
    with TerminalNarrator() as narrator:
        manifest = builder.build(options, narrator)
    if as_json:
        print_json(manifest)
        return
    for split, told in manifest["splits"].items():
        typer.echo(f"{out / f'{split}.parquet'}  {told['rows']:>6,} rows  content sha256 {told['content_sha256']}")
    typer.echo(f"{out / 'manifest.json'}")
