"""Candidate-epochs per second: architectures trained in a stack, and one after another as published code does.

Named alternative: the same candidates, batches and data, one after another, with every batch pushed through the
unimodal networks again, forward and backward (with encoders), forward only, or on cached hidden states. Fixed:
audio-visual digits, 5,000 training and 2,000 validation rows, batch 32, two cells, concat; no dropout anywhere. The
slow loop is timed over 40 training and 20 validation batches of 3 candidates and scaled to an epoch. CPU seconds of one
thread; FLOP are those of matrix products that a candidate needs, and the peak is that of a 4,096-square product here.

Examples:
  PLAIT_DATA=data python benchmarks/search_throughput.py
  PLAIT_DATA=data python benchmarks/search_throughput.py --json | tail -1
  PLAIT_DATA=data python benchmarks/search_throughput.py --where       # where the time of a step goes, and the floor
"""

from __future__ import annotations

import json
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import harness

TRAIN, VALIDATION, BATCH = 5_000, 2_000, 32
PUBLISHED = 585
"""Candidate-epochs of the published search on this benchmark, with its default schedule."""

SIZES = ((16, 16), (64, 16), (100, 16), (256, 16), (1_024, 16), (256, 64), (256, 128))
"""Candidates and width."""

AT_ONCE = 256
"""Candidates of one stack, at most."""


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--epochs", type=int, default=2, help="epochs that are timed, after one that is not (default 2)")
    made.add_argument("--where", action="store_true", help="take one step apart instead, beside what it must cost")
    made.add_argument("--stack", type=int, default=AT_ONCE, help=f"candidates of one stack (default {AT_ONCE})")
    return made


def stacked(
    architectures: list[Any], rows: tuple[Any, Any, Any], width: int, at_once: int, epochs: int
) -> dict[str, float]:
    """CPU seconds per candidate-epoch, and the FLOP of its matrix products."""
    import numpy as np

    import published
    from plait.data.batches import shuffled
    from plait.fusion.stack import FusionStack, Member, Recipe, Sizes, StackFeed
    from plait.fusion.stack.inputs import States

    train, validation, _ = rows
    moments = published.moments(train, published.WIDTHS)
    sizes = Sizes(published.WIDTHS, (10,), width)
    states = [States(part, published.WIDTHS, lambda *state: moments[state]) for part in (train, validation)]
    looks = np.split(np.arange(len(validation)), range(256, len(validation), 256))
    built, spent, flop = 0.0, 0.0, 0.0
    for start in range(0, len(architectures), at_once):
        began = time.process_time()
        members = [Member(one) for one in architectures[start : start + at_once]]
        stack = FusionStack(members, sizes, [published.DIGIT], Recipe(dropout=0.0))
        feeds = [StackFeed(stack.layout, part) for part in states]
        built += time.process_time() - began
        for epoch in range(epochs + 1):
            began = time.process_time()
            for batch in feeds[0].batches(shuffled(len(train), BATCH, 0, epoch)):
                stack.step(batch, lambda step: 1e-3)
            for batch in feeds[1].batches(looks):
                stack.outputs(batch)
            spent += time.process_time() - began if epoch else 0.0
        # Every weight: a product forward, one for its slope; beside those on hidden states, one for the slope below.
        below = len(members) * (width * width + width * 10)
        weights = sum(one.numel() for one, *_ in stack._products) + below
        flop += 2 * (len(train) * (2 * weights + below) + len(validation) * weights)
    each = len(architectures) * epochs
    return {"seconds": spent / each, "flop": flop / len(architectures), "built": built / len(architectures)}


def bandwidth(numbers: int) -> float:
    """Bytes per CPU second of a copy between two arrays that together are as large as a stack's working set."""
    import torch

    one, other = torch.randn(numbers // 2), torch.empty(numbers // 2)
    times = []
    for _ in range(20):
        began = time.process_time()
        for _ in range(5):
            other.copy_(one)
        times.append(time.process_time() - began)
    return 5 * 8 * (numbers // 2) / min(times)


def parts_of(stack: Any, batch: Any) -> dict[str, float]:
    """CPU seconds of the parts of one step, each repeated alone."""
    import torch

    with torch.no_grad():
        room, masks, dropout = stack._forward(batch, True)
        _, gradients = stack._losses(room.logits, batch)

        def products() -> None:
            for (values, slopes, columns), matrix in zip(room.products, batch.matrices, strict=True):
                torch.mm(values, matrix.T, out=columns)
                torch.mm(columns, matrix, out=slopes)

        parts: dict[str, Callable[[], Any]] = {
            "products on hidden states": products, "forward": lambda: stack._forward(batch, True),
            "loss": lambda: stack._losses(room.logits, batch),
            "backward": lambda: stack._backward(batch, room, masks, dropout, gradients), "clip": stack._clip,
        }  # fmt: skip
        found = {}
        for name, work in parts.items():
            times = []
            for _ in range(30):
                began = time.process_time()
                work()
                times.append(time.process_time() - began)
            found[name] = median(times)
    return found


def taken_apart(arguments: Any) -> dict[str, Any]:
    """CPU microseconds per candidate of the parts of a step, repeated one by one, and of whole steps."""

    import published
    from plait.data.batches import shuffled
    from plait.fusion.stack import FusionStack, Member, Recipe, Sizes, StackFeed
    from plait.fusion.stack.inputs import States

    with tempfile.TemporaryDirectory() as folder:
        made = published.digits(Path(folder), TRAIN, VALIDATION, arguments.seed)
    states, _ = published.cached(published.trained(made, arguments.seed, epochs=1), made)
    train, *_ = published.rows_of(states, made)
    moments = published.moments(train, published.WIDTHS)
    top = published.peak()
    found = []
    for count, width in ((100, 16), (256, 16), (256, 64)):
        members = [Member(one) for one in published.drawn(published.space(2), count, 2, arguments.seed)]
        stack = FusionStack(members, Sizes(published.WIDTHS, (10,), width), [published.DIGIT], Recipe(dropout=0.0))
        feed = StackFeed(stack.layout, States(train, published.WIDTHS, lambda *state: moments[state]))
        order = shuffled(len(train), BATCH, 0, 0)
        began = time.process_time()
        batches = list(feed.batches(order))
        spent = {"gathering batches": (time.process_time() - began) / len(batches)}
        began = time.process_time()
        for batch in batches:
            stack.step(batch, lambda step: 1e-3)
        whole = (time.process_time() - began) / len(batches)
        spent |= parts_of(stack, batch)
        numbers = stack._values.numel()
        below = count * (width * width + width * 10)
        flop = 2 * BATCH * (2 * numbers + below)
        flop_of_products = 4 * BATCH * sum(one.numel() for one, *_ in stack._products)
        cells = 2 * count * width * BATCH
        moved = 4 * (11 * numbers + 16 * cells)  # 7 of the optimiser, 4 of products and clipping; 8 passes over cells
        speed = bandwidth(4 * numbers + 8 * cells)
        found.append(
            {
                "K": count, "width": width, "step": 1e6 * whole / count,
                "parts": {name: 1e6 * seconds / count for name, seconds in spent.items()},
                "products_share": flop_of_products / spent["products on hidden states"] / top,
                "numbers": numbers / count, "flop_floor": 1e6 * flop / top / count,
                "bytes_floor": 1e6 * moved / speed / count, "gb_per_s": speed / 1e9,
            }
        )  # fmt: skip
    return {"machine": harness.machine(), "peak_gflop_per_s": top / 1e9, "where": found}


def where(told: dict[str, Any]) -> list[str]:
    lines = [f"peak {told['peak_gflop_per_s']:.0f} GFLOP/s; CPU microseconds per candidate and step"]
    for one in told["where"]:
        parts = ", ".join(f"{name} {value:.2f}" for name, value in one["parts"].items())
        lines += [
            f"K {one['K']}, width {one['width']}, {one['numbers']:,.0f} numbers each: a step {one['step']:.2f}",
            f"  parts repeated alone: {parts}",
            f"  products on hidden states alone: {one['products_share']:.0%} of the peak",
            f"  floor: FLOP at the peak {one['flop_floor']:.2f}; bytes at {one['gb_per_s']:.0f} GB/s "
            f"{one['bytes_floor']:.2f}",
        ]
    return lines


def measured(arguments: Any) -> dict[str, Any]:
    import torch

    import published

    with tempfile.TemporaryDirectory() as folder:
        harness.say("building the digits")
        made = published.digits(Path(folder), TRAIN, VALIDATION, arguments.seed)
    harness.say("training the unimodal networks")
    networks = published.trained(made, arguments.seed, epochs=1)
    states, cache_seconds = published.cached(networks, made)
    rows = published.rows_of(states, made)
    harness.say("measuring")
    top = published.peak()
    inputs = {name: torch.from_numpy(values) for name, values in states.items()}
    slow: dict[int, dict[str, float]] = {}
    found = []
    for count, width in SIZES:
        candidates = published.drawn(published.space(2), count, 2, arguments.seed)
        if width not in slow:
            three = candidates[:3]
            slow[width] = {
                "with_encoders": published.one_by_one(three, made.inputs, made, networks, width, True),
                "forward_only": published.one_by_one(three, made.inputs, made, networks, width, False),
                "cached": published.one_by_one(three, inputs, made, None, width, True),
            }
        fast = stacked(candidates, rows, width, arguments.stack, arguments.epochs)
        alone = slow[width]
        whole = cache_seconds + PUBLISHED * fast["seconds"]
        found.append(
            {
                "K": count, "width": width,
                **{f"ratio_{name}": seconds / fast["seconds"] for name, seconds in alone.items()},
                "ratio_whole_search": PUBLISHED * alone["with_encoders"] / whole,
                "peak_share": fast["flop"] / fast["seconds"] / top,
                "seconds": fast["seconds"], "flop": fast["flop"], "built": fast["built"], "one_by_one": alone,
            }
        )  # fmt: skip
        harness.say(f"  K {count:>5} width {width:>4}: {1e3 * fast['seconds']:.3f} ms per candidate-epoch")
    return {
        "machine": harness.machine(), "seed": arguments.seed, "peak_gflop_per_s": top / 1e9,
        "cache_seconds": cache_seconds, "rows": found,
    }  # fmt: skip


def readable(told: dict[str, Any]) -> list[str]:
    lines = [
        f"peak {told['peak_gflop_per_s']:.0f} GFLOP/s; the one-off cache pass took {told['cache_seconds']:.1f} CPU s",
        f"{'K':>6} {'width':>6} | {'ms per candidate-epoch':>22} | times faster than one by one:",
        f"{'':>6} {'':>6} | {'stack':>8} {'one by one':>13} | {'encoders':>9} {'forward':>8} {'cached':>7} "
        f"{'585 in all':>10} | of peak",
    ]
    lines += [
        f"{row['K']:>6} {row['width']:>6} | {1e3 * row['seconds']:>8.3f} "
        f"{1e3 * row['one_by_one']['with_encoders']:>13,.0f} | {row['ratio_with_encoders']:>9,.0f} "
        f"{row['ratio_forward_only']:>8,.0f} {row['ratio_cached']:>7,.0f} {row['ratio_whole_search']:>10,.0f} | "
        f"{row['peak_share']:.1%}"
        for row in told["rows"]
    ]
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    told = taken_apart(arguments) if arguments.where else measured(arguments)
    if arguments.json:
        print(json.dumps(told))
        return
    harness.finish(told, False, where(told) if arguments.where else readable(told))


if __name__ == "__main__":
    main()
