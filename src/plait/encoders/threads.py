"""Keeps torch's global state as the caller had it: threads and random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_thread() -> Iterator[None]:
    """Inside, torch computes with one thread; outside, with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def contained() -> Iterator[None]:
    """Inside, one thread, and random numbers may be drawn and seeded; outside, all is as before."""
    with single_thread(), torch.random.fork_rng(devices=[]):
        yield
