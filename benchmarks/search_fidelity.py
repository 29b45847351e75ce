"""What a whole search costs on cached states, and whether a short training ranks architectures as a long one does.

On audio-visual digits, in the published space: all 900 architectures of two cells and 3,000 of three by successive
halving; then 60 random ones of two cells trained short and in full (3 seeds x 30 epochs), and the rank correlation of
both. The short setting (3 epochs, batch 32, learning rate 1e-2) was chosen on other data before: on two views of
handwritten numerals (--choose prints that table), and is reported here.

Examples:
  PLAIT_DATA=data python benchmarks/search_fidelity.py
  PLAIT_DATA=data python benchmarks/search_fidelity.py --choose
"""

from __future__ import annotations

import math
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import harness

SETTINGS = [(epochs, batch, rate) for epochs in (1, 3, 5) for batch in (32, 128) for rate in (1e-3, 3e-3, 1e-2)]
SHORT = (3, 32, 1e-2)
VIEWS = ("fou", "kar", "mor", "zer")
COMPARED, SEEDS, FULL = 60, 3, 30


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--choose", action="store_true", help="compare short settings, on the other data")
    made.add_argument("--width", type=int, default=16, help="width of cells (default 16)")
    made.add_argument("--train", type=int, default=5_000, help="training rows (default 5000)")
    made.add_argument("--validation", type=int, default=2_000, help="validation rows (default 2000)")
    return made


def trainer(rows: tuple[Any, Any, Any], widths: dict[str, Sequence[int]], task: Any, width: int) -> Any:
    """Trains stacks of 256 on the rows."""
    import published
    from plait.fusion.stack import Sizes
    from plait.search.stacked import StackTrainer

    train, validation, labels = rows
    moments = published.moments(train, widths)
    sizes = Sizes(widths, (task.outputs,), width)
    return StackTrainer(train, validation, labels, sizes, [task], lambda *state: moments[state], stack=256)


def halved(judge: Any, points: list[Any]) -> tuple[float, Any, float]:
    """CPU seconds of successive halving over some architectures, the best of them, and its score."""
    from plait.fusion.stack import Member

    started = time.process_time()
    alive, learned = [Member(one) for one in points], []
    epochs, batch, rate = SHORT
    for first in range(epochs):
        learned = judge.piece(alive, plan_of(epochs, batch, rate), first, first + 1, None)
        learned.sort(key=lambda one: -math.inf if one.score is None else one.score, reverse=True)
        alive = [one.member for one in learned[: -(-len(learned) // 3)]]
    return time.process_time() - started, learned[0].member.architecture, float(learned[0].score)


def plan_of(epochs: int, batch: int, rate: float, seed: int = 0) -> Any:
    from plait.training import Plan

    return Plan(epochs=epochs, batch_size=batch, learning_rate=rate, seed=seed)


def short_scores(judge: Any, points: list[Any], epochs: int, batch: int, rate: float) -> list[float]:
    from plait.fusion.stack import Member

    plan = plan_of(epochs, batch, rate)
    return [one.score for one in judge.piece([Member(point) for point in points], plan, 0, epochs, None)]


def full_scores(judge: Any, points: list[Any]) -> list[list[float]]:
    """Scores [seeds][architectures] of whole trainings: those of the best epoch on validation rows."""
    from plait.fusion.stack import Member

    found = []
    for seed in range(1_000, 1_000 + SEEDS):
        members = [Member(point, seed) for point in points]
        found.append([one.score for one in judge.whole(members, plan_of(FULL, 32, 1e-3, seed), None)])
    return found


def compared(judge: Any, points: list[Any], settings: Sequence[tuple[int, int, float]]) -> dict[str, Any]:
    """Rank correlations of short settings with full training, and between the seeds of full training."""
    import numpy as np
    from scipy.stats import spearmanr

    full = np.array(full_scores(judge, points))
    between = [float(spearmanr(full[i], full[j]).statistic) for i in range(SEEDS) for j in range(i)]
    return {
        "between_seeds": float(np.mean(between)),
        "settings": [
            {
                "setting": list(one),
                "spearman": float(spearmanr(short_scores(judge, points, *one), full.mean(axis=0)).statistic),
            }
            for one in settings
        ],
    }


def choosing(arguments: Any) -> dict[str, Any]:
    """All settings on pairs of views of handwritten numerals; figures are means over the pairs."""
    import published

    found = []
    for number, pair in enumerate(combinations(VIEWS, 2)):
        rows, widths, task = published.numerals(arguments.seed + number, pair)
        judge = trainer(rows, widths, task, arguments.width)
        points = published.drawn(published.space(2, widths), COMPARED, 2, arguments.seed + number)
        found.append(compared(judge, points, SETTINGS))
        harness.say(f"{' and '.join(pair)}: done")
    settings = [
        {"setting": list(one), "spearman": fmean(pair["settings"][number]["spearman"] for pair in found)}
        for number, one in enumerate(SETTINGS)
    ]
    between = fmean(pair["between_seeds"] for pair in found)
    return {
        "machine": harness.machine(), "seed": arguments.seed, "settings": settings, "between_seeds": between,
    }  # fmt: skip


def measured(arguments: Any) -> dict[str, Any]:
    import published

    with tempfile.TemporaryDirectory() as folder:
        made = published.digits(Path(folder), arguments.train, arguments.validation, arguments.seed)
    networks = published.trained(made, arguments.seed)
    states, cache_seconds = published.cached(networks, made)
    judge = trainer(published.rows_of(states, made), published.WIDTHS, published.DIGIT, arguments.width)
    started = time.process_time()
    three = published.drawn(published.space(3), 3_000, 3, arguments.seed)
    sampling = (time.process_time() - started) / len(three)
    every = [one for one in published.space(2).points(2) if len(one.cells) == 2]
    searches = []
    for name, points in ((f"{len(every)} of two cells", every), (f"{len(three):,} of three cells", three)):
        seconds, best, value = halved(judge, points)
        searches.append({"what": name, "seconds": seconds, "best": str(best), "score": value})
        harness.say(f"{name}: {seconds:.1f} CPU s")
    found = compared(judge, published.drawn(published.space(2), COMPARED, 2, arguments.seed + 1), [SHORT])
    return {
        "machine": harness.machine(), "seed": arguments.seed, "width": arguments.width, "sampling_seconds": sampling,
        "cache_seconds": cache_seconds, "searches": searches, **found,
    }  # fmt: skip


def readable(told: dict[str, Any]) -> list[str]:
    lines = []
    if "searches" in told:
        lines.append(f"cells of width {told['width']}; the one-off cache pass took {told['cache_seconds']:.1f} CPU s")
        lines += [
            f"{one['what']:<22} {one['seconds']:>6.1f} CPU s; best {one['best']} ({one['score']:.4f})"
            for one in told["searches"]
        ]
        lines.append(f"drawing an architecture: {1e3 * told['sampling_seconds']:.3f} ms")
    lines.append(f"rank correlation with full training over {COMPARED} architectures of two cells:")
    for one in told["settings"]:
        epochs, batch, rate = one["setting"]
        lines.append(f"  {epochs} epochs, batch {batch:>3}, learning rate {rate:g}: {one['spearman']:.3f}")
    lines.append(f"  full training with another seed: {told['between_seeds']:.3f}")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    told = choosing(arguments) if arguments.choose else measured(arguments)
    harness.finish(told, arguments.json, readable(told))


if __name__ == "__main__":
    main()
