"""What large tables cost: seconds and peak memory of reading a schema, and of a fit under a time limit.

A made table: 20 numeric columns and a vector of 64 numbers, of which some decide 8 targets (four of two classes, four
numbers), each of them missing in 40 % of the rows. Every command is a process of its own, and its peak is that of the
process and its workers. Cells stand in Parquet, written in pieces, so that making the table needs no memory either.

Examples:
  python benchmarks/table_scale.py
  python benchmarks/table_scale.py --rows 10000 --time-limit 20     # a quick look
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np

import harness

NUMERIC, WIDTH, TARGETS, MISSING = 20, 64, 8, 0.4
PIECE = 50_000


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--rows", nargs="+", type=int, default=[10_000, 100_000, 1_000_000], help="rows of the tables")
    made.add_argument("--time-limit", type=float, default=300, help="seconds of every fit (default 300)")
    made.add_argument("--out", help="keep tables and runs in this folder")
    return made


def write(path: Path, rows: int, seed: int) -> None:
    """The table, in pieces."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(NUMERIC + WIDTH, TARGETS)) / np.sqrt(NUMERIC + WIDTH)
    writer = None
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        numbers = rng.normal(size=(count, NUMERIC))
        vectors = rng.normal(size=(count, WIDTH)).astype(np.float32)
        truth = np.concatenate([numbers, vectors], axis=1) @ weights + 0.5 * rng.normal(size=(count, TARGETS))
        gone = rng.random((count, TARGETS)) < MISSING
        columns: dict[str, Any] = {f"n{place}": numbers[:, place] for place in range(NUMERIC)}
        columns["view"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDTH)
        for place in range(TARGETS):
            column = truth[:, place] if place % 2 else (truth[:, place] > 0).astype(np.int64)
            columns[target(place)] = pa.array(column, mask=gone[:, place])
        piece = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    if writer is not None:
        writer.close()


def target(place: int) -> str:
    """Name of a target: those at even places have two classes."""
    return f"{'number' if place % 2 else 'class'}{place}"


def measured(words: list[str]) -> dict[str, Any]:
    """Seconds, peak memory in bytes, and the answer of `plait` with some words, in a process of its own."""
    code = (
        "import json, resource, subprocess, sys, time\n"
        "began = time.monotonic()\n"
        "done = subprocess.run([sys.executable, '-m', 'plait', *sys.argv[1:]], capture_output=True, text=True)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024\n"
        "print(json.dumps([time.monotonic() - began, peak, done.returncode, done.stdout, done.stderr[-2000:]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    seconds, peak, code_, answer, errors = json.loads(done.stdout)
    if code_:
        raise AssertionError(f"plait {' '.join(words)} ended with {code_}: {errors}")
    return {"seconds": seconds, "peak": peak, "answer": answer}


def one(rows: int, folder: Path, arguments: Any) -> dict[str, Any]:
    """All figures of a table of so many rows."""
    table, run = folder / f"{rows}.parquet", folder / f"run-{rows}"
    harness.say(f"{rows:,} rows: writing")
    write(table, rows, arguments.seed)
    targets = [word for place in range(TARGETS) for word in ("--target", target(place))]
    schema = measured(["schema", str(table), *targets, "--json"])
    harness.say(f"{rows:,} rows: schema after {schema['seconds']:.1f} s; fitting")
    began = time.monotonic()
    fit = measured(
        ["fit", str(table), *targets, "--out", str(run), "--time-limit", str(arguments.time_limit), "--json"]
    )  # fmt: skip
    harness.say(f"{rows:,} rows: fitted after {time.monotonic() - began:.0f} s")
    told = json.loads(fit["answer"])
    manifest = json.loads((run / "plait.json").read_text())
    return {
        "rows": rows, "bytes": table.stat().st_size,
        "schema_seconds": schema["seconds"], "schema_peak": schema["peak"],
        "fit_seconds": fit["seconds"], "fit_peak": fit["peak"], "used_rows": manifest["data"]["rows"],
        "stages": told["stages"], "chosen": told["chosen"], "notes": manifest["notes"],
        "test": next(row["test"] for row in told["leaderboard"] if row["chosen"]),
    }  # fmt: skip


def readable(told: dict[str, Any]) -> list[str]:
    lines = [f"{'rows':>10} {'file MB':>8} {'schema s':>9} {'GB':>6} {'fit s':>7} {'GB':>6} {'test':>7}  returned"]
    for one_ in told["tables"]:
        lines.append(
            f"{one_['rows']:>10,} {one_['bytes'] / 1e6:>8.0f} {one_['schema_seconds']:>9.1f} "
            f"{one_['schema_peak'] / 1e9:>6.2f} {one_['fit_seconds']:>7.0f} {one_['fit_peak'] / 1e9:>6.2f} "
            f"{one_['test']:>7.3f}  {one_['chosen'][:60]}"
        )
        longest = sorted(one_["stages"].items(), key=lambda pair: -pair[1])[:6]
        lines.append("           " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in longest))
        lines += [f"           {note[:160]}" for note in one_["notes"] if "row" in note]
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.out or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("PLAIT_CACHE", str(folder / "cache"))
        tables = [one(rows, folder, arguments) for rows in arguments.rows]
    figures = {
        "machine": harness.machine(), "seed": arguments.seed, "time_limit": arguments.time_limit,
        "own_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "tables": tables,
    }  # fmt: skip
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
