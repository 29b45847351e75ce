"""A modality that hurts: prices of houses from four attributes, and from four photos each, which say next to nothing.

Of 535 houses, 20 % are the test, drawn anew for every split. plait is given the attributes and all four photos, as one
modality that is a set of images, and carves its validation rows out of the rest; and once more the attributes alone.
Beside it models that never see a photo, fitted on all of the rest: ridge regression, a random forest, boosting, and a
stack of them. Printed: R2 of the logarithm of the price on the test rows of every split, its mean, and paired
differences over the splits, to each of the models and to the one whose mean is best.

Examples:
  PLAIT_DATA=data python benchmarks/harmful_modality.py --splits 5 --trials 16
  PLAIT_DATA=data python benchmarks/harmful_modality.py --splits 1 --trials 2 --json
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

import harness
import tables

TEST = 0.2
PLAIT = ("plait, attributes and photos", "plait, attributes alone")


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--splits", type=int, default=5, help="random splits (default 5)")
    made.add_argument("--trials", type=int, default=16, help="architectures to try (default 16)")
    made.add_argument("--out", help="keep the run folders in this folder; finished ones are taken from there")
    return made


def tabular_only(numbers: np.ndarray, prices: np.ndarray, seed: int) -> dict[str, Any]:
    """Models that never see a photo, fitted: by name."""
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor, StackingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def made() -> dict[str, Any]:
        return {
            "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 12))),
            "random forest": RandomForestRegressor(500, min_samples_leaf=2, random_state=seed),
            "boosting": HistGradientBoostingRegressor(max_iter=150, learning_rate=0.05, random_state=seed),
        }

    models = made() | {"stack": StackingRegressor(list(made().items()), RidgeCV(), cv=5)}
    return {name: model.fit(numbers, prices) for name, model in models.items()}


def measured(split: int, arguments: Any, folder: Path) -> dict[str, Any]:
    """One split."""
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split

    seed = arguments.seed + split
    houses = tables.houses()
    frame = pd.concat(houses.parts, ignore_index=True)
    care = np.concatenate(houses.plain["log area, zip code one-hot"])
    train, test = train_test_split(np.arange(len(frame)), test_size=TEST, random_state=seed)
    prices = frame["price"].to_numpy()
    scores = {
        name: float(r2_score(prices[test], model.predict(care[test])))
        for name, model in tabular_only(care[train], prices[train], seed).items()
    }
    told: dict[str, Any] = {"split": split, "scores": scores}
    for name, photos in zip(PLAIT, (True, False), strict=True):
        run = folder / f"{'photos' if photos else 'attributes'}-{seed}"
        columns = [*(tables.PHOTOS if photos else ()), *tables.ATTRIBUTES]
        predictor = harness.fitted(
            run, frame.iloc[train][[*columns, "price"]], "price", test=frame.iloc[test][[*columns, "price"]],
            trials=arguments.trials, seed=seed, modalities={"photos": list(tables.PHOTOS)} if photos else None,
        )  # fmt: skip
        guesses = predictor.predict(frame.iloc[test][columns])["price"].to_numpy()
        scores[name] = float(r2_score(prices[test], guesses))
        told[name] = {
            "returned": next(row["name"] for row in predictor.leaderboard_rows() if row["chosen"]),
            "discarded": predictor.manifest["discarded"], "sentence": predictor.manifest["choice"]["sentence"],
            "seconds": sum(predictor.manifest["stages"].values()),
        }  # fmt: skip
        harness.say(f"split {split}: {name}: {scores[name]:.3f} ({told[name]['returned'][:50]})")
    return told


def summed(fits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per model: its mean over the splits, and what plait with photos is above it, with the standard error."""
    found = []
    for name in fits[0]["scores"]:
        values = [one["scores"][name] for one in fits]
        differences = [one["scores"][PLAIT[0]] - value for one, value in zip(fits, values, strict=True)]
        error = harness.standard_error(differences)
        found.append(
            {"name": name, "mean": fmean(values), "scores": values, "difference": fmean(differences), "error": error}
        )
    return found


def readable(models: Sequence[dict[str, Any]], fits: Sequence[dict[str, Any]]) -> list[str]:
    others = [one for one in models if one["name"] not in PLAIT]
    best = max(others, key=lambda one: float(one["mean"]))
    lines = [f"{'R2 of log price':<30} {'mean':>6}  {'splits':<{7 * len(fits)}}  plait with photos is above it by"]
    for one in models:
        each = " ".join(f"{value:.3f}" for value in one["scores"])
        spread = "" if one["error"] is None else f" (standard error {one['error']:.4f})"
        above = "" if one["name"] == PLAIT[0] else f"{one['difference']:+.4f}{spread}"
        lines.append(f"{one['name']:<30} {one['mean']:>6.3f}  {each:<{7 * len(fits)}}  {above}")
    discarded = sum("photos" in one[PLAIT[0]]["discarded"] for one in fits)
    lines.append(f"Best without photos: {best['name']}. The photos were discarded in {discarded} of {len(fits)} fits.")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.out or temporary)
        fits = [measured(split, arguments, folder) for split in range(arguments.splits)]
    models = summed(fits)
    figures = {
        "machine": harness.machine(), "seed": arguments.seed, "trials": arguments.trials, "models": models,
        "fits": fits,
    }  # fmt: skip
    harness.finish(figures, arguments.json, readable(models, fits))


if __name__ == "__main__":
    main()
