"""Work done by several processes, its results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_order(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """Results of `work` on job after job, in their order.

    Args:
        work: A function of a module (it travels to other processes).
        jobs: What to do; taken one by one, no more than two per process ahead.
        workers: Processes to use; with 1, everything happens in this one.
    """
    if workers <= 1:
        yield from map(work, jobs)
        return
    import joblib

    calls = (joblib.delayed(work)(job) for job in jobs)
    # Arrays are sent, not mapped from temporary files: a mapped array arrives read-only.
    pool = joblib.Parallel(workers, backend="loky", return_as="generator", pre_dispatch="2*n_jobs", max_nbytes=None)
    yield from pool(calls)
