"""The cache of arrays computed once: memory-mapped files named by their content, bounded, the oldest dropped."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
import tokenize
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.exceptions import InputError

DEFAULT_LIMIT_GB = 20.0
_DAMAGED = (
    OSError, ValueError, EOFError, ArithmeticError, MemoryError, SyntaxError, tokenize.TokenError, TypeError,
    LookupError, RecursionError,
)  # fmt: skip
"""What NumPy raises on a damaged file, whose header it reads as Python source."""

_ABANDONED = 24 * 3600.0
"""Seconds after which an unfinished array is taken for the rest of a killed process."""


def cache_folder() -> Path:
    """The folder in `PLAIT_CACHE`, or plait's own in the user's cache folder."""
    if given := os.environ.get("PLAIT_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "plait"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "plait" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plait"


class ArrayCache:
    """Arrays on disk, by key.

    Args:
        folder: Where they lie; by default `cache_folder()`.
        limit: Bytes that may lie there, by default 20 GB or `PLAIT_CACHE_GB`; the least recently used go first.

    Raises:
        InputError: The folder cannot be written.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = folder or cache_folder()
        self.limit = limit if limit is not None else _limit_from_environment()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise InputError(
                f"The cache folder {self.folder} cannot be written ({error.strerror}); "
                "name another in the environment variable PLAIT_CACHE."
            ) from error

    def path(self, key: str) -> Path:
        """Where the array of a key lies, or would lie."""
        return self.folder / f"{key}.npy"

    def get(self, key: str) -> NDArray[Any] | None:
        """The array, mapped read-only; None if it is not there or not readable. Nothing is ever unpickled."""
        path = self.path(key)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array = np.lib.format.open_memmap(path, mode="r")
            os.utime(path)
        except _DAMAGED:
            return None
        return np.asarray(array) if array.ndim == 0 else array

    @contextmanager
    def writing(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """An array to fill; it gets its name when the block ends well, and vanishes otherwise.

        An array larger than the cache's limit is written all the same, in the place of all others.

        Raises:
            InputError: It does not fit on the disk, which is told before the block begins.
        """
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        self._make_room(size)
        part = self.folder / f"{key}.{uuid.uuid4().hex}.part"
        try:
            with self._told_if_full(size):
                array = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
                _allocate(part)
            yield array
            with self._told_if_full(size):
                array.flush()
                del array
                os.replace(part, self.path(key))
        finally:
            with suppress(OSError):
                part.unlink()

    @contextmanager
    def _told_if_full(self, size: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{size / 2**20:,.0f} MB do not fit into the cache folder {self.folder} ({error.strerror}); make room, "
                "or name another folder in the environment variable PLAIT_CACHE."
            ) from error

    def _make_room(self, wanted: int) -> None:
        """Drop the least recently used arrays until `wanted` more bytes fit, and what killed processes left behind.

        An array that someone has mapped stays readable to them.
        """
        entries = []
        for path in self.folder.glob("*.npy"):
            with suppress(OSError):
                entries.append((path.stat().st_mtime, path.stat().st_size, path))
        held = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if held + wanted <= self.limit:
                break
            with suppress(OSError):
                path.unlink()
                held -= size
        for path in self.folder.glob("*.part"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()


def _allocate(path: Path) -> None:
    """Claim a file's blocks now: writing through a map to a disk that is full would kill the process."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def _limit_from_environment() -> int:
    text = os.environ.get("PLAIT_CACHE_GB", str(DEFAULT_LIMIT_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not 0 < gigabytes < 1e6:
        raise InputError(f"PLAIT_CACHE_GB is {text!r}; give the cache's size in gigabytes, such as 20.")
    return int(gigabytes * 2**30)
