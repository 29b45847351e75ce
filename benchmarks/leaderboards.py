"""Rows of a finished run's leaderboard: by what they are, as predictors of their own, and in pairs on test rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DRAWS = 2_000
COMPARED = ("random", "similarity")
"""Proposers of architectures that are in the leaderboard for comparison: they do not count as found."""


def as_run(run: Path, name: str, folder: Path) -> Path:
    """A run folder whose decision is another row of the leaderboard: its weights are in the run's own stage files."""
    from plait.fusion.candidates import Candidate
    from plait.pipeline.run import file_digest
    from plait.training.checkpoints import load_tensors, save_tensors

    manifest = json.loads((run / "plait.json").read_text(encoding="utf-8"))
    trials = _trials(run)
    number = next(i for i, trial in enumerate(trials) if trial["candidate"]["name"] == name)
    prefix = f"{number}/weights/"
    trained = load_tensors(run / "stages" / "evaluate.safetensors")
    tensors = {
        f"decision/{key.removeprefix(prefix)}": value for key, value in trained.items() if key.startswith(prefix)
    }
    used = list(Candidate.model_validate(trials[number]["candidate"]).used)
    order = [entry["name"] for entry in manifest["modalities"]]
    for place, modality in enumerate(used):
        network = load_tensors(run / "stages" / f"encode-{order.index(modality)}.safetensors")
        tensors |= {f"network/{place}/{key}": value for key, value in network.items()}
    made = folder / f"row-{number}"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    save_tensors(made / "weights.safetensors", tensors)
    manifest |= {
        "tasks": [{**task, "offsets": ()} for task in manifest["tasks"]],  # thresholds are of what was returned
        "decision": trials[number]["candidate"], "used": used, "discarded": sorted(set(order) - set(used)),
        "weights": {"file": "weights.safetensors", "sha256": file_digest(made / "weights.safetensors")},
    }  # fmt: skip
    (made / "plait.json").write_text(json.dumps(manifest), encoding="utf-8")
    return made


def _trials(run: Path) -> list[dict[str, Any]]:
    """What competed, in full: name, kind, proposer, validation score."""
    marker = json.loads((run / "stages" / "evaluate.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = marker["result"]["trials"]
    return found


def rows_of(run: Path) -> dict[str, dict[str, Any] | None]:
    """The rows that tell whether the search pays; None where there is no such row.

    Each has name, validation and test score. The choice among several is by validation score, as a fit does it.

    Returns:
        `alone: NAME` for every modality; `best late`, of all rules; `early`; `concat of last layers`; `found`, by the
        strategy or by pruning; `random search`; `returned`.
    """
    manifest = json.loads((run / "plait.json").read_text(encoding="utf-8"))
    tests = {row["name"]: row["test"] for row in manifest["leaderboard"]}
    rows = [
        {
            "name": trial["candidate"]["name"], "kind": trial["candidate"]["kind"], "validation": trial["score"],
            "proposer": trial["candidate"].get("proposer", ""), "test": tests.get(trial["candidate"]["name"]),
        }
        for trial in _trials(run)
    ]  # fmt: skip
    wanted: dict[str, Callable[[dict[str, Any]], bool]] = {
        "best late": lambda row: row["kind"] == "late",
        "early": lambda row: row["name"] == "early",
        "concat of last layers": lambda row: row["name"] == "concat of last layers",
        "found": lambda row: bool(row["proposer"]) and row["proposer"] not in COMPARED,
        "random search": lambda row: row["proposer"] == "random",
    }
    told: dict[str, dict[str, Any] | None] = {f"alone: {row['name']}": row for row in rows if row["kind"] == "unimodal"}
    for what, fits in wanted.items():
        told[what] = max(filter(fits, rows), key=lambda row: row["validation"] or -np.inf, default=None)
    told["returned"] = next(row for row in manifest["leaderboard"] if row["chosen"])
    return told


def right(run: Path, test: Any) -> np.ndarray:
    """Whether a run's predictor is right in every row of a table; of several targets the share. Array [rows]."""
    import plait

    predictor = plait.load(run)
    answers = predictor.predict(test)
    correct = [(answers[name].astype(str).to_numpy() == test[name].astype(str).to_numpy()) for name in answers.columns]
    return np.mean(correct, axis=0)


def paired(difference: np.ndarray, groups: np.ndarray, seed: int = 0, draws: int = DRAWS) -> tuple[float, float, float]:
    """A mean difference and its 95 % interval, by a bootstrap over groups of rows that stand or fall together.

    Args:
        difference: Of two predictors on the same rows, [rows].
        groups: What a row belongs to, such as its recording, [rows].
        seed: Decides the draws.
        draws: How many.

    Returns:
        Mean, lower and upper end.
    """
    _, codes = np.unique(groups, return_inverse=True)
    total, count = np.bincount(codes, difference), np.bincount(codes)
    taken = np.random.default_rng([seed, 95]).multinomial(len(count), np.full(len(count), 1 / len(count)), draws)
    low, high = np.quantile((taken @ total) / (taken @ count), [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)


def majority(train: Sequence[Any], test: Sequence[Any]) -> float:
    """Accuracy on test rows of the class that is most frequent among the training rows."""
    names, counts = np.unique(np.asarray(train), return_counts=True)
    return float(np.mean(np.asarray(test) == names[counts.argmax()]))
