"""Keeps torch's global state as the caller had it: threads and random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


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
    """Inside, one thread, and random numbers may be drawn and seeded; outside, all is as before.

    One thread of linear algebra, too: how many there are decides over last bits.
    """
    with single_thread(), threadpool_limits(1), torch.random.fork_rng(devices=[]):
        yield
