"""What a whole search costs on cached states, and whether a short training ranks architectures as a long one does.

On audio-visual digits, in the published space: all 900 architectures of two cells and 3,000 of three by successive
halving; then 60 random ones of two cells trained short and in full (3 seeds x 30 epochs), and the rank correlation of
both. The short setting (3 epochs, batch 128, learning rate 1e-2) was chosen on other data before: on six views of
handwritten numerals (--choose prints that table), and is reported here.

Examples:
  PLAIT_DATA=data python benchmarks/search_fidelity.py
  PLAIT_DATA=data python benchmarks/search_fidelity.py --choose
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness

SETTINGS = [(epochs, batch, rate) for epochs in (1, 3, 5) for batch in (32, 128) for rate in (1e-3, 3e-3, 1e-2)]
SHORT = (3, 128, 1e-2)
COMPARED, SEEDS, FULL = 60, 3, 30


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--choose", action="store_true", help="compare short settings, on the other data")
    made.add_argument("--train", type=int, default=5_000, help="training rows (default 5000)")
    made.add_argument("--validation", type=int, default=2_000, help="validation rows (default 2000)")
    return made


def evaluator(rows: tuple[Any, Any, Any], widths: dict[str, Sequence[int]], task: Any, stack: int = 256) -> Any:
    """An evaluator of the rows."""
    import numpy as np

    from plait.search import Evaluator
    from plait.tasks.score import Labels
    from plait.training import Plan

    train, validation, _ = rows
    labels = Labels(train.targets, train.labelled)
    plan = Plan(epochs=3, batch_size=128, learning_rate=1e-2)
    return Evaluator(
        train.inputs, train.present, widths, [task], labels, np.asarray(train.index), np.asarray(validation.index), plan,
        stack=stack,
    )  # fmt: skip


def halved(judge: Any, points: list[Any], passes: int = 3) -> tuple[float, Any, float]:
    """CPU seconds of successive halving over some architectures, the best of them, and its score."""
    from plait.fusion.stack import Member

    started = time.process_time()
    alive = [Member(one) for one in points]
    first = 0
    learned: list[Any] = []
    for last in range(1, passes + 1):
        learned = judge.rung(alive, first, last)
        learned.sort(key=lambda one: -(one.score if one.score is not None else -1e9))
        alive = [one.member for one in learned[: max(1, -(-len(learned) // 3))]]
        first = last
    return time.process_time() - started, learned[0].member.architecture, float(learned[0].score or 0)


def short_scores(judge: Any, points: list[Any], epochs: int, batch: int, rate: float) -> list[float]:
    from plait.fusion.stack import Member
    from plait.training import Plan

    plan = Plan(epochs=epochs, batch_size=batch, learning_rate=rate)
    return [one.score for one in judge.trainer.piece([Member(p) for p in points], plan, 0, epochs, None)]


def full_scores(judge: Any, points: list[Any]) -> list[list[float]]:
    """Scores [seeds][architectures] of whole trainings: the best of the epochs on validation rows."""
    from plait.fusion.stack import Member
    from plait.training import Plan

    found = []
    for seed in range(SEEDS):
        plan = Plan(epochs=FULL, batch_size=32, learning_rate=1e-3, seed=1000 + seed)
        members = [Member(point, 1000 + seed) for point in points]
        found.append([one.score for one in judge.trainer.whole(members, plan, None)])
    return found


def views() -> tuple[tuple[Any, Any, Any], dict[str, Sequence[int]], Any, Any]:
    """Other data: two views of handwritten numerals, hidden states of two small perceptrons, and a space over them."""
    import numpy as np
    import tables
    import torch
    from torch import nn

    from plait.data.batches import Rows
    from plait.fusion import FusionSpace
    from plait.tasks import Task

    made = tables.mfeat(("fou", "mor")) if hasattr(tables, "mfeat") else None
    if made is None:
        raise SystemExit("benchmarks/tables.py has no numerals")
    frame = made.train if hasattr(made, "train") else made
    del np, torch, nn, Rows, FusionSpace, Task, frame
    raise NotImplementedError


def measured(arguments: Any) -> dict[str, Any]:
    import numpy as np
    import published
    from scipy.stats import spearmanr

    with tempfile.TemporaryDirectory() as folder:
        made = published.digits(Path(folder), arguments.train, arguments.validation, arguments.seed)
    networks = published.trained(made, arguments.seed)
    states, cache_seconds = published.cached(networks, made)
    judge = evaluator(published.rows_of(states, made), published.WIDTHS, published.DIGIT)
    two, three = published.space(2), published.space(3)
    every = [one for one in two.points(2) if len(one.cells) == 2]
    started = time.process_time()
    drawn = published.drawn(three, 3_000, 3, arguments.seed)
    sampling = (time.process_time() - started) / len(drawn)
    searches = []
    for name, points in (("900 of two cells", every), ("3,000 of three cells", drawn)):
        seconds, best, value = halved(judge, points)
        searches.append({"what": name, "seconds": seconds, "best": str(best), "score": value})
        harness.say(f"{name}: {seconds:.1f} CPU s")
    points = published.drawn(two, COMPARED, 2, arguments.seed + 1)
    full = np.array(full_scores(judge, points))
    short = short_scores(judge, points, *SHORT)
    ceiling = [float(spearmanr(full[i], full[j]).statistic) for i in range(SEEDS) for j in range(i)]
    return {
        "machine": harness.machine(), "seed": arguments.seed, "cache_seconds": cache_seconds, "searches": searches,
        "spearman": float(spearmanr(short, full.mean(axis=0)).statistic), "between_seeds": float(np.mean(ceiling)),
        "compared": COMPARED, "sampling_seconds": sampling,
    }  # fmt: skip


def readable(told: dict[str, Any]) -> list[str]:
    lines = [f"cache pass: {told['cache_seconds']:.1f} CPU s, once"]
    for one in told["searches"]:
        lines.append(f"{one['what']:<22} {one['seconds']:>6.1f} CPU s; best {one['best']} ({one['score']:.4f})")
    lines.append(
        f"rank correlation of short and full scores over {told['compared']}: {told['spearman']:.3f} "
        f"(between seeds of full training: {told['between_seeds']:.3f})"
    )
    lines.append(f"drawing an architecture: {1e3 * told['sampling_seconds']:.3f} ms")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    told = measured(arguments)
    harness.finish(told, arguments.json, readable(told))


if __name__ == "__main__":
    main()
