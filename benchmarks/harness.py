"""What all benchmarks share: their options, a description of the machine, timing, and how figures are printed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import stdev
from typing import Any

DATA = "PLAIT_DATA"
DEFAULT_DATA = "../shared/data"


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has; its help is the script's docstring."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seed", type=int, default=0, help="decides made data, splits and draws (default 0)")
    made.add_argument("--threads", type=int, default=1, help="threads that torch computes with (default 1)")
    made.add_argument("--json", action="store_true", help="print the figures as JSON, and nothing else, to stdout")
    return made


def set_threads(threads: int) -> None:
    """Let torch, BLAS and OpenMP use so many threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    import torch

    torch.set_num_threads(threads)


@contextmanager
def one_core() -> Iterator[int | None]:
    """Inside, this process runs on a single core: its number, or None where the system cannot do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def fitted(run: Path, table: Any, target: Any, **options: Any) -> Any:
    """The predictor of a run folder: loaded where it is finished, learned or gone on with where it is not."""
    import plait

    return (
        plait.load(run) if (run / "plait.json").exists() else plait.fit(table, target, out=run, resume=True, **options)
    )


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean; None for a single value."""
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def machine() -> dict[str, Any]:
    """CPU model, cores, versions, threads."""
    import torch

    import plait

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "plait": plait.__version__,
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    name = told.get("model name") or platform.processor() or platform.machine()
    model = f"family {told['cpu family']} model {told['model']}" if {"cpu family", "model"} <= told.keys() else ""
    return f"{name} ({model})" if model else name


def data_folder() -> Path:
    """The folder of real data sets: the environment variable PLAIT_DATA, by default `../shared/data`."""
    return Path(os.environ.get(DATA, DEFAULT_DATA))


def require(path: Path) -> Path:
    """The path of a real data file.

    Raises:
        SystemExit: It is not there; the message says how to point at the data.
    """
    if not path.exists():
        raise SystemExit(f"There is no {path}: set {DATA} to the folder that holds {path.parent.name}/{path.name}.")
    return path


def seconds(work: Callable[[], Any], repeats: int = 1) -> float:
    """Wall-clock seconds of the fastest of several calls."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def say(text: str = "") -> None:
    """Progress, to stderr."""
    print(text, file=sys.stderr, flush=True)


def finish(figures: dict[str, Any], as_json: bool, lines: Sequence[str]) -> None:
    """Print the figures: JSON alone, or the machine and readable lines."""
    if as_json:
        print(json.dumps(figures))
        return
    told = figures["machine"]
    print(
        f"{told['cpu']}, {told['cores']} cores, {told['threads']} thread(s), torch {told['torch']}, "
        f"Python {told['python']}, plait {told['plait']}"
    )
    for line in lines:
        print(line)
