"""`plait fit`: learn a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plait.cli._options import AllowOutside, AsJson, BadRows, TableFile, print_json, print_leaderboard

TRIALS_HELP = (
    "Go by counts instead of time: up to N architectures by the strategy (a quarter of them by pruning), and as many "
    "at random; no limit of time; same seed, same result."
)
GROUP_HELP = "Rows with the same value stay in the same part; intervals and cross-fitting go by it, too."
KIND_HELP = (
    "Kind of a column, instead of the guess: image, audio, text, series, vector, numeric, categorical, date (and "
    "molecule, video, for which there is no encoder yet); of a target: binary, multiclass, ordinal, multilabel, "
    "regression."
)
ENCODER_HELP = (
    "Take the encoder of a modality, frozen, from a finished run instead of learning one: MODALITY=run:FOLDER, or "
    "MODALITY=run:FOLDER#NAME where it is called NAME there. Give it again for others."
)
STRATEGY_HELP = (
    "How to search: greedy, progressive (or progressive:lstm), genetic, similarity, exhaustive, random, or a sampler "
    "of Optuna: optuna:tpe, optuna:nsgaii, optuna:cmaes, optuna:gp and others."
)
WEIGHTS_HELP = (
    "balanced: every class weighs the same in the training loss, however rare; probabilities then lean towards rare "
    "classes. Default: every row weighs the same."
)
FOLDS_HELP = (
    "Cross-validate in N folds of the training and validation rows, which judge in turn what learned from the others; "
    "1: validation rows alone judge. Default: 5 where fewer than 150 of these are drawn, else 1. Always 1 with "
    "--validation."
)
METRIC_HELP = (
    "Compare by accuracy, balanced_accuracy, macro_f1, auroc, average_precision, log_loss, mae, rmse, r2 or spearman; "
    "default: 1 - loss / loss of the constant predictor, the mean over targets."
)


ModalityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--modality",
        metavar="NAME=COLUMN,COLUMN",
        help="Columns of one kind that are one modality, such as several photos of one thing: a set, whose order says "
        "nothing (numbers and categories: a table of their own). Give it again for others.",
    ),
]


def fit(
    table: TableFile,
    out: Annotated[Path, typer.Option("--out", help="The run folder to write.", show_default=False)],
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="COLUMN", help="Column to learn; give it again for several.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option("--validation", metavar="TABLE", help="Table to choose by; else 15 % of TABLE.")
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test", metavar="TABLE", help="Table that is read last; else 15 % of TABLE, or none with --validation."
        ),
    ] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="COLUMN", help=GROUP_HELP)] = None,
    split_column: Annotated[
        str | None,
        typer.Option(
            "--split-column", metavar="COLUMN", help="Column that says train, validation (valid, val, dev) or test."
        ),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="Column to leave out.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="COLUMN", help="Input column; if given, only these are.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="COLUMN=KIND",
            help=KIND_HELP,
        ),
    ] = None,
    modality: ModalityOption = None,
    schema: Annotated[
        str | None, typer.Option("--schema", metavar="FILE", help="A schema.json, edited by you.")
    ] = None,
    encoder: Annotated[list[str] | None, typer.Option("--encoder", metavar="MODALITY=FROM", help=ENCODER_HELP)] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit", metavar="SECONDS", help="For the whole fit; may be passed by 10 % and 10 s; default 600."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", metavar="N", help=TRIALS_HELP)] = None,
    strategy: Annotated[str, typer.Option("--strategy", metavar="NAME", help=STRATEGY_HELP)] = "greedy",
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help=METRIC_HELP,
        ),
    ] = None,
    class_weights: Annotated[
        str | None, typer.Option("--class-weights", metavar="none|balanced", help=WEIGHTS_HELP)
    ] = None,
    folds: Annotated[int | None, typer.Option("--folds", metavar="N", help=FOLDS_HELP)] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides splits, weights and draws.")] = 0,
    bad_rows: BadRows = "fail",
    allow_outside: AllowOutside = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", help="Processes that read media; default: one per core."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to train.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Learn the target of a table from all its other columns.

    Every modality gets a network of its own; plait then compares each alone, early, intermediate and late fusion, and
    returns the cheapest that is as good as the best.

    [bold]Examples[/]

      plait fit digits.parquet --target digit --out run

      plait fit train.csv --validation valid.csv --test test.csv --target price --time-limit 120 --out run

      plait fit patients.jsonl --target outcome --group patient --kind ward=categorical --trials 5 --out run

      plait fit houses.parquet --target price --modality photos=front,kitchen,bath --out house-run

      plait fit calls.csv --target mood --encoder sound=run:digits-run --out mood-run
    """
    from plait import fit as fit_table
    from plait.cli._progress import TerminalNarrator

    with TerminalNarrator() as narrator:
        predictor = fit_table(
            table, target or [], out=out, validation=validation, test=test, group=group, split_column=split_column,
            ignore=ignore or [], inputs=inputs or [], kinds=parse_kinds(kind or []),
            modalities=parse_modalities(modality or []), schema=schema, encoders=parse_encoders(encoder or []),
            time_limit=time_limit, trials=trials, strategy=strategy, seed=seed, metric=metric,
            bad_rows=bad_rows,  # type: ignore[arg-type]
            allow_outside=allow_outside, resume=resume, workers=workers, device=device,
            class_weights=class_weights, folds=folds, narrator=narrator,
        )  # fmt: skip
    print_run(predictor, out, as_json)


def parse_kinds(words: list[str]) -> dict[str, str]:
    """COLUMN=KIND words as a dict; a word without = gets an empty kind, which the schema refuses with the others."""
    parts = [(word, *word.rpartition("=")) for word in words]
    return _once("--kind", [(name or word, kind if sign else "") for word, name, sign, kind in parts])


def parse_modalities(words: list[str]) -> dict[str, list[str]]:
    """MODALITY=COLUMN,COLUMN words as a dict; a name that comes again gets more columns."""
    found: dict[str, list[str]] = {}
    for word in words:
        name, _, columns = word.partition("=")
        found.setdefault(name, []).extend(one.strip() for one in columns.split(",") if one.strip())
    return found


def parse_encoders(words: list[str]) -> dict[str, str]:
    """MODALITY=SOURCE words as a dict; a word without = gets an empty source, which the fit refuses with the others."""
    return _once("--encoder", [(word.partition("=")[0], word.partition("=")[2]) for word in words])


def _once(option: str, pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Pairs of an option as a dict; a name that has two different values is refused."""
    from plait.exceptions import InputError

    found = dict(pairs)
    if twice := sorted({name for name, value in pairs if found[name] != value}):
        raise InputError(f"{option} names {', '.join(map(repr, twice))} more than once; give one value.")
    return found


def print_run(predictor: Any, out: Path, as_json: bool) -> None:
    """Print what a fit came to."""
    manifest, rows = predictor.manifest, predictor.leaderboard_rows()
    if as_json:
        print_json(
            {
                "run": str(out),
                "chosen": next(row["name"] for row in rows if row["chosen"]),
                "sentence": manifest["choice"]["sentence"],
                "leaderboard": rows,
                "metrics": manifest["metrics"],
                "stages": manifest["stages"],
                "shares": _shares(manifest["stages"]),
                "seconds": round(sum(manifest["stages"].values()), 3),
            }
        )
        return
    print_leaderboard(rows)
    typer.echo(f"\n{manifest['choice']['sentence']}")
    typer.echo(f"The figures are {_meaning(manifest['metric'])}; higher is better.")
    typer.echo(f"Report: {out / 'report.html'}")


def _shares(stages: dict[str, float]) -> dict[str, float]:
    """Share of the whole time, 0 to 1, by stage."""
    total = sum(stages.values()) or 1.0
    return {name: round(seconds / total, 4) for name, seconds in stages.items()}


def _meaning(metric: str | None) -> str:
    if metric is None:
        return "1 - loss / loss of the constant predictor (1 is perfect, 0 knows nothing)"
    return metric if metric not in ("log_loss", "mae", "rmse") else f"{metric} with its sign turned"
