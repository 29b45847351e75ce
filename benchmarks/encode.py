"""How fast the cached pass computes hidden states, what it costs over the naked network, and how much memory it takes.

Three ways to get the hidden states of the same rows with the same encoder, on decoded rows that lie in a mapped file:

  cached pass     plait.encoders.cache.hidden_states into an empty cache: rows read from one mapped file and states
                  written to another, a batch at a time
  naked batches   the network over the same batches held in memory, states thrown away: what the cached pass cannot go
                  below
  row by row      the same loop with one row per call
  warm            the cached pass again: what every later search, resumed fit or refit pays

Decoding (files to arrays) is timed apart. The floor is the encoder's multiplications (matrix products and
convolutions, two operations each) at the speed of a large single-precision matrix product on the same threads.
Memory is the anonymous resident memory (RssAnon: heap and stacks, without mapped files) of a fresh process for each
number of rows, sampled while it runs the cached pass over a mapped file of that many rows.

Example:
  python benchmarks/encode.py --rows 4000
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import harness

BLOCK = 1_000
ENCODERS = ("image 28x28 grey (lenet)", "image 64x64 colour (residual)", "audio 1 s at 8 kHz (logmel)")


def options() -> ArgumentParser:
    made = harness.parser(__doc__)
    made.add_argument("--rows", type=int, default=4_000, help="rows for the speed figures (default 4000)")
    made.add_argument("--batch-size", type=int, help="rows per forward pass (default: that of the cached pass)")
    made.add_argument("--repeats", type=int, default=3, help="timings of which the fastest counts (default 3)")
    made.add_argument(
        "--memory-rows", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="rows for the memory figures"
    )
    made.add_argument(
        "--encoders", nargs="*", default=[""], metavar="WORD", help="only those with such a word in the name"
    )
    made.add_argument(
        "--measure-memory", nargs=2, metavar=("ENCODER", "ROWS"), help="one memory figure, in this process"
    )
    return made


def reader_of(name: str) -> Any:
    """The reader whose arrays an encoder of this benchmark takes."""
    from plait.data.readers import AudioReader, ImageReader

    if name.startswith("audio"):
        return AudioReader(rate=8_000, samples=8_000)
    side = 28 if "28x28" in name else 64
    return ImageReader(channels=1 if "grey" in name else 3, height=side, width=side)


def network_of(reader: Any, seed: int) -> Any:
    """The default encoder for a reader with a head of ten classes, untrained: weights do not change the time."""
    import torch

    from plait.encoders import ENCODERS as REGISTRY
    from plait.encoders import default_encoder
    from plait.tasks._base import Task
    from plait.training.model import UnimodalNetwork

    torch.manual_seed(seed)
    task = Task(
        name="digit", kind="multiclass", label_type="int", classes=tuple("0123456789"), prior=(float(np.log(0.1)),) * 10
    )
    return UnimodalNetwork(REGISTRY[default_encoder(reader)].build(reader), (task,)).eval().requires_grad_(False)


def write_rows(path: Path, reader: Any, rows: int, seed: int) -> None:
    """Write a file of decoded rows: one random block over and over, so that many rows take little time and memory."""
    rng = np.random.default_rng(seed)
    info = np.iinfo(reader.dtype)
    block = rng.integers(info.min, info.max + 1, (min(BLOCK, rows), *reader.shape)).astype(reader.dtype)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=reader.dtype, shape=(rows, *reader.shape))
    for start in range(0, rows, len(block)):
        array[start : start + len(block)] = block[: rows - start]
    array.flush()


def encoded(name: str, reader: Any, rows: int, seed: int) -> list[bytes]:
    """Some files of the kind that the reader decodes: PNG images, WAV sounds."""
    import soundfile
    from PIL import Image

    rng = np.random.default_rng(seed)
    files = []
    for _ in range(rows):
        out = io.BytesIO()
        if name.startswith("audio"):
            soundfile.write(out, rng.integers(-3000, 3000, reader.samples).astype(np.int16), reader.rate, format="WAV")
        else:
            smooth = rng.integers(0, 256, (8, 8, reader.channels)).astype(np.uint8)
            picture = Image.fromarray(smooth[..., 0] if reader.channels == 1 else smooth)
            picture.resize((reader.width, reader.height), Image.Resampling.BILINEAR).save(out, "PNG")
        files.append(out.getvalue())
    return files


def speeds(name: str, rows: int, batch: int | None, repeats: int, seed: int) -> dict[str, Any]:
    """Rows per second of the three ways and of the warm cache, decoding apart."""
    import pyarrow as pa
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from plait.data.batches import rows_at_once
    from plait.data.cache import ArrayCache
    from plait.data.table import Table
    from plait.encoders.cache import hidden_states

    reader = reader_of(name)
    network = network_of(reader, seed)
    batch = batch or rows_at_once(reader.shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        write_rows(path, reader, rows, seed)
        mapped = np.load(path, mmap_mode="r")
        held = np.array(mapped)
        index = np.arange(rows)

        def loop(size: int, count: int) -> Callable[[], None]:
            def run() -> None:
                with torch.inference_mode():
                    for start in range(0, count, size):
                        network(torch.from_numpy(held[start : start + size]))

            return run

        def cached(place: str) -> float:
            started = time.perf_counter()
            hidden_states(
                network, network.widths, mapped, index, name, ArrayCache(Path(folder) / place), batch_size=batch
            )
            return time.perf_counter() - started

        few = min(rows, 500)
        loop(batch, min(rows, batch))()  # warm up
        timed: dict[str, list[float]] = {"naked": [], "cached": [], "warm": [], "single": []}
        for repeat in range(repeats):  # in turns, so that a busy moment of the machine hits all of them
            timed["naked"].append(harness.seconds(loop(batch, rows)))
            timed["cached"].append(cached(str(repeat)))
            timed["warm"].append(cached(str(repeat)))
            timed["single"].append(harness.seconds(loop(1, few)) * rows / few)
        best = {way: min(found) for way, found in timed.items()}

        files = encoded(name, reader, few, seed)
        table = Table(pa.table({"cell": pa.array(files, pa.large_binary())}))
        decoding = harness.seconds(lambda: reader.read(table), repeats) / few
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.from_numpy(held[: min(rows, batch)]))
        flop = counter.get_total_flops() / min(rows, batch)
    return {
        "encoder": name,
        "rows": rows,
        "decoded_shape": list(reader.shape),
        "state_numbers": sum(network.widths),
        "rows_per_s": {
            "cached_pass": rows / best["cached"],
            "naked_batches": rows / best["naked"],
            "row_by_row": rows / best["single"],
            "decoding": 1 / decoding,
        },
        "warm_s": best["warm"],
        "cached_over_naked": best["cached"] / best["naked"],
        "row_by_row_over_cached": best["single"] / best["cached"],
        "flop_per_row": flop,
        "gflop_per_s": flop * rows / best["naked"] / 1e9,
    }


def peak_gflops(side: int = 1_024, repeats: int = 8) -> float:
    """Billions of operations per second of a large single-precision matrix product, the fastest of several."""
    import torch

    left, right = torch.rand(side, side), torch.rand(side, side)
    return 2 * side**3 / harness.seconds(lambda: left @ right, repeats) / 1e9


class MemoryWatch(threading.Thread):
    """Samples this process's resident memory, in MB, every few milliseconds until stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.anonymous: list[float] = []
        self.mapped: list[float] = []

    def run(self) -> None:
        """Sample until stopped."""
        while not self.stopped.wait(0.005):
            self.sample()

    def sample(self) -> None:
        """Take one sample."""
        found = resident()
        self.anonymous.append(found["RssAnon"])
        self.mapped.append(found["RssFile"])

    def stop(self) -> None:
        """Take a last sample and end."""
        self.stopped.set()
        self.join()
        self.sample()


def resident() -> dict[str, float]:
    """Resident memory of this process in MB, by kind, from Linux's /proc; zeros elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    pairs = dict(line.split(":", 1) for line in lines)
    return {kind: float(pairs.get(kind, "0 kB").split()[0]) / 1024 for kind in ("RssAnon", "RssFile")}


def memory_here(name: str, rows: int, batch: int | None, seed: int) -> dict[str, Any]:
    """Memory of the cached pass over so many rows, in this process."""
    import torch

    from plait.data.batches import rows_at_once
    from plait.data.cache import ArrayCache
    from plait.encoders.cache import hidden_states

    reader = reader_of(name)
    network = network_of(reader, seed)
    batch = batch or rows_at_once(reader.shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        write_rows(path, reader, rows, seed)
        mapped = np.load(path, mmap_mode="r")
        with torch.inference_mode():  # what every pass needs: libraries loaded, one batch of work space
            network(torch.from_numpy(np.array(mapped[:batch])))
        watch = MemoryWatch()
        watch.sample()  # the peak counts what was there before: a run of few milliseconds may only free memory
        watch.start()
        started = time.perf_counter()
        hidden_states(
            network, network.widths, mapped, np.arange(rows), name, ArrayCache(Path(folder) / "cache"), batch_size=batch
        )
        spent = time.perf_counter() - started
        watch.stop()
    return {
        "encoder": name,
        "rows": rows,
        "input_mb": rows * int(np.prod(reader.shape)) * reader.dtype.itemsize / 2**20,
        "states_mb": rows * sum(network.widths) * 4 / 2**20,
        "anonymous_before_mb": watch.anonymous[0],
        "anonymous_peak_mb": max(watch.anonymous),
        "mapped_peak_mb": max(watch.mapped),
        "rows_per_s": rows / spent,
    }


def memory_apart(name: str, rows: int, arguments: Namespace) -> dict[str, Any]:
    """The same in a fresh process."""
    command = [
        sys.executable, __file__, "--measure-memory", name, str(rows), "--seed", str(arguments.seed),
        "--threads", str(arguments.threads), "--json",
        *(["--batch-size", str(arguments.batch_size)] if arguments.batch_size else []),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def readable(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"floor: a 1024 x 1024 matrix product runs at {figures['peak_gflop_per_s']:.0f} GFLOP/s",
        "",
    ]
    lines.append(
        "rows/s                          cached    naked  row by row  decoding | cached/naked  warm s "
        "| MFLOP/row  GFLOP/s  of peak"
    )
    for one in figures["speed"]:
        rate = one["rows_per_s"]
        lines.append(
            f"{one['encoder']:<30} {rate['cached_pass']:>7,.0f} {rate['naked_batches']:>8,.0f} "
            f"{rate['row_by_row']:>11,.0f} {rate['decoding']:>9,.0f} | {one['cached_over_naked']:>12.2f} "
            f"{one['warm_s']:>7.4f} | {one['flop_per_row'] / 1e6:>9.2f} {one['gflop_per_s']:>8.1f} "
            f"{one['of_peak']:>8.0%}"
        )
    lines += [
        "",
        "memory of the cached pass, MB          rows    input   states | anonymous before    peak  | mapped peak",
    ]
    lines += [
        f"{one['encoder']:<32} {one['rows']:>10,} {one['input_mb']:>8.0f} {one['states_mb']:>8.0f} | "
        f"{one['anonymous_before_mb']:>16.0f} {one['anonymous_peak_mb']:>7.0f} | {one['mapped_peak_mb']:>11.0f}"
        for one in figures["memory"]
    ]
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = options().parse_args(argv)
    harness.set_threads(arguments.threads)
    if arguments.measure_memory:
        name, rows = arguments.measure_memory
        print(json.dumps(memory_here(name, int(rows), arguments.batch_size, arguments.seed)))
        return
    wanted = [name for name in ENCODERS if any(word in name for word in arguments.encoders)]
    figures: dict[str, Any] = {
        "machine": harness.machine(),
        "peak_gflop_per_s": peak_gflops(),
        "speed": [],
        "memory": [],
    }
    for name in wanted:
        harness.say(f"speed: {name}")
        one = speeds(name, arguments.rows, arguments.batch_size, arguments.repeats, arguments.seed)
        figures["speed"].append(one | {"of_peak": one["gflop_per_s"] / figures["peak_gflop_per_s"]})
        for rows in arguments.memory_rows:
            harness.say(f"memory: {name}, {rows:,} rows")
            figures["memory"].append(memory_apart(name, rows, arguments))
    harness.finish(figures, arguments.json, readable(figures))


if __name__ == "__main__":
    main()
