"""Tox21 by cross-validation on its training rows: the 296 molecules of the official test part decide little.

Every fold of the training molecules (those that are not of the challenge's leaderboard part) is judged once by what the
recipe `toxicity` makes of the others: plait, and beside it logistic regression and a random forest per assay, on the
same features. Printed: mean AUROC over the twelve assays in every fold, its mean, and what plait is above each model,
with the standard error of the paired differences over the folds. A molecule that stands there twice is in one fold.

Examples:
  PLAIT_DATA=data python benchmarks/toxicity_folds.py --time-limit 300
  PLAIT_DATA=data python benchmarks/toxicity_folds.py --folds 2 --trials 2
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import harness

PLAIT = "plait"


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--folds", type=int, default=5, help="how many (default 5)")
    made.add_argument("--trials", type=int, help="architectures to try in every fit; default: by time")
    made.add_argument("--time-limit", type=float, default=300.0, help="seconds for every fit (default 300)")
    made.add_argument("--out", help="keep the run folders in this folder; finished ones are taken from there")
    return made


def measured(arguments: Any, folder: Path) -> list[dict[str, Any]]:
    """What the recipe tells of every fold."""
    from sklearn.model_selection import GroupKFold

    from plait.recipes.toxicity import Toxicity

    recipe = Toxicity()
    table = recipe.read(harness.data_folder())
    table = table[table["set"] != "leaderboard"].reset_index(drop=True)
    folds = GroupKFold(arguments.folds, shuffle=True, random_state=arguments.seed)
    found = []
    for number, (_, judged) in enumerate(folds.split(table, groups=table["smiles"])):
        parts = np.full(len(table), "train", object)
        parts[judged] = "leaderboard"
        prepared = recipe.prepare(table.assign(set=parts))
        run = folder / f"fold-{number}"
        limit = None if arguments.trials else arguments.time_limit
        predictor = harness.fitted(
            run, prepared.train, prepared.targets, test=prepared.test, trials=arguments.trials, time_limit=limit,
            seed=arguments.seed, **prepared.options,
        )  # fmt: skip
        told = recipe.tell(predictor, prepared, arguments.seed)
        harness.say(f"fold {number}: " + "\n".join(told.lines))
        found.append(told.figures)
    return found


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folds = measured(arguments, Path(arguments.out or temporary))
    scores = {name: [fold["models"][name]["mean_auroc"] for fold in folds] for name in folds[0]["models"]}
    lines = [f"{'mean AUROC of 12 assays':<32} {'mean':>6}  {'folds':<{7 * len(folds)}}  plait is above it by"]
    models = []
    for name, values in scores.items():
        differences = [ours - value for ours, value in zip(scores[PLAIT], values, strict=True)]
        error = harness.standard_error(differences) or 0.0
        models.append(
            {
                "name": name, "mean": fmean(values), "folds": values, "difference": fmean(differences), "error": error,
            }
        )  # fmt: skip
        above = "" if name == PLAIT else f"{fmean(differences):+.4f} (standard error {error:.4f})"
        each = " ".join(f"{value:.4f}" for value in values)
        lines.append(f"{name:<32} {fmean(values):>6.4f}  {each:<{7 * len(folds)}}  {above}")
    figures = {"machine": harness.machine(), "seed": arguments.seed, "models": models, "folds": folds}
    harness.finish(figures, arguments.json, lines)


if __name__ == "__main__":
    main()
