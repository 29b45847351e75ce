"""Audio-visual digits, rebuilt: every leaderboard row's accuracy, and the published figures.

Builds the benchmark (docs/data-av-mnist.md) from the folder in PLAIT_DATA, fits it with a time limit, and prints each
modality alone, early, late by every rule, concat of last layers and what the search found. Ours is a rebuild from
public ingredients, not the file that the published figures were measured on. Intervals are bootstrapped by recording:
300 clips stand behind the test rows.

Published: Perez-Rua et al. (MFAS, CVPR 2019), quoted.

Examples:
  python benchmarks/av_mnist.py --train 20000 --validation 2500 --time-limit 900
  python benchmarks/av_mnist.py --run RUN       # only print the table of a finished run
"""

from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import harness

PUBLISHED = {"image": 74.5, "sound": 66.1, "late": 87.8, "MFAS": 88.4}


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--train", type=int, default=55_000, help="training rows (default 55000)")
    made.add_argument("--validation", type=int, default=5_000, help="validation rows (default 5000)")
    made.add_argument("--test", type=int, default=10_000, help="test rows (default 10000)")
    made.add_argument("--time-limit", type=float, default=900, help="seconds for the fit (default 900)")
    made.add_argument("--run", help="a run folder: kept there, or printed if it is finished")
    return made


def fitted(arguments: Any, folder: Path) -> Path:
    """The run folder: the one given, or a new one."""
    import plait
    from plait.data.build import BUILDERS, BuildOptions
    from plait.pipeline.narrator import Narrator

    run = Path(arguments.run) if arguments.run else folder / "run"
    if not (run / "plait.json").exists():
        harness.say("building")
        sizes = {"train": arguments.train, "validation": arguments.validation, "test": arguments.test}
        wanted = BuildOptions(harness.data_folder(), folder / "table", **sizes, seed=arguments.seed)
        BUILDERS["av-mnist"]().build(wanted, Narrator())
        harness.say("fitting")
        tables = {part: folder / "table" / f"{part}.parquet" for part in sizes}
        plait.fit(
            tables["train"], validation=tables["validation"], test=tables["test"], group="recording",
            metric="accuracy", time_limit=arguments.time_limit, seed=arguments.seed, out=run,
        )  # fmt: skip
    return run


def figures(manifest: dict[str, Any]) -> dict[str, Any]:
    """The table's rows in percent, and the share of the time that each stage took."""
    found = set((manifest["search"] or {}).get("finalists", []))
    rows = [
        {
            "name": row["name"], "kind": row["kind"], "found": row["name"] in found, "chosen": row["chosen"],
            "validation": 100 * row["validation"], "test": 100 * row["test"],
            "low": 100 * row["test_interval"][0], "high": 100 * row["test_interval"][1],
        }
        for row in manifest["leaderboard"]
    ]  # fmt: skip
    total = sum(manifest["stages"].values())
    return {
        "machine": harness.machine(), "rows": manifest["data"]["rows"], "seed": manifest["seed"],
        "limit": manifest["limit"], "leaderboard": rows, "sentence": manifest["choice"]["sentence"],
        "trials": len((manifest["search"] or {"trials": []})["trials"]), "seconds": total,
        "stages": {name: seconds / total for name, seconds in manifest["stages"].items()},
        "published": PUBLISHED, "notes": manifest["notes"],
    }  # fmt: skip


def readable(told: dict[str, Any]) -> list[str]:
    sizes = " / ".join(f"{count:,}" for count in told["rows"].values())
    lines = [
        f"{sizes} rows, seed {told['seed']}, {told['seconds']:.0f} s, {told['trials']} architectures tried",
        f"{'accuracy, %':<96} validation   test  95 % interval",
    ]
    for row in told["leaderboard"]:
        mark = ">" if row["chosen"] else "*" if row["found"] else " "
        figures_of = f"{row['validation']:>10.1f} {row['test']:>6.1f}  {row['low']:.1f} to {row['high']:.1f}"
        lines.append(f"{mark} {row['name']:<94} {figures_of}")
    lines += ["> returned, * found by the search", told["sentence"], *told["notes"]]
    lines.append("published (another file): " + ", ".join(f"{name} {value}" for name, value in PUBLISHED.items()))
    lines.append("share of the time: " + ", ".join(f"{name} {share:.0%}" for name, share in told["stages"].items()))
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        manifest = json.loads((fitted(arguments, Path(folder)) / "plait.json").read_text(encoding="utf-8"))
    told = figures(manifest)
    harness.finish(told, arguments.json, readable(told))


if __name__ == "__main__":
    main()
