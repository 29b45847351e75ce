"""Where does searching for an architecture pay? Real data asked four kinds of questions, from one seed to the next.

  a  AV-MNIST: which digit? Both modalities tell the same thing: late fusion is expected to do.
  b  depth matters: encoders that learned the digit, frozen; who speaks, and who speaks what? The last layers have
     forgotten the speaker; layers in the middle have not.
  c  the operation matters: is the spoken digit the seen one, and what is the sum of both modulo 10? Encoders of b,
     frozen. Neither modality alone tells anything, and late fusion is at chance.
  d  many views: mfeat, and the multiview sets, with noise views among them.

Printed for every fit, in percent of the test rows: the majority class, each modality alone, the best late rule (chosen
on validation rows), early fusion, the concatenation of last layers, the best architecture that the strategy found,
that of random search, and what was returned; the paired differences of the found one with the concatenation and with
the best late rule, with 95 % intervals (a bootstrap over recordings, or over rows where there are none); and what the
fit itself says. Differences are pooled over the seeds at the end. Read from the folder in PLAIT_DATA.

Examples:
  python benchmarks/where_it_pays.py --only b c --seeds 3 --trials 32 --out runs
  python benchmarks/where_it_pays.py --rows 600 --trials 4 --seeds 1     # a quick look whether it all works
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import harness
import leaderboards
import paired_digits
import tables

AGAINST = ("concat of last layers", "best late")
ENCODERS = "digit-encoders"


@dataclass(frozen=True)
class Case:
    """One fit.

    Attributes:
        name: What it is called, the same for all seeds.
        split: The table.
        targets: What is learned.
        inputs: The columns it is learned from.
        encoders: Where frozen encoders are from, by modality.
    """

    name: str
    split: tables.Split
    targets: tuple[str, ...]
    inputs: tuple[str, ...]
    encoders: Mapping[str, str] = field(default_factory=dict)


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="which questions")
    made.add_argument("--seeds", type=int, default=3, help="how many seeds, from --seed on (default 3)")
    made.add_argument("--trials", type=int, default=32, help="architectures to try (default 32)")
    made.add_argument("--rows", type=int, default=10_000, help="training rows; a quarter and a half for the others")
    made.add_argument(
        "--pairs", type=int, help="training rows of c (default: as --rows); its encoders learn from --rows"
    )
    made.add_argument("--strategy", default="greedy", help="how architectures are searched for")
    made.add_argument("--components", type=int, default=20, help="of b and c: components of the images (default 20)")
    made.add_argument("--snr", type=float, default=0.0, help="of b and c: signal-to-noise ratio in dB (default 0)")
    made.add_argument("--noise", type=int, default=4, help="of d: noise views (default 4)")
    made.add_argument(
        "--views", nargs="+", choices=["mfeat", *tables.MULTIVIEW], default=["mfeat", *tables.MULTIVIEW], help="of d"
    )
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")
    made.add_argument("--out", help="keep the run folders in this folder; finished ones are taken from there")
    return made


def counts(rows: int) -> tuple[int, int, int]:
    """Rows of train, validation and test."""
    return rows, max(20, rows // 4), max(20, rows // 2)


def same_digit(arguments: Any, seed: int, folder: Path) -> Iterator[Case]:
    """a: which digit, on AV-MNIST as it is."""
    yield Case("a digit", paired_digits.digits(counts(arguments.rows), seed), ("digit",), paired_digits.MEDIA)


def depth(arguments: Any, seed: int, folder: Path) -> Iterator[Case]:
    """b: the speaker, and the speaker with the digit, from encoders that learned the digit."""
    split = _clearer(arguments, seed)
    encoders = digit_encoders(split, arguments, seed, folder)
    yield Case("b speaker", split, ("speaker",), paired_digits.MEDIA, encoders)
    yield Case("b speaker and digit", split, ("speaker", "digit"), paired_digits.MEDIA, encoders)


def operation(arguments: Any, seed: int, folder: Path) -> Iterator[Case]:
    """c: the same digit or not, and the sum, from encoders that learned the digit."""
    encoders = digit_encoders(_clearer(arguments, seed), arguments, seed, folder)
    for question in paired_digits.QUESTIONS:
        sizes = (arguments.pairs or arguments.rows, *counts(arguments.rows)[1:])
        split = paired_digits.pairs(question, sizes, seed, arguments.components, arguments.snr)
        yield Case(f"c {question}", split, (question,), paired_digits.MEDIA, encoders)


def many_views(arguments: Any, seed: int, folder: Path) -> Iterator[Case]:
    """d: views of numbers, some of them noise."""
    for name in arguments.views:
        split = tables.views(name, arguments.noise, seed, arguments.rows)
        inputs = tuple(column for column in split.train.columns if column not in ("row", "class"))
        yield Case(f"d {name}", split, ("class",), inputs)


PARTS: dict[str, Callable[[Any, int, Path], Iterator[Case]]] = {
    "a": same_digit, "b": depth, "c": operation, "d": many_views,
}  # fmt: skip


def _clearer(arguments: Any, seed: int) -> tables.Split:
    return paired_digits.digits(counts(arguments.rows), seed, arguments.components, arguments.snr)


def digit_encoders(split: tables.Split, arguments: Any, seed: int, folder: Path) -> dict[str, str]:
    """Encoders that learned the digit on a table: where each is to be had."""
    run = folder / ENCODERS
    fit(Case(ENCODERS, split, ("digit",), paired_digits.MEDIA), arguments, seed, run, trials=1)
    return dict.fromkeys(paired_digits.MEDIA, f"run:{run}")


def fit(case: Case, arguments: Any, seed: int, run: Path, trials: int | None = None) -> dict[str, Any]:
    """The manifest of a run; fitted where it is not there."""
    import plait

    if (run / "plait.json").exists():
        return dict(plait.load(run).manifest)
    harness.say(f"seed {seed}: {case.name}, {' / '.join(str(len(part)) for part in case.split.parts)} rows")
    predictor = plait.fit(
        case.split.train, case.targets, validation=case.split.validation, test=case.split.test, group=case.split.group,
        inputs=case.inputs, encoders=case.encoders, metric="accuracy", trials=trials or arguments.trials,
        strategy=arguments.strategy, seed=seed, device=arguments.device, out=run, resume=True,
    )  # fmt: skip
    return dict(predictor.manifest)


def measured(case: Case, arguments: Any, seed: int, folder: Path) -> dict[str, Any]:
    """One fit's rows, and its paired differences with what they are made of."""
    run = folder / case.name.replace(" ", "-")
    manifest = fit(case, arguments, seed, run)
    rows = leaderboards.rows_of(run)
    test = case.split.test
    group = case.split.group or "row"
    told: dict[str, Any] = {
        "case": case.name, "seed": seed, "rows": manifest["data"]["rows"], "used": manifest["used"],
        "majority": fmean(leaderboards.majority(case.split.train[name], test[name]) for name in case.targets),
        "leaderboard": rows, "sentence": manifest["choice"]["sentence"], "stages": manifest["stages"],
        "differences": {}, "pieces": {},
    }  # fmt: skip
    if rows["found"] is None:
        return told
    with tempfile.TemporaryDirectory() as temporary:
        ours, *others = (
            leaderboards.right(leaderboards.as_run(run, rows[what]["name"], Path(temporary)), test)
            if rows[what] else None
            for what in ("found", *AGAINST)
        )  # fmt: skip
    if abs(ours.mean() - rows["found"]["test"]) > 2 / len(ours):  # the rows that are compared are those of the run
        raise AssertionError(f"{rows['found']['name']}: {ours.mean()}, and {rows['found']['test']} by the leaderboard")
    for what, theirs in zip(AGAINST, others, strict=True):
        if theirs is not None:
            told["differences"][what] = leaderboards.paired(ours - theirs, test[group].to_numpy(), seed)
            told["pieces"][what] = ours - theirs, test[group].to_numpy()
    return told


def pooled(fits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By case, means over the seeds, and differences with intervals over the groups of all seeds together.

    A recording stands or falls with all its rows, in whatever seed they are.
    """
    told = []
    for case in dict.fromkeys(one["case"] for one in fits):
        mine = [one for one in fits if one["case"] == case]
        rows: dict[str, list[float]] = {"majority": [one["majority"] for one in mine]}
        for one in mine:
            for what, row in one["leaderboard"].items():
                if row is not None and row["test"] is not None:
                    rows.setdefault(what, []).append(row["test"])
        differences = {}
        for what in AGAINST:
            pieces = [one["pieces"][what] for one in mine if what in one["pieces"]]
            if pieces:
                difference, groups = (np.concatenate(side) for side in zip(*pieces, strict=True))
                differences[what] = leaderboards.paired(difference, groups)
        means = {what: fmean(values) for what, values in rows.items()}
        told.append({"case": case, "seeds": len(mine), "means": means, "differences": differences})
    return told


def readable(figures: dict[str, Any]) -> list[str]:
    lines = []
    for one in figures["fits"]:
        sizes = " / ".join(str(one["rows"][part]) for part in ("train", "validation", "test"))
        seconds = sum(one["stages"].values())
        lines += ["", f"{one['case']}, seed {one['seed']}: {sizes} rows, {seconds:.0f} s"]
        lines.append(f"  {'majority class':<28} {100 * one['majority']:>6.1f}")
        for what, row in one["leaderboard"].items():
            if row is not None:
                lines.append(
                    f"  {what[:28]:<28} {_percent(row['test'])}   {'' if row['name'] in what else row['name']}"
                )
        lines += [f"  found - {what:<21} {_difference(told)}" for what, told in one["differences"].items()]
        lines.append(f"  {one['sentence']}")
    lines += ["", "means over the seeds, and differences pooled over them (points, 95 % interval)"]
    for one in figures["pooled"]:
        lines.append(f"{one['case']} ({one['seeds']} seeds)")
        lines.append("  " + ", ".join(f"{what} {100 * mean:.1f}" for what, mean in one["means"].items()))
        lines += [f"  found - {what:<21} {_difference(told)}" for what, told in one["differences"].items()]
    return lines


def _percent(share: float | None) -> str:
    return "     -" if share is None else f"{100 * share:>6.1f}"


def _difference(told: Sequence[float]) -> str:
    mean, low, high = (100 * value for value in told)
    return f"{mean:>+6.2f}  ({low:+.2f} to {high:+.2f})"


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    fits: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            folder = Path(arguments.out or temporary) / f"seed-{seed}"
            for part in arguments.only:
                fits += [measured(case, arguments, seed, folder) for case in PARTS[part](arguments, seed, folder)]
    told = {"machine": harness.machine(), "trials": arguments.trials, "strategy": arguments.strategy}
    told |= {"pooled": pooled(fits)}
    for one in fits:
        del one["pieces"]
    told |= {"fits": fits}
    harness.finish(told, arguments.json, readable(told))


if __name__ == "__main__":
    main()
