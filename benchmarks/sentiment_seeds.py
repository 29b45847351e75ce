"""CMU-MOSI over several seeds: each view alone, and what is found when all are given, without and with dialogue.

Every fit is the recipe `sentiment` with its switches: the official split, accuracy and macro-F1 of what is returned.
Beside them, on the same rows: logistic regression on the view, or on all side by side, as the recipe prints it, and a
stack of logistic regression and random forest per view, its folds by video as plait's are.

Examples:
  PLAIT_DATA=data python benchmarks/sentiment_seeds.py --trials 16
  PLAIT_DATA=data python benchmarks/sentiment_seeds.py --given text all --seeds 1
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np

import harness
from many_views import stack

GIVEN: Final[dict[str, tuple[str, ...]]] = {
    "text": ("text",), "audio": ("audio",), "video": ("video",), "all": (), "all, in dialogue": ("context",),
}  # fmt: skip
"""What a fit is given, and the recipe's switches for it."""

METRICS: Final = ("accuracy", "macro_f1")


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--given", nargs="+", choices=list(GIVEN), default=list(GIVEN), help="what fits are given")
    made.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    made.add_argument("--trials", type=int, default=16, help="architectures to try in every fit (default 16)")
    made.add_argument("--out", help="keep the run folders in this folder; finished ones are taken from there")
    return made


def measured(given: str, seed: int, arguments: Any, folder: Path) -> dict[str, Any]:
    """One fit, and the models beside it."""
    from plait.recipes.sentiment import VIEWS, Sentiment

    recipe = Sentiment(GIVEN[given])
    prepared = recipe.prepare(recipe.read(harness.data_folder()))
    run = folder / f"{'-'.join(GIVEN[given]) or 'all'}-{seed}"
    predictor = harness.fitted(
        run, prepared.train, prepared.targets, test=prepared.test, trials=arguments.trials, seed=seed,
        **prepared.options,
    )  # fmt: skip
    told = recipe.tell(predictor, prepared, seed).figures
    tables = (prepared.train, prepared.test)
    labels = np.concatenate([table["label"].to_numpy(np.int64) for table in tables])
    views = {
        name: np.concatenate([np.stack(table[name].tolist()) for table in tables]).astype(np.float64)
        for name in VIEWS
        if name in prepared.train
    }
    rows = np.arange(len(labels))
    videos = tables[0]["video_id"].to_numpy()
    right = stack(views, labels, rows[: len(videos)], rows[len(videos) :], seed, videos)
    harness.say(f"{given}, seed {seed}: {told['accuracy']:.4f} ({told['chosen'][:60]}), stack {right.mean():.4f}")
    linear = told["logistic regression"]
    return {
        "given": given, "seed": seed, **{name: told[name] for name in METRICS}, "returned": told["chosen"],
        "stack": float(right.mean()), "logistic regression": linear[next(iter(views)) if len(views) == 1 else "all"],
        "seconds": sum(predictor.manifest["stages"].values()),
    }  # fmt: skip


def summed(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard errors over the seeds of what was given."""
    told: dict[str, Any] = {"given": fits[0]["given"], "seeds": len(fits), "linear": fits[0]["logistic regression"]}
    for name in (*METRICS, "stack", "seconds"):
        values = [one[name] for one in fits]
        told |= {name: fmean(values), f"{name}_error": harness.standard_error(values)}
    return told


def readable(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{'given':<18} {'accuracy':>14} {'macro F1':>14} {'logistic (by video)':>20} {'stack':>14} {'s a fit':>8}"
    ]
    for one in found:
        cells = [
            f"{one[name]:.3f}" + ("" if one[f"{name}_error"] is None else f" +- {one[f'{name}_error']:.3f}")
            for name in (*METRICS, "stack")
        ]
        linear = f"{one['linear']['test']:.3f} ({one['linear']['cross-validated']:.3f})"
        lines.append(
            f"{one['given']:<18} {cells[0]:>14} {cells[1]:>14} {linear:>20} {cells[2]:>14} {one['seconds']:>8.0f}"
        )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    fits: dict[str, list[dict[str, Any]]] = {given: [] for given in arguments.given}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            for given, mine in fits.items():
                mine.append(measured(given, seed, arguments, Path(arguments.out or temporary)))
    found = [summed(mine) for mine in fits.values()]
    figures = {
        "machine": harness.machine(), "seed": arguments.seed, "trials": arguments.trials, "given": found,
        "fits": [one for mine in fits.values() for one in mine],
    }  # fmt: skip
    harness.finish(figures, arguments.json, readable(found))


if __name__ == "__main__":
    main()
