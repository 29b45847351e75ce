"""Small tables of many views: what plait returns beside a stack of scikit-learn models on the same splits.

  mfeat      2,000 handwritten numerals, six views
  3sources   169 news stories, three newspapers
  bbcsport   544 articles, two segments

For every split, 20 % of the rows are the test; the stack learns from all others (logistic regression and a random
forest per view, their out-of-fold probabilities, a logistic regression on these), plait carves its validation rows out
of them. Printed: mean test accuracy with its standard error over the splits, and the paired difference. With --noise,
views of noise are added for plait alone.

Examples:
  PLAIT_DATA=data python benchmarks/many_views.py --sets 3sources bbcsport
  PLAIT_DATA=data python benchmarks/many_views.py --sets mfeat --splits 3 --trials 8 --noise 6
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

SETS = ("mfeat", "3sources", "bbcsport")
TEST = 0.2


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="which")
    made.add_argument("--splits", type=int, default=10, help="random splits of each (default 10)")
    made.add_argument("--trials", type=int, default=16, help="architectures to try (default 16)")
    made.add_argument("--noise", type=int, default=0, help="views of noise beside the others (default 0)")
    made.add_argument("--out", help="keep the run folders in this folder; finished ones are taken from there")
    return made


def views(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Views [rows, numbers] by name, and classes [rows]."""
    folder = "mfeat" if name == "mfeat" else "multiview"
    with np.load(harness.require(harness.data_folder() / folder / f"{name}.npz")) as found:
        labels = found["y"].astype(np.int64).ravel()
        return {key: np.asarray(found[key], np.float32) for key in found.files if key != "y"}, labels


def noisy(found: dict[str, np.ndarray], count: int, seed: int) -> dict[str, np.ndarray]:
    """The views and some of noise, each as wide as the narrowest real one, 16 numbers at least."""
    rng = np.random.default_rng([seed, 0x9015E])
    rows, width = len(next(iter(found.values()))), max(16, min(view.shape[1] for view in found.values()))
    return found | {f"noise{place}": rng.normal(size=(rows, width)).astype(np.float32) for place in range(count)}


def stack(
    found: dict[str, np.ndarray], labels: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Whether a stack of logistic regressions and random forests per view is right, [test rows]; groups [train rows]
    stay together in its folds."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = list(kind(5, shuffle=True, random_state=seed).split(train, labels[train], groups))
    inside, outside = [], []
    for view in found.values():
        for model in (
            make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
            RandomForestClassifier(200, random_state=seed),
        ):
            inside.append(cross_val_predict(model, view[train], labels[train], cv=folds, method="predict_proba"))
            outside.append(model.fit(view[train], labels[train]).predict_proba(view[test]))
    top = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    top.fit(np.concatenate(inside, axis=1), labels[train])
    return np.asarray(top.predict(np.concatenate(outside, axis=1)) == labels[test])


def measured(name: str, split: int, arguments: Any, folder: Path) -> dict[str, Any]:
    """One split."""
    from sklearn.model_selection import train_test_split

    seed = arguments.seed + split
    found, labels = views(name)
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST, stratify=labels, random_state=seed)
    shown = noisy(found, arguments.noise, seed)
    frames = [
        pd.DataFrame({key: list(view[rows]) for key, view in shown.items()} | {"class": labels[rows]})
        for rows in (train, test)
    ]
    run = folder / f"{name}-{arguments.noise}-{seed}"
    predictor = harness.fitted(
        run, frames[0], "class", test=frames[1], metric="accuracy", trials=arguments.trials, seed=seed,
        kinds={"class": "multiclass"},
    )  # fmt: skip
    ours = np.asarray(predictor.predict(frames[1].drop(columns="class"))["class"] == labels[test])
    theirs = stack(found, labels, train, test, seed)
    chosen = next(row["name"] for row in predictor.leaderboard_rows() if row["chosen"])
    harness.say(f"{name}, split {split}: {ours.mean():.4f} ({chosen[:60]}), stack {theirs.mean():.4f}")
    return {
        "set": name, "split": split, "plait": float(ours.mean()), "stack": float(theirs.mean()), "returned": chosen,
        "used": list(predictor.candidate.used), "seconds": sum(predictor.manifest["stages"].values()),
    }  # fmt: skip


def summed(fits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard errors over the splits of one set."""
    differences = [one["plait"] - one["stack"] for one in fits]
    told: dict[str, Any] = {
        "set": fits[0]["set"],
        "splits": len(fits),
        "seconds": fmean(one["seconds"] for one in fits),
    }
    for name in ("plait", "stack"):
        values = [one[name] for one in fits]
        told |= {name: fmean(values), f"{name}_error": harness.standard_error(values)}
    noise = [name for one in fits for name in one["used"] if name.startswith("noise")]
    return told | {
        "difference": fmean(differences),
        "difference_error": harness.standard_error(differences),
        "noise_used": len(noise),
    }


def readable(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"{'set':<10} {'splits':>6} {'plait':>15} {'stack':>15} {'difference':>15} {'noise used':>10} {'s a fit':>8}"
    ]
    for one in figures["sets"]:
        cells = [
            f"{100 * one[name]:.2f}" + ("" if one[f"{name}_error"] is None else f" +- {100 * one[f'{name}_error']:.2f}")
            for name in ("plait", "stack", "difference")
        ]
        lines.append(
            f"{one['set']:<10} {one['splits']:>6} {cells[0]:>15} {cells[1]:>15} {cells[2]:>15} "
            f"{one['noise_used']:>10} {one['seconds']:>8.0f}"
        )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    sets, fits = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.sets:
            mine = [
                measured(name, split, arguments, Path(arguments.out or temporary)) for split in range(arguments.splits)
            ]
            sets.append(summed(mine))
            fits += mine
    figures = {
        "machine": harness.machine(), "seed": arguments.seed, "trials": arguments.trials, "noise": arguments.noise,
        "sets": sets, "fits": fits,
    }  # fmt: skip
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
