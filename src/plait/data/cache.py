"""The cache of arrays computed once: memory-mapped files named by their content, bounded, the oldest dropped."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.exceptions import InputError

DEFAULT_LIMIT_GB = 20.0


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
        """The array, mapped read-only; None if it is not there or not readable."""
        path = self.path(key)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            os.utime(path)
        except (OSError, ValueError, EOFError):
            return None
        return np.asarray(array) if array.ndim == 0 else array

    @contextmanager
    def writing(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """An array to fill; it gets its name when the block ends well, and vanishes otherwise.

        Raises:
            InputError: The disk is full.
        """
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        self._make_room(size)
        part = self.folder / f"{key}.{os.getpid()}.part"
        try:
            array = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
            yield array
            array.flush()
            del array
            os.replace(part, self.path(key))
        except OSError as error:
            raise InputError(
                f"{size / 2**20:,.0f} MB do not fit into the cache folder {self.folder} ({error.strerror}); make room, "
                "or name another folder in the environment variable PLAIT_CACHE."
            ) from error
        finally:
            with suppress(OSError):
                part.unlink()

    def _make_room(self, wanted: int) -> None:
        """Drop the least recently used arrays until `wanted` more bytes fit; a mapped one stays readable to its user."""
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


def _limit_from_environment() -> int:
    text = os.environ.get("PLAIT_CACHE_GB", str(DEFAULT_LIMIT_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not 0 < gigabytes < 1e6:
        raise InputError(f"PLAIT_CACHE_GB is {text!r}; give the cache's size in gigabytes, such as 20.")
    return int(gigabytes * 2**30)
