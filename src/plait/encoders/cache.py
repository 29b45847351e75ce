"""The cached pass: hidden states of every row, computed once by a frozen network and kept as a mapped array."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plait._version import __version__
from plait.data.batches import MOST_AT_ONCE, rows_at_once
from plait.data.cache import ArrayCache
from plait.data.digest import key_of
from plait.data.workers import in_order
from plait.encoders.threads import single_thread

Advance = Callable[[int], None]


def weights_digest(module: nn.Module) -> str:
    """A digest of all weights of a module, the same wherever the module lies."""
    total = hashlib.blake2b(digest_size=20)
    for name, tensor in module.state_dict().items():
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


WORKERS_FROM = 16_384
"""Fewer rows than this are encoded in this process: starting workers, each with its own torch, would take longer."""

GROUP = 16
"""Batches that a worker takes at once."""


def hidden_states(
    network: nn.Module, widths: Sequence[int], values: NDArray[Any], rows: NDArray[np.int64], identity: str,
    cache: ArrayCache, *, batch_size: int | None = None, device: str = "cpu", workers: int = 1,
    advance: Advance | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Hidden states of some rows, from the cache if they were computed before.

    Memory does not grow with the number of rows: inputs are read and states written a batch at a time.

    Args:
        network: The frozen network; run in evaluation mode.
        widths: Widths of its layers 0..L+1.
        values: Decoded inputs of all rows, [all rows, *shape].
        rows: Positions of the wanted rows.
        identity: What the inputs are (content digests and reader options): part of the cache's key.
        cache: Where the states go.
        batch_size: Rows per forward pass; by default what suits the device. It is part of the key, since float sums
            depend on it in the last bit.
        device: Where to run.
        workers: Processes to encode with on the CPU, one thread each; the result does not depend on it.
        advance: Told after every batch how many rows were encoded.

    Returns:
        [rows, sum of widths]: the layers side by side, in the order of `rows`.
    """
    batch_size = batch_size or (rows_at_once(values.shape[1:]) if device == "cpu" else MOST_AT_ONCE)
    key = "states-" + key_of([__version__, identity, weights_digest(network), rows.tobytes(), str(batch_size), device])
    shape = (len(rows), sum(widths))
    found = cache.get(key)
    if found is None or found.shape != shape:
        network.eval().to(device)
        batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        with cache.writing(key, shape, np.dtype(np.float32)) as states:
            start = 0
            for piece in _pieces(network, values, batches, device, workers if len(rows) >= WORKERS_FROM else 1):
                states[start : start + len(piece)] = piece
                start += len(piece)
                if advance:
                    advance(len(piece))
        found = cache.get(key)
    elif advance:
        advance(len(rows))
    if found is None:
        raise OSError(f"the cache folder {cache.folder} lost an array just written")
    return found


def _pieces(
    network: nn.Module, values: NDArray[Any], batches: list[NDArray[np.int64]], device: str, workers: int
) -> Iterator[NDArray[np.float32]]:
    """States of batch after batch, in order; on several workers, of some batches at a time."""
    processes = workers if device == "cpu" else 1
    group = GROUP if processes > 1 else 1
    jobs = ([_read(values, batch) for batch in batches[i : i + group]] for i in range(0, len(batches), group))
    yield from in_order(partial(_encode, network, device), jobs, processes)


def _read(values: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Some rows of a mapped array, in memory, in the order of `rows`; read in the order of the file."""
    order = np.argsort(rows, kind="stable")
    found = np.empty((len(rows), *values.shape[1:]), values.dtype)
    found[order] = values[rows[order]]
    return found


def _encode(network: nn.Module, device: str, batches: list[NDArray[Any]]) -> NDArray[np.float32]:
    """States of some batches, each in a forward pass of its own."""
    with single_thread(), torch.inference_mode():
        pieces = [torch.cat(network(torch.from_numpy(batch).to(device)).layers, dim=1) for batch in batches]
        return torch.cat(pieces).float().cpu().numpy()


def moments_of(
    states: NDArray[np.float32], rows: NDArray[np.int64], chunk: int = 8192
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation of every column over some rows, streamed; constants have deviation 1. Arrays [columns]."""
    total = np.zeros(states.shape[1])
    squares = np.zeros(states.shape[1])
    for start in range(0, len(rows), chunk):
        part = np.asarray(states[rows[start : start + chunk]], dtype=np.float64)
        total += part.sum(0)
        squares += (part**2).sum(0)
    count = max(len(rows), 1)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)
