"""Contents of `plait.json`, made by hand for the cases a report must show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HOSTILE = "<script>alert('x')</script>"
PARTS = ("train", "validation", "test")
ROWS = {"train": 700, "validation": 150, "test": 150}
CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "log_loss")
NUMBER_METRICS = ("r2", "rmse", "mae", "spearman")


def row(name: str, kind: str, score: float | None, test: float | None = None, **more: Any) -> dict[str, Any]:
    """A leaderboard row; intervals reach 0.05 to either side."""
    return {
        "name": name, "kind": kind, "validation": score, "test": test, "seconds": 0.5, "chosen": False, "tied": False,
        "seeds": [score, score], "interval": _around(score), "test_interval": _around(test), "text": None, "used": [],
        **more,
    }  # fmt: skip


def _around(score: float | None) -> list[float | None]:
    return [None, None] if score is None else [score - 0.05, score + 0.05]


def class_task(name: str, classes: Sequence[str]) -> dict[str, Any]:
    """A classification task."""
    kind = "binary" if len(classes) == 2 else "multiclass"
    prior = [-1.0] * len(classes)
    return {
        "name": name, "kind": kind, "label_type": "str", "classes": list(classes), "mean": 0.0, "scale": 1.0,
        "prior": prior,
    }  # fmt: skip


def number_task(name: str) -> dict[str, Any]:
    """A regression task."""
    return {
        "name": name, "kind": "regression", "label_type": "float", "classes": [], "mean": 213.25, "scale": 52.5,
        "prior": [0.0],
    }  # fmt: skip


def modality(name: str, kind: str = "vector", **more: Any) -> dict[str, Any]:
    """A modality with a network of two hidden layers."""
    reader = {"kind": kind, "width": 64}
    return {
        "name": name, "kind": kind, "columns": [name], "reader": reader, "encoder": "mlp", "widths": [64, 32, 16, 3],
        "epochs": 12, **more,
    }  # fmt: skip


def metrics_of(tasks: Sequence[dict[str, Any]], value: float | None = 0.8) -> dict[str, Any]:
    """Every metric of every task at one value."""
    return {
        task["name"]: {
            "n": 150,
            "metrics": dict.fromkeys(NUMBER_METRICS if task["kind"] == "regression" else CLASS_METRICS, value),
        }
        for task in tasks
    }


def content(
    tasks: Sequence[dict[str, Any]] | None = None,
    modalities: Sequence[dict[str, Any]] | None = None,
    rows: Sequence[dict[str, Any]] | None = None,
    parts: dict[str, int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A whole content: by default a class of three from an image and a sound, with a test part."""
    tasks = list(tasks if tasks is not None else [class_task("digit", ["one", "three", "two"])])
    modalities = list(modalities if modalities is not None else [modality("image"), modality("sound")])
    rows = list(rows if rows is not None else leaderboard())
    names = [one["name"] for one in modalities]
    made: dict[str, Any] = {
        "format": 1,
        "finished": True,
        "versions": {"plait": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        "seed": 7,
        "metric": None,
        "limit": {"seconds": None, "trials": 2},
        "schema": {"version": 1, "columns": _columns(names, tasks)},
        "tasks": tasks,
        "modalities": modalities,
        "decision": {},
        "architectures": [],
        "used": names,
        "discarded": [],
        "weights": {"file": "weights.safetensors", "sha256": "0" * 64},
        "leaderboard": rows,
        "choice": {"sentence": "Fusion pays: concat of last layers against image: +0.1500.", "fusion": fusion()},
        "metrics": {"validation": metrics_of(tasks), "test": metrics_of(tasks, 0.75)},
        "data": data(names, tasks, parts or ROWS),
        "stages": {"split": 0.003, "decode": 0.9, "encode-0": 4.4, "encode-1": 49.6, "evaluate": 13.1, "test": 0.4},
        "notes": [],
    }
    return {**made, **more}


def leaderboard() -> list[dict[str, Any]]:
    """Four rows: an architecture ahead, a late rule tied with it and returned, two modalities."""
    return [
        row("concat of last layers", "architecture", 0.90, 0.88, tied=True),
        row("late product", "late", 0.89, 0.87, tied=True, chosen=True),
        row("image", "unimodal", 0.75, 0.7),
        row("sound", "unimodal", 0.6, 0.55),
    ]


def fusion(low: float = 0.1, high: float = 0.2) -> dict[str, Any]:
    """The paired difference of the best fused row and the best single modality."""
    return {
        "better": "concat of last layers", "than": "image", "difference": (low + high) / 2, "standard_error": 0.02,
        "low": low, "high": high,
    }  # fmt: skip


def data(names: Sequence[str], tasks: Sequence[dict[str, Any]], parts: dict[str, int]) -> dict[str, Any]:
    """Rows by part; a tenth of every modality's cells is missing; classes are about equally frequent."""
    return {
        "table": "table.parquet",
        "rows": dict(parts),
        "skipped": 0,
        "present": {name: {part: rows - rows // 10 for part, rows in parts.items()} for name in names},
        "labelled": {task["name"]: dict(parts) for task in tasks},
        "classes": {
            task["name"]: {part: _spread(rows, len(task["classes"])) for part, rows in parts.items()}
            for task in tasks
            if task["classes"]
        },
    }


def _spread(rows: int, classes: int) -> list[int]:
    return [rows // classes + (index < rows % classes) for index in range(classes)]


def _columns(names: Sequence[str], tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    inputs = [{"name": name, "role": "input", "kind": "vector", "reason": "lists of 64 numbers"} for name in names]
    targets = [{"name": t["name"], "role": "target", "kind": t["kind"], "reason": "said so"} for t in tasks]
    ignored = {"name": "voice", "role": "ignored", "kind": None, "reason": "ignored: looks like an id"}
    return [*inputs, *targets, ignored]
