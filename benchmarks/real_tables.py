"""Fits real tables from end to end, and sets the leaderboard beside simple models on the same rows.

  digits   handwritten digits (5 principal components kept) with spoken digits in noise, paired by label
  mfeat    handwritten numerals, two views (fou, mor) as vector columns; `mfeat-all` has all six
  houses   four photos and four attributes of a house, to the logarithm of its price; `houses-price` to the price

Every table is fitted by `plait.fit`, evaluated on test rows that the fit never saw, and asked for predictions without
its target column. The simple models (logistic or ridge regression, gradient boosting) read plain features of the same
training rows; their one setting is chosen on the validation rows. Read from the folder in PLAIT_DATA.

Example:
  python benchmarks/real_tables.py --tables mfeat houses --trials 3
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import harness
import tables

TABLES: dict[str, Callable[[int], tables.Split]] = {
    "digits": lambda seed: tables.digits(seed=seed),
    "mfeat": lambda seed: tables.mfeat(seed=seed),
    "mfeat-all": lambda seed: tables.mfeat(tables.MFEAT_VIEWS, seed=seed),
    "houses": lambda seed: tables.houses(seed=seed),
    "houses-price": lambda seed: tables.houses(log_price=False, seed=seed),
    "made-digits": lambda seed: tables.made_digits(seed=seed),
    "made-views": lambda seed: tables.made_views(seed=seed),
    "made-houses": lambda seed: tables.made_houses(side=16, photos=("front", "back"), seed=seed),
}
REAL = tuple(name for name in TABLES if not name.startswith("made"))


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(REAL), help="which tables")
    made.add_argument("--trials", type=int, default=3, help="fusion architectures to try (default 3)")
    made.add_argument("--time-limit", type=float, help="seconds for each fit, instead of --trials")
    made.add_argument("--out", help="keep the run folders in this folder")
    return made


def run_table(name: str, arguments: Any, folder: Path) -> dict[str, Any]:
    """Fit, evaluate, predict, compare."""
    import plait

    split = TABLES[name](arguments.seed)
    harness.say(f"{name}: {len(split.train)} / {len(split.validation)} / {len(split.test)} rows")
    budget = {"time_limit": arguments.time_limit} if arguments.time_limit else {"trials": arguments.trials}
    started = time.perf_counter()
    predictor = plait.fit(
        split.train, split.target, validation=split.validation, test=split.test, group=split.group,
        out=folder / name, seed=arguments.seed, **budget,
    )  # fmt: skip
    spent = time.perf_counter() - started
    evaluated = predictor.evaluate(split.test)
    asked = split.test.drop(columns=split.target)
    answers = predictor.predict(asked)
    if len(answers) != len(asked) or list(answers.columns) != [split.target]:
        raise AssertionError(f"predict gave {answers.shape} for {len(asked)} rows")
    return {
        "table": name,
        "rows": [len(part) for part in split.parts],
        "target": split.target,
        "fit_s": spent,
        "stages_s": predictor.manifest["stages"],
        "epochs": {entry["name"]: entry["epochs"] for entry in predictor.manifest["modalities"]},
        "chosen": next(row["name"] for row in predictor.leaderboard_rows() if row["chosen"]),
        "test": evaluated["tasks"][split.target]["metrics"],
        "why": predictor.manifest["choice"]["sentence"],
        "notes": predictor.manifest["notes"],
        "leaderboard": predictor.leaderboard_rows(),
        "show": predictor.show(),
        "simple_models": simple_models(split, arguments.seed),
    }


def simple_models(split: tables.Split, seed: int) -> list[dict[str, Any]]:
    """What simple models reach on the same rows, with their score in plait's unit: 1 - loss / loss of the constant."""
    truth = [part[split.target].to_numpy() for part in split.parts]
    classes = np.issubdtype(truth[0].dtype, np.integer)
    told = []
    for reads, inputs in split.plain.items():
        for name, settings in _candidates(classes, inputs[0].shape[1], seed).items():
            found = []
            for setting, model in settings.items():
                model.fit(inputs[0], truth[0])
                found.append((score(model, inputs[1], truth[1], truth[0], classes)["score"], setting, model))
            best = max(found, key=lambda one: one[0])
            test = score(best[2], inputs[2], truth[2], truth[0], classes)
            told.append(
                {"name": name, "reads": reads, "setting": best[1], "validation": best[0], "test": test.pop("score")}
                | {"metrics": test}
            )
    return told


def _candidates(classes: bool, features: int, seed: int) -> dict[str, dict[float, Any]]:
    """Simple models by name and by the setting that is chosen on validation rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear: dict[float, Any] = {}
    for strength in (0.1, 1.0, 10.0, 100.0):
        model = LogisticRegression(C=0.1 / strength, max_iter=2_000) if classes else Ridge(strength)
        linear[strength] = make_pipeline(StandardScaler(), model)
    boosting: Any = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    trees = {rate: boosting(learning_rate=rate, max_iter=100, random_state=seed) for rate in (0.03, 0.1)}
    name = "logistic regression" if classes else "ridge regression"
    # Boosting takes minutes on many columns and classes.
    return {name: linear} if features > 100 else {name: linear, "gradient boosting": trees}


def score(model: Any, inputs: np.ndarray, truth: np.ndarray, train: np.ndarray, classes: bool) -> dict[str, float]:
    """1 - loss / loss of the constant fitted on training labels; and accuracy and log loss, or R2 and RMSE."""
    if not classes:
        error = float(((model.predict(inputs) - truth) ** 2).mean())
        constant = float(((train.mean() - truth) ** 2).mean())
        return {"score": 1 - error / constant, "r2": float(model.score(inputs, truth)), "rmse": error**0.5}
    names, counts = np.unique(train, return_counts=True)
    column = np.searchsorted(names, truth)
    chances = np.clip(model.predict_proba(inputs)[np.arange(len(truth)), column], 1e-12, None)
    log_loss = float(-np.log(chances).mean())
    constant = float(-np.log(counts[column] / counts.sum()).mean())
    return {"score": 1 - log_loss / constant, "accuracy": float(model.score(inputs, truth)), "log_loss": log_loss}


def readable(figures: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for one in figures["tables"]:
        metrics = ", ".join(f"{key} {value:.4g}" for key, value in one["test"].items() if value is not None)
        lines += [
            "",
            f"{one['table']}: {' / '.join(map(str, one['rows']))} rows, fit {one['fit_s']:.0f} s",
            "  epochs " + ", ".join(f"{name} {count}" for name, count in one["epochs"].items()),
            "  seconds " + ", ".join(f"{name} {spent:.1f}" for name, spent in one["stages_s"].items() if spent >= 0.05),
            f"  returned: {one['chosen']}; test: {metrics}",
            f"  {one['why']}",
            f"  show: used {one['show']['modalities']['used']}, discarded {one['show']['modalities']['discarded']}",
            *(f"  note: {note.splitlines()[0]}" for note in one["notes"]),
            f"  {'leaderboard':<52} {'kind':<13} {'valid.':>7} {'test':>7} {'s':>6}",
        ]
        lines += [
            f"  {row['name'][:52]:<52} {row['kind']:<13} {row['validation']:>7.4f} {row['test']:>7.4f} "
            f"{row['seconds']:>6.2f}" + ("  <- returned" if row["chosen"] else "")
            for row in one["leaderboard"]
        ]
        lines += [
            f"  {row['name'] + ', ' + row['reads']:<66.66} {row['validation']:>7.4f} {row['test']:>7.4f}         "
            + ", ".join(f"{key} {value:.4g}" for key, value in row["metrics"].items())
            for row in one["simple_models"]
        ]
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    figures: dict[str, Any] = {"machine": harness.machine(), "tables": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.out or temporary)
        figures["tables"] = [run_table(name, arguments, folder) for name in arguments.tables]
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
