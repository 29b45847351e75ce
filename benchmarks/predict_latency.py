"""How long a loaded predictor takes to answer for 1 row and for 256, media decoding included, on one core.

Fits a small image + table run (houses: the frontal photo, 64 x 64, and four attributes; `--made` makes a table like
it), loads it, and times `predict` on pandas frames whose photos are bytes or paths. What a fit returns may read one
modality only, so the late mean, the early fusion and the concatenation of last layers are timed as well: the same run's
networks with another row of its leaderboard as the decision. Where the time goes is measured in a second round with
clocks inside (they cost a little).

  table    reading the frame into the typed form, checking its columns
  resolve  media paths made absolute
  decode   files to arrays, table columns to numbers
  model    networks and decision
  answers  outputs to labels and a frame
  other    the rest

Example:
  python benchmarks/predict_latency.py
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import harness
import leaderboards
import tables

AIMS_MS = {1: 5.0, 256: 60.0}
BOTH = ("late mean", "early", "concat of last layers")
REFERENCE_MS = {1: (41, 59), 256: (1_600, 2_400)}
"""AutoGluon MultiModal, image + table, small backbone, one core; measured elsewhere."""


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--made", action="store_true", help="use a made table instead of houses")
    made.add_argument("--fit-rows", type=int, default=535, help="rows to fit on (default: all 535 houses)")
    made.add_argument("--side", type=int, default=64, help="side of made photos in pixels (default 64)")
    made.add_argument("--run", help="a folder to keep the run in, or to take it from if it is there")
    made.add_argument("--rows", type=int, nargs="*", default=[1, 256], help="rows per call (default 1 256)")
    made.add_argument(
        "--calls", type=int, default=200, help="timed calls with one row; fewer with more rows (default 200)"
    )
    return made


def table_of(arguments: Any) -> tables.Split:
    """One photo and the attributes of every house; or a made table."""
    if arguments.made:
        return tables.made_houses(arguments.fit_rows, arguments.side, seed=arguments.seed)
    split = tables.houses(seed=arguments.seed)
    others = list(tables.PHOTOS[1:])
    return replace(
        split,
        train=split.train.drop(columns=others).iloc[: arguments.fit_rows],
        validation=split.validation.drop(columns=others),
        test=split.test.drop(columns=others),
    )


def fitted(arguments: Any, split: tables.Split, folder: Path) -> Path:
    """The run folder: the one given, or a new one."""
    import plait

    run = Path(arguments.run) if arguments.run else folder / "run"
    if not (run / "plait.json").exists():
        harness.say("fitting")
        plait.fit(
            split.train,
            split.target,
            validation=split.validation,
            test=split.test,
            out=run,
            trials=1,
            seed=arguments.seed,
        )
    return run


def as_paths(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The frame with every photo in a file of its own."""
    folder.mkdir(exist_ok=True)
    found = frame.copy()
    for name in frame.columns:
        if isinstance(frame[name].iloc[0], bytes):
            paths = [folder / f"{name}-{row}" for row in range(len(frame))]
            for path, cell in zip(paths, frame[name], strict=True):
                path.write_bytes(cell)
            found[name] = [path.name for path in paths]
    return found


def times(work: Callable[[int], Any], calls: int, warm: int = 5) -> np.ndarray:
    """Milliseconds [calls] of calls that are told their number."""
    for number in range(warm):
        work(number)
    found = np.empty(calls)
    for number in range(calls):
        started = time.perf_counter()
        work(number)
        found[number] = (time.perf_counter() - started) * 1e3
    return found


@contextmanager
def clocks(predictor: Any) -> Iterator[dict[str, float]]:
    """Inside, the parts of `predict` write the seconds they take into the dict; a part inside another counts once."""
    import plait.predictor as front

    spent = dict.fromkeys(("table", "resolve", "decode", "model", "answers"), 0.0)
    undo: list[Callable[[], None]] = []
    inside: list[str] = []

    def watch(owner: Any, name: str, part: str) -> None:
        plain = getattr(owner, name)
        own = name in vars(owner)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if inside:
                return plain(*args, **kwargs)
            inside.append(part)
            started = time.perf_counter()
            try:
                return plain(*args, **kwargs)
            finally:
                spent[part] += time.perf_counter() - started
                inside.pop()

        def put_back() -> None:
            if own:
                setattr(owner, name, plain)
            else:
                delattr(owner, name)

        setattr(owner, name, timed)
        undo.append(put_back)

    for name, part in (("read_table", "table"), ("require_columns", "table"), ("resolve_media", "resolve")):
        watch(front, name, part)
    for kind in {type(reader) for reader in predictor.readers.values()}:
        watch(kind, "read", "decode")
    watch(type(predictor.model), "predict", "model")
    watch(front, "answers_of", "answers")
    try:
        yield spent
    finally:
        for put_back in reversed(undo):
            put_back()


def measure(run: Path, frame: pd.DataFrame, rows: int, calls: int) -> dict[str, Any]:
    """p50 and p95 of `predict`, and where the time goes, for calls of so many rows."""
    import plait

    predictor = plait.load(run)
    count = max(10, calls // max(1, rows // 16))
    many = pd.concat([frame] * (1 + 2 * rows // len(frame)), ignore_index=True)
    starts = np.linspace(0, len(many) - rows, 16).astype(int)
    pieces = [many.iloc[start : start + rows].reset_index(drop=True) for start in starts]
    found = times(lambda number: predictor.predict(pieces[number % len(pieces)]), count)
    with clocks(predictor) as spent:
        inner = times(lambda number: predictor.predict(pieces[number % len(pieces)]), count, warm=0)
    parts = {part: total / count * 1e3 for part, total in spent.items()}
    parts["other"] = float(inner.mean()) - sum(parts.values())
    return {
        "rows": rows,
        "calls": count,
        "p50_ms": float(np.quantile(found, 0.5)),
        "p95_ms": float(np.quantile(found, 0.95)),
        "aim_ms": AIMS_MS.get(rows),
        "reference_ms": REFERENCE_MS.get(rows),
        "parts_ms": parts,
    }


def networks(run: Path) -> dict[str, Any]:
    """Operations per row of every network of a run: matrix products and convolutions, two each."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import plait

    predictor = plait.load(run)
    told = {}
    for name, network in zip(predictor.model.names, predictor.model.networks, strict=True):
        reading = predictor.readers[name].empty(32)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.from_numpy(reading.values))
        told[name] = {
            "encoder": type(network.encoder).__name__,
            "shape": list(predictor.readers[name].shape),
            "flop_per_row": counter.get_total_flops() / 32,
        }
    return told


def decode_floor(frame: pd.DataFrame) -> float:
    """Milliseconds per photo that Pillow alone takes, from bytes to an array."""
    from PIL import Image

    name = next(column for column in frame.columns if isinstance(frame[column].iloc[0], bytes))
    cells = list(frame[name][:64])

    def decode() -> None:
        for cell in cells:
            np.asarray(Image.open(io.BytesIO(cell)).convert("RGB"))

    return harness.seconds(decode, 5) / len(cells) * 1e3


def readable(figures: dict[str, Any]) -> list[str]:
    parts = list(figures["latency"][0]["parts_ms"])
    head = f"{'predictor':<22} {'cells':<6} {'rows':>5} {'p50 ms':>8} {'p95 ms':>8} {'aim':>6} | "
    lines = [
        f"{name}: {told['encoder']} {told['shape']}, {told['flop_per_row'] / 1e6:.2f} MFLOP a row"
        for name, told in figures["networks"].items()
    ]
    lines += [
        f"chosen by the fit: {figures['chosen']}",
        f"Pillow alone: {figures['pillow_ms_per_photo']:.3f} ms a photo",
        head + "".join(f"{part:>9}" for part in parts),
    ]
    for one in figures["latency"]:
        aim = "" if one["aim_ms"] is None else f"{one['aim_ms']:.0f}"
        lines.append(
            f"{one['predictor']:<22} {one['cells']:<6} {one['rows']:>5} "
            f"{one['p50_ms']:>8.2f} {one['p95_ms']:>8.2f} {aim:>6} | "
            + "".join(f"{one['parts_ms'][part]:>9.2f}" for part in parts)
        )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    import plait

    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    split = table_of(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = fitted(arguments, split, folder)
        both = {name: leaderboards.as_run(run, name, folder / "variants") for name in BOTH}
        asked = pd.concat([split.validation, split.test], ignore_index=True).drop(columns=split.target)
        frames = {"bytes": asked, "paths": as_paths(asked, folder / "photos")}
        figures: dict[str, Any] = {
            "machine": harness.machine(),
            "table": split.name,
            "chosen": next(row["name"] for row in plait.load(run).leaderboard_rows() if row["chosen"]),
            "networks": networks(both["early"]),
            "pillow_ms_per_photo": decode_floor(asked),
            "latency": [],
        }
        with harness.one_core():
            for name, place in {"as returned": run, **both}.items():
                for cells, frame in frames.items():
                    for rows in arguments.rows:
                        harness.say(f"{name}, {cells}, {rows} rows")
                        with contextlib.chdir(folder / "photos"):  # relative paths start there, and must stay inside
                            one = measure(place, frame, rows, arguments.calls)
                        figures["latency"].append({"predictor": name, "cells": cells} | one)
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
