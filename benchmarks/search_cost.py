"""How the cost of a stacked search grows: with candidates, rows, layers, width of cells, modalities, by operation.

Made hidden states, architectures of two cells drawn from the whole published kind of space (concat, every modality),
or from that with another operation, batch 32. From a middle setting, one thing is changed at a time. CPU seconds of one
thread, per candidate-epoch, or per candidate and row where rows change.

Examples:
  python benchmarks/search_cost.py
  python benchmarks/search_cost.py --plot docs/images/search_cost.svg
  python benchmarks/search_cost.py --only operation width
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import harness

MIDDLE = {"candidates": 128, "rows": 2_048, "layers": 5, "width": 16, "modalities": 2, "operation": "concat"}
CHANGES: dict[str, tuple[int | str, ...]] = {
    "candidates": (16, 32, 64, 128, 256, 512, 1_024),
    "rows": (512, 2_048, 8_192, 32_768),
    "layers": (2, 5, 10, 20),
    "width": (16, 32, 64, 128),
    "modalities": (2, 3, 6, 12, 24),
    "operation": ("concat", "mean", "max", "product", "gate", "low-rank", "tensor"),
}
STATE = 48
"""Numbers of every hidden state."""


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument(
        "--plot", metavar="FILE", help="draw the figures, too (needs matplotlib: pip install 'plait[plots]')"
    )
    made.add_argument("--only", nargs="+", choices=list(CHANGES), default=list(CHANGES), help="what is changed")
    made.add_argument("--device", default="cpu", help="where to train (default cpu)")
    made.add_argument("--most", type=int, default=1_024, help="candidates at most (default 1024; 16384 on a GPU)")
    return made


def cost(setting: dict[str, Any], seed: int, device: str) -> float:
    """CPU seconds per candidate-epoch (on a GPU: wall-clock seconds)."""
    import numpy as np
    import torch

    from plait.data.batches import Rows, shuffled
    from plait.fusion import FusionSpace
    from plait.fusion.stack import FusionStack, Member, Recipe, Sizes, StackFeed
    from plait.fusion.stack.inputs import States
    from plait.tasks import Task

    rng = np.random.default_rng(seed)
    count, names = setting["rows"], [f"m{number:02}" for number in range(setting["modalities"])]
    widths = dict.fromkeys(names, (STATE,) * setting["layers"])
    task = Task(name="y", kind="multiclass", label_type="int", classes=tuple("0123456789"), prior=(-2.302585,) * 10)
    rows = Rows(
        {name: rng.normal(size=(count, STATE * setting["layers"])).astype(np.float32) for name in names},
        dict.fromkeys(names, np.ones(count, bool)), {"y": rng.integers(0, 10, count).astype(np.float32)},
        {"y": np.ones(count, bool)}, np.arange(count),
    )  # fmt: skip
    space = FusionSpace(
        {name: range(setting["layers"]) for name in names}, operations=(setting["operation"],),
        activations=("relu", "sigmoid"), max_cells=2, trees=False, every_modality=True,
    )  # fmt: skip
    members = [Member(space.sample(rng, 2)) for _ in range(setting["candidates"])]
    stack = FusionStack(members, Sizes(widths, (10,), setting["width"]), [task], Recipe(dropout=0.0), device)
    moments = torch.zeros(STATE), torch.ones(STATE)
    feed = StackFeed(stack.layout, States(rows, widths, lambda *state: moments, device))
    clock = time.process_time if device == "cpu" else time.perf_counter
    best = float("inf")
    for epoch in range(3):
        started = clock()
        for batch in feed.batches(shuffled(count, 32, seed, epoch)):
            losses = stack.step(batch, lambda step: 1e-3)
        losses.sum().item()  # on a GPU, wait for it
        best = min(best, clock() - started)
    return best / setting["candidates"]


def measured(arguments: Any) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name in arguments.only:
        values = CHANGES[name]
        if name == "candidates" and arguments.most > values[-1]:
            values = (*values, *(2**power for power in range(12, 15) if 2**power <= arguments.most))
        for value in values:
            seconds = cost(MIDDLE | {name: value}, arguments.seed, arguments.device)
            found.setdefault(name, []).append({"value": value, "seconds": seconds})
            harness.say(f"{name} {value}: {1e3 * seconds:.3f} ms per candidate-epoch")
    return {
        "machine": harness.machine(),
        "seed": arguments.seed,
        "device": arguments.device,
        "middle": MIDDLE,
        "cost": found,
    }


def readable(told: dict[str, Any]) -> list[str]:
    lines = ["in the middle: " + ", ".join(f"{_written(value)} {name}" for name, value in told["middle"].items())]
    for name, rows in told["cost"].items():
        lines.append(f"{name:<11} " + " ".join(f"{_written(row['value']):>8}" for row in rows))
        lines.append(f"{'ms':<11} " + " ".join(f"{1e3 * row['seconds']:>8.3f}" for row in rows))
    return lines


def _written(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def draw(told: dict[str, Any], path: Path) -> None:
    """One panel per thing that changes, both axes logarithmic, with a line of proportional growth."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit("--plot needs matplotlib: pip install 'plait[plots]'") from error
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(told["cost"]), figsize=(14, 3), sharey=True, constrained_layout=True)
    for axis, (name, rows) in zip(axes, told["cost"].items(), strict=True):
        values, seconds = [row["value"] for row in rows], [1e3 * row["seconds"] for row in rows]
        if isinstance(values[0], str):
            axis.plot(values, seconds, "o", color="#2563eb")
        else:
            axis.loglog(values, seconds, "o-", color="#2563eb", base=10)
        axis.set_xticks(values, [_written(value) for value in values], rotation=45, fontsize=8)
        axis.minorticks_off()
        axis.set_title(name, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ms per candidate-epoch")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    told = measured(arguments)
    if arguments.plot:
        draw(told, Path(arguments.plot))
    harness.finish(told, arguments.json, readable(told))


if __name__ == "__main__":
    main()
