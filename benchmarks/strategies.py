"""Which strategy finds better architectures than random search does, with as many trials?

On cached hidden states, computed once for each set:

  av-mnist    audio-visual digits through the unimodal networks of the published benchmark
  published   the same, in the published space: concatenation in chains of up to three cells
  sum         a seen and a spoken digit, clearer ones, through such networks that learned these: their sum, modulo 10
  numerals    two views of handwritten numerals through perceptrons that learned the class
  made        small made states, for a quick look (not by default)

All but `published` search all architectures of up to three cells. Every strategy searches from several seeds. The
highest score of a search flatters whoever drew most often in luck, so its best three are trained anew in full, from
seeds that the search has not seen, and the best of them by the validation rows is judged on held-out rows: figures are
those. Differences to random search are paired by seed, with 95 % t-intervals over the seeds. The area is the mean over
the trials of the highest search score so far; what inherits weights is trained for longer there. CPU seconds are of one
thread; those of the strategy itself (asking, being told, screening for a hint) are among those of the search.

Examples:
  PLAIT_DATA=data python benchmarks/strategies.py
  PLAIT_DATA=data python benchmarks/strategies.py --sets numerals --trials 16 --seeds 1     # a quick look
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

import harness

RANDOM = "random"
STRATEGIES = ("progressive:forest", "progressive:lstm", "genetic", "greedy", "optuna:tpe")
VIEWS = ("fou", "mor")
SUMS = 1_000
TRAIN, VALIDATION = 2_900, 1_000
"""Rows to learn from and to choose by, where there are enough; as many as the latter are held out."""

FINALISTS, FRESH = 3, 2
"""Architectures of a search that are trained anew, and from how many seeds."""


@dataclass(frozen=True)
class Set:
    """Hidden states of one table: rows to learn from first, then rows to choose by, then held-out rows.

    Attributes:
        states: By modality [rows, sum of widths].
        widths: By modality, of its layers.
        labels: Classes [rows], 0 to 9.
        cuts: Where rows to choose by begin, and where held-out ones do.
        published: Whether the space is the published one.
    """

    states: dict[str, np.ndarray]
    widths: dict[str, Sequence[int]]
    labels: np.ndarray
    cuts: tuple[int, int]
    published: bool = False

    @property
    def present(self) -> dict[str, np.ndarray]:
        """Nothing is absent."""
        return {name: np.ones(len(self.labels), bool) for name in self.states}

    def rows(self, held_out: bool = False) -> tuple[Any, ...]:
        """What an evaluator and screening are told: to be judged by are held-out rows, or those to choose by."""
        import published
        from plait.tasks.score import Labels

        first, second = self.cuts
        labels = Labels({"digit": self.labels.astype(np.float32)}, {"digit": np.ones(len(self.labels), bool)})
        judged = np.arange(second, len(self.labels)) if held_out else np.arange(first, second)
        return self.states, self.present, self.widths, (published.DIGIT,), labels, np.arange(first), judged

    def space(self) -> Any:
        """What is searched."""
        import published
        from plait.fusion import FusionSpace

        if self.published:
            return published.space(3, self.widths)
        return FusionSpace({name: range(len(sizes)) for name, sizes in self.widths.items()}, max_cells=3)


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS)[:-1], help="which (default: all but made)")
    made.add_argument("--strategies", nargs="+", default=list(STRATEGIES), help="what is compared with random search")
    made.add_argument("--trials", type=int, default=48, help="architectures of every search (default 48)")
    made.add_argument("--seeds", type=int, default=5, help="searches of every strategy (default 5)")
    return made


def av_mnist(seed: int, known: dict[str, Any]) -> Set:
    """The digits; their networks are remembered."""
    import published

    with tempfile.TemporaryDirectory() as folder:
        made = published.digits(Path(folder), TRAIN, 2 * VALIDATION, seed)
    known["networks"] = published.trained(made, seed)
    states, _ = published.cached(known["networks"], made)
    return Set(states, dict(published.WIDTHS), made.labels.numpy(), (TRAIN, TRAIN + VALIDATION))


def published_space(seed: int, known: dict[str, Any]) -> Set:
    found = known.get("av-mnist") or av_mnist(seed, known)
    return Set(found.states, found.widths, found.labels, found.cuts, published=True)


def sums(seed: int, known: dict[str, Any]) -> Set:
    """Sums of digits, clear enough to be told, through networks that learned the digits on other rows."""
    import paired_digits
    import published

    networks = published.trained(_digits(paired_digits.digits((TRAIN, 20, 20), seed, 20, 0.0), "digit"), seed, epochs=6)
    split = paired_digits.pairs("sum", (SUMS, VALIDATION, VALIDATION), seed)
    made = _digits(split, "sum")
    states, _ = published.cached(networks, made)
    cuts = (len(split.train), len(split.train) + len(split.validation))
    return Set(states, dict(published.WIDTHS), made.labels.numpy(), cuts)


def _digits(split: Any, target: str) -> Any:
    """All parts of a table, one after another, as the published networks read them."""
    import pandas as pd
    import torch

    import published

    table = pd.concat(split.parts, ignore_index=True)
    inputs = {"image": published._images(table["image"]), "sound": published._spectrograms(table["sound"])}
    return published.Digits(inputs, torch.tensor(table[target].to_numpy(np.int64)), len(split.train))


def numerals(seed: int, known: dict[str, Any]) -> Set:
    import published

    (train, validation, _), widths, _ = published.numerals(seed, VIEWS)
    first, count = len(train.index), len(validation.index)
    labels = np.asarray(train.targets["digit"]).astype(np.int64)
    return Set(dict(train.inputs), dict(widths), labels, (first, first + count // 2))


def made_states(seed: int, known: dict[str, Any]) -> Set:
    """The class is the sum of two numbers modulo 10, each of them in layer 1 of one of two modalities."""
    rng = np.random.default_rng(seed)
    rows = 300
    numbers = rng.integers(0, 10, (2, rows))
    states = {}
    for name, values in zip("ab", numbers, strict=True):
        states[name] = rng.normal(size=(rows, 36)).astype(np.float32)
        states[name][:, 12:22] += 4 * np.eye(10, dtype=np.float32)[values]
    return Set(states, dict.fromkeys("ab", (12, 12, 12)), numbers.sum(axis=0) % 10, (200, 250))


SETS: dict[str, Callable[[int, dict[str, Any]], Set]] = {
    "av-mnist": av_mnist, "published": published_space, "sum": sums, "numerals": numerals, "made": made_states,
}  # fmt: skip


class Timed:
    """CPU seconds of some functions together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*arguments: Any) -> Any:
            started = time.process_time()
            try:
                return work(*arguments)
            finally:
                self.seconds += time.process_time() - started

        return timed


def searched(made: Set, name: str, trials: int, seed: int) -> dict[str, Any]:
    """One search: its figures, and the best that it found."""
    from plait.pipeline.search import search_plan
    from plait.search import Evaluator, Ledger
    from plait.search.runner import Search
    from plait.search.screening import Screening
    from plait.search.strategies import make_strategy, strategy_kind

    count, timed = made.cuts[0], Timed()
    started = time.process_time()
    space, evaluator = made.space(), Evaluator(*made.rows(), search_plan(count, seed), seeds=1)
    hint = timed(Screening.of)(*made.rows(), seed).hint if strategy_kind(name).needs_hint else None
    strategy = timed(make_strategy)(name, space, seed, trials, hint)
    strategy.ask, strategy.tell = timed(strategy.ask), timed(strategy.tell)
    with tempfile.TemporaryDirectory() as folder:
        search = Search(evaluator, Ledger(Path(folder, "trials.sqlite")), seed)
        search.run(name, strategy, trials, finalists=FINALISTS)
    spent = time.process_time() - started
    scores = [-np.inf if one["score"] is None else one["score"] for one in search.found.trials]
    return {
        "strategy": name, "seed": seed, "trials": len(scores), "claimed": max(scores),
        "area": float(np.maximum.accumulate(scores).mean()), "seconds": spent, "own_seconds": timed.seconds,
        "best": search.found.best[name],
    }  # fmt: skip


def judged(made: Set, searches: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The searches of a seed, each with the best of its architectures after training anew, all of them together.

    Figures are means over the fresh seeds; validation rows decide which architecture is a search's best.
    """
    from plait.fusion import Candidate
    from plait.pipeline.evaluate import fusion_plan
    from plait.search import Evaluator
    from plait.tasks.score import score

    count = made.cuts[0]
    found: dict[str, list[tuple[float, float, float]]] = {str(one): [] for run in searches for one in run["best"]}
    rows = {str(one): one for run in searches for one in run["best"]}
    candidates = [Candidate(name=name, kind="architecture", architecture=one) for name, one in rows.items()]
    evaluator = Evaluator(*made.rows(), fusion_plan(count, seed), seeds=1)
    held = Evaluator(*made.rows(held_out=True), fusion_plan(count, seed))
    for fresh in range(FRESH):
        for trial in evaluator.by(fusion_plan(count, 1_000 * (seed + 1) + fresh), 1).evaluate(candidates):
            module = trial.candidate.build(made.widths, evaluator.tasks)
            module.load_state_dict(dict(trial.weights))
            answers = held._outputs(module.eval())
            marks = [score(held.tasks, answers, held.labels, metric) or 0.0 for metric in (None, "accuracy")]
            found[trial.candidate.name].append((trial.score or 0.0, marks[0], marks[1]))
    means = {name: np.mean(values, axis=0).tolist() for name, values in found.items()}
    told = []
    for run in searches:
        top = max(map(str, run["best"]), key=lambda name: means[name][0])
        figures = dict(zip(("validation", "held_out", "accuracy"), means[top], strict=True))
        told.append({**run, "best": [str(one) for one in run["best"]], "found": top, **figures})
    return told


def summed(runs: Sequence[dict[str, Any]], against: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds of a strategy on a set, and its paired difference to random search."""
    kept = ("claimed", "validation", "held_out", "accuracy", "area", "seconds", "own_seconds")
    differences = [one["held_out"] - other["held_out"] for one, other in zip(runs, against, strict=True)]
    return {
        "strategy": runs[0]["strategy"], **{name: fmean(one[name] for one in runs) for name in kept},
        "deviation": stdev(one["held_out"] for one in runs) if len(runs) > 1 else None,
        "difference": fmean(differences), "interval": interval(differences),
    }  # fmt: skip


def interval(values: Sequence[float]) -> list[float] | None:
    """The 95 % t-interval of a mean; None of a single value."""
    from scipy.stats import t

    if len(values) < 2:
        return None
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return [fmean(values) - half, fmean(values) + half]


def readable(figures: dict[str, Any]) -> list[str]:
    """A table for each set."""
    lines = [
        f"{figures['trials']} trials, {figures['seeds']} seeds; scores in %: 1 - loss / loss of the constant predictor",
    ]
    for one in figures["sets"]:
        lines.append(f"{one['set']}: {one['size']:,} architectures, rows {' / '.join(map(str, one['rows']))}")
        lines.append(
            f"  {'strategy':<20} {'held out':>8} {'+-':>5} {'to random':>9} {'95 % interval':>15} {'accuracy':>8} "
            f"{'validation':>10} {'claimed':>8} {'area':>6} {'CPU s':>6} {'own':>5}"
        )
        for row in one["strategies"]:
            deviation = "    -" if row["deviation"] is None else f"{100 * row['deviation']:>5.2f}"
            bounds = "-" if row["interval"] is None else " to ".join(f"{100 * end:+.2f}" for end in row["interval"])
            lines.append(
                f"  {row['strategy']:<20} {100 * row['held_out']:>8.2f} {deviation} {100 * row['difference']:>+9.2f} "
                f"{bounds:>15} {100 * row['accuracy']:>8.1f} {100 * row['validation']:>10.2f} "
                f"{100 * row['claimed']:>8.2f} {100 * row['area']:>6.2f} {row['seconds']:>6.1f} "
                f"{row['own_seconds']:>5.1f}"
            )
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    names = [RANDOM, *(name for name in arguments.strategies if name != RANDOM)]
    known: dict[str, Any] = {}
    sets = []
    for what in arguments.sets:
        started = time.process_time()
        made = known[what] = SETS[what](arguments.seed, known)
        prepared = time.process_time() - started
        harness.say(f"{what}: hidden states after {prepared:.0f} CPU s")
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            for run in judged(made, [searched(made, name, arguments.trials, seed) for name in names], seed):
                runs[run["strategy"]].append(run)
                harness.say(
                    f"{what}, seed {seed}, {run['strategy']}: {run['held_out']:.4f} after {run['seconds']:.1f} CPU s"
                )
        cuts = (0, *made.cuts, len(made.labels))
        sets.append(
            {
                "set": what, "size": made.space().size(), "rows": np.diff(cuts).tolist(), "prepared_seconds": prepared,
                "strategies": [summed(runs[name], runs[RANDOM]) for name in names],
                "searches": [one for name in names for one in runs[name]],
            }
        )  # fmt: skip
    figures = {
        "machine": harness.machine(), "seed": arguments.seed, "trials": arguments.trials, "seeds": arguments.seeds,
        "sets": sets,
    }  # fmt: skip
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
