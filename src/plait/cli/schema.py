"""`plait schema`: what plait takes the columns of a table for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plait.cli._options import AsJson, TableFile
from plait.cli.fit import ModalityOption, parse_kinds, parse_modalities


def schema(
    table: TableFile,
    target: Annotated[list[str] | None, typer.Option("--target", metavar="COLUMN", help="Column to learn.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="COLUMN", help="Column that groups rows.")] = None,
    split_column: Annotated[
        str | None, typer.Option("--split-column", metavar="COLUMN", help="Column with train, validation or test.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="Column to leave out.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="COLUMN", help="Input column; if given, only these are.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="COLUMN=KIND", help="Kind of a column, instead of the guess.")
    ] = None,
    modality: ModalityOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write a schema.json to edit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show role and kind of every column, and why; write them to a file to edit.

    [bold]Examples[/]

      plait schema table.csv --target price

      plait schema table.csv --target price --out schema.json && plait fit table.csv --schema schema.json --out run
    """
    from plait.data.atomic import write_atomic
    from plait.data.infer import Wishes, infer_schema
    from plait.data.table import read_table

    wishes = Wishes(
        targets=target or [], group=group, split=split_column, ignored=ignore or [], inputs=inputs or [],
        kinds=parse_kinds(kind or []), modalities=parse_modalities(modality or []),
    )  # fmt: skip
    found = infer_schema(read_table(table), wishes)
    if out is not None:
        write_atomic(out, found.to_json().encode())
        typer.echo(f"Schema written to {out}", err=True)
    if as_json:
        typer.echo(found.to_json())
    elif out is None:
        for column in found.columns:
            part = f" (part of {column.modality})" if column.modality else ""
            typer.echo(f"{column.name:<24} {column.role:<8} {column.kind or '-':<12} {column.told}{part}")
