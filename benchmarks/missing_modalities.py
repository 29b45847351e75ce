"""Does it do as well as the best single modality that is there? Audio-visual digits with modalities missing.

A modality is taken from a share of the rows, at training and at test alike: of the image, of the sound, or of each on
its own. Printed: test accuracy of what was returned, of what competes beside it, and of the best single modality that
a row has (the one of its modalities that is better alone on validation rows that have it; the most frequent class
where it has none), with the paired difference and its 95 % interval (a bootstrap over recordings).

Examples:
  PLAIT_DATA=data python benchmarks/missing_modalities.py --seeds 1
  PLAIT_DATA=data python benchmarks/missing_modalities.py --rows 600 --shares 0.3 --which sound --trials 4   # quick
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import harness
import leaderboards
import paired_digits
import tables

WHICH = {"image": ("image",), "sound": ("sound",), "each": paired_digits.MEDIA}


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--rows", type=int, default=4_000, help="training rows; a quarter and a half for the others")
    made.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.3, 0.6, 0.9], help="of rows without it")
    made.add_argument("--which", nargs="+", choices=list(WHICH), default=list(WHICH), help="what is missing")
    made.add_argument("--trials", type=int, default=16, help="architectures to try (default 16)")
    made.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on (default 1)")
    made.add_argument("--out", help="keep the run folders in this folder; finished ones are taken from there")
    return made


def lacking(split: tables.Split, names: tuple[str, ...], share: float, seed: int) -> tables.Split:
    """The table with cells of some columns emptied, each on its own, in so large a share of the rows."""
    rng = np.random.default_rng([seed, 0x1ACC])
    parts = []
    for part in split.parts:
        columns = {}
        for name in names:
            gone = rng.random(len(part)) < share
            columns[name] = [None if out else cell for out, cell in zip(gone, part[name], strict=True)]
        parts.append(part.assign(**columns))
    return replace(split, train=parts[0], validation=parts[1], test=parts[2])


def best_present(run: Path, split: tables.Split, folder: Path) -> np.ndarray:
    """Whether the best single modality that a row has is right, [test rows]."""
    alone = {name: leaderboards.as_run(run, name, folder) for name in paired_digits.MEDIA}
    judged = {}
    for name, one in alone.items():
        having = split.validation[np.array([cell is not None for cell in split.validation[name]])]
        judged[name] = float(leaderboards.right(one, having).mean())
    truth = split.test[split.target].to_numpy()
    found = truth == split.train[split.target].mode()[0]
    for name in sorted(alone, key=judged.__getitem__):  # the better one last: it has the last word
        there = np.array([cell is not None for cell in split.test[name]])
        found = np.where(there, leaderboards.right(alone[name], split.test), found)
    return found


def measured(split: tables.Split, which: str, share: float, arguments: Any, seed: int, folder: Path) -> dict[str, Any]:
    """One fit."""
    import plait

    lacks = lacking(split, WHICH[which], share, seed)
    run = folder / f"{which}-{share:g}"
    if not (run / "plait.json").exists():
        harness.say(f"seed {seed}: {share:.0%} without {which}")
        plait.fit(
            lacks.train, lacks.target, validation=lacks.validation, test=lacks.test, group=lacks.group,
            inputs=paired_digits.MEDIA, metric="accuracy", trials=arguments.trials, seed=seed, out=run, resume=True,
        )  # fmt: skip
    predictor = plait.load(run)
    board = predictor.leaderboard_rows()
    with tempfile.TemporaryDirectory() as temporary:
        best = best_present(run, lacks, Path(temporary))
    ours = leaderboards.right(run, lacks.test)
    difference = leaderboards.paired(ours.astype(float) - best, lacks.test[lacks.group].to_numpy(), seed)
    return {
        "which": which, "share": share, "seed": seed, "returned": next(r["name"] for r in board if r["chosen"]),
        "accuracy": float(ours.mean()), "best_present": float(best.mean()), "difference": difference,
        "beside": {row["name"]: row["test"] for row in board if row["name"] in ("moddrop", "concat of last layers")},
    }  # fmt: skip


def readable(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"{'missing':<14} {'seed':>4} {'returned':>9} {'best present':>13} {'difference':>11} {'95 % interval':>18}  "
        "moddrop  concat  what was returned"
    ]
    for one in figures["fits"]:
        mean, low, high = (100 * value for value in one["difference"])
        beside = [one["beside"].get(name) for name in ("moddrop", "concat of last layers")]
        told = "  ".join("      -" if value is None else f"{100 * value:>7.1f}" for value in beside)
        lines.append(
            f"{one['share']:>4.0%} {one['which']:<9} {one['seed']:>4} {100 * one['accuracy']:>9.1f} "
            f"{100 * one['best_present']:>13.1f} {mean:>+11.2f} {f'{low:+.2f} to {high:+.2f}':>18}  {told}  "
            f"{one['returned'][:60]}"
        )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    fits = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            sizes = (arguments.rows, max(20, arguments.rows // 4), max(20, arguments.rows // 2))
            split = paired_digits.digits(sizes, seed)
            folder = Path(arguments.out or temporary) / f"seed-{seed}"
            for share in arguments.shares:
                wanted = arguments.which if share else arguments.which[:1]
                fits += [measured(split, which, share, arguments, seed, folder) for which in wanted]
    figures = {"machine": harness.machine(), "trials": arguments.trials, "rows": arguments.rows, "fits": fits}
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
