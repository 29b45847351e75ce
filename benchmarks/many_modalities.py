"""Tables of many made modalities, most of them noise: what the fit keeps, how good it is, and how long it looks.

Builds `plait data build many-modalities` (docs/data-many-modalities.md) with several numbers of modalities and fits
each twice: with all modalities, and with only those that are not noise, as an oracle would. Printed for each: how many
of the signals and of the noise the returned predictor reads, its accuracy on test rows, that of the fit of the oracle,
that of the rule which knows the recipe, and the seconds of the stages. Up to eight modalities there is no noise, and
the two fits are one.

Example:
  python benchmarks/many_modalities.py --modalities 6 24 --seeds 0 1 2 --trials 32
"""

from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import harness

MODALITIES = (2, 3, 6, 12, 24)
ENCODING = "encode"
SEARCHING = ("screen", "search")
"""Stages that look for an architecture; the first of them is there only where modalities are screened."""


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--modalities", type=int, nargs="+", default=list(MODALITIES), help="how many; several tables")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of tables and fits (default 0 1 2)")
    made.add_argument("--trials", type=int, default=32, help="architectures to try (default 32)")
    made.add_argument("--rows", type=int, default=3_000, help="training rows (default 3000)")
    made.add_argument("--strategy", default="greedy", help="how architectures are searched for")
    made.add_argument("--no-oracle", action="store_true", help="leave out the fit of the signals alone")
    made.add_argument("--out", help="keep tables and run folders in this folder")
    return made


def built(modalities: int, seed: int, rows: int, folder: Path) -> dict[str, Any]:
    """The manifest of a table; built where it is not there."""

    from plait.data.build import BUILDERS, BuildOptions
    from plait.pipeline.narrator import Narrator

    if (folder / "manifest.json").exists():
        told: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return told
    sizes = {"train": rows, "validation": max(10, rows // 3), "test": max(10, 2 * rows // 3)}
    wanted = BuildOptions(None, folder, **sizes, seed=seed, modalities=modalities)
    return BUILDERS["many-modalities"]().build(wanted, Narrator())


def fitted(table: Path, out: Path, seed: int, arguments: Any, inputs: Sequence[str] = ()) -> dict[str, Any]:
    """What a fit came to."""
    import plait

    places = {part: table / f"{part}.parquet" for part in ("train", "validation", "test")}
    predictor = plait.fit(
        places["train"], validation=places["validation"], test=places["test"], inputs=inputs, metric="accuracy",
        trials=arguments.trials, strategy=arguments.strategy, seed=seed, workers=1, device="cpu", out=out,
    )  # fmt: skip
    manifest = predictor.manifest
    row = next(row for row in manifest["leaderboard"] if row["chosen"])
    stages: dict[str, float] = manifest["stages"]
    return {
        "returned": row["name"], "kind": row["kind"], "used": manifest["used"], "accuracy": row["test"],
        "validation": row["validation"], "found": (manifest["search"] or {}).get("finalists", []), "stages": stages,
        "encode_s": sum(spent for name, spent in stages.items() if name.startswith(ENCODING)),
        **{f"{name}_s": stages.get(name, 0.0) for name in (*SEARCHING, "evaluate")}, "fit_s": sum(stages.values()),
    }  # fmt: skip


def measured(modalities: int, seed: int, arguments: Any, folder: Path) -> dict[str, Any]:
    """One table: the fit of all modalities beside that of the signals alone."""
    table = folder / "table"
    manifest = built(modalities, seed, arguments.rows, table)
    roles = {name: part["role"] for name, part in manifest["modalities"].items()}
    signals = [name for name, role in roles.items() if role != "noise"]
    harness.say(f"{modalities} modalities, seed {seed}: all")
    every = fitted(table, folder / "all", seed, arguments)
    oracle = None
    if len(signals) == modalities:
        oracle = every
    elif not arguments.no_oracle:
        harness.say(f"{modalities} modalities, seed {seed}: the {len(signals)} signals")
        oracle = fitted(table, folder / "signals", seed, arguments, signals)
    kept = {role: sum(roles[name] == role for name in every["used"]) for role in ("alone", "pair", "copy", "noise")}
    of = {role: sum(found == role for found in roles.values()) for role in kept}
    return {
        "modalities": modalities, "seed": seed, "kept": kept, "of": of,
        "best_rule": manifest["splits"]["test"]["best_accuracy"]["all"], "all": every, "signals_only": oracle,
    }  # fmt: skip


def readable(figures: dict[str, Any]) -> list[str]:
    """The table, one line for each fit, and the mean over the seeds."""
    head = ("alone", "pair", "copy", "noise")
    lines = [
        f"{figures['rows']} training rows, {figures['trials']} trials, strategy {figures['strategy']}",
        "read of each role, accuracy on test rows in %, seconds",
        f"{'M':>3} {'seed':>4} " + " ".join(f"{role:>6}" for role in head)
        + f" {'all':>6} {'oracle':>6} {'rule':>6} {'encode':>7} {'screen':>7} {'search':>7} {'evaluate':>8} {'fit':>6}"
        + "  returned",
    ]  # fmt: skip
    for one in figures["fits"]:
        every, oracle = one["all"], one["signals_only"]
        counts = " ".join(f"{one['kept'][role]:>3}/{one['of'][role]:<2}" for role in head)
        seconds = f"{every['encode_s']:>7.1f} {every['screen_s']:>7.1f} {every['search_s']:>7.1f}"
        lines.append(
            f"{one['modalities']:>3} {one['seed']:>4} {counts} {_percent(every['accuracy'])} "
            f"{_percent(oracle['accuracy'] if oracle else None)} {_percent(one['best_rule'])} {seconds} "
            f"{every['evaluate_s']:>8.1f} {every['fit_s']:>6.0f}  {every['returned'][:60]}"
        )
    lines.append("mean over seeds: noise read, accuracy, points below the oracle, seconds of screen and search")
    for one in figures["means"]:
        behind = "     -" if one["behind"] is None else f"{100 * one['behind']:>6.1f}"
        lines.append(
            f"{one['modalities']:>3} {one['noise']:>6.1f} {_percent(one['accuracy'])} {behind} {one['seconds']:>7.1f}"
        )
    return lines


def _percent(share: float | None) -> str:
    return "     -" if share is None else f"{100 * share:>6.1f}"


def means(fits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By number of modalities, means over the seeds."""
    told = []
    for modalities in dict.fromkeys(one["modalities"] for one in fits):
        mine = [one for one in fits if one["modalities"] == modalities]
        behind = [one["signals_only"]["accuracy"] - one["all"]["accuracy"] for one in mine if one["signals_only"]]
        told.append(
            {
                "modalities": modalities,
                "noise": fmean(one["kept"]["noise"] for one in mine),
                "accuracy": fmean(one["all"]["accuracy"] for one in mine),
                "behind": fmean(behind) if behind else None,
                "seconds": fmean(one["all"][f"{name}_s"] for one in mine for name in SEARCHING) * len(SEARCHING),
            }
        )
    return told


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    fits: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.out or temporary)
        for modalities in arguments.modalities:
            places = {seed: folder / f"{modalities}-{seed}" for seed in arguments.seeds}
            fits += [measured(modalities, seed, arguments, place) for seed, place in places.items()]
    figures = {
        "machine": harness.machine(), "rows": arguments.rows, "trials": arguments.trials,
        "strategy": arguments.strategy, "fits": fits, "means": means(fits),
    }  # fmt: skip
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
