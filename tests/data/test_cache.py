"""The cache of arrays: whole or not there, bounded, and never trusting what lies there."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.data.cache import ArrayCache, cache_folder
from plait.exceptions import InputError

FLOAT = np.dtype(np.float32)


def put(cache: ArrayCache, key: str, values: Any) -> None:
    array = np.asarray(values)
    with cache.writing(key, array.shape, array.dtype) as target:
        target[...] = array


def names(cache: ArrayCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()}


@pytest.mark.parametrize("shape", [(3, 4), (5,), (), (0, 3), (2, 0)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int16])
def test_what_is_put_comes_back(shape: tuple[int, ...], dtype: Any, tmp_path: Path) -> None:
    values = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    cache = ArrayCache(tmp_path)
    put(cache, "k", values)
    found = ArrayCache(tmp_path).get("k")
    assert found is not None
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)
    assert names(cache) == {"k.npy"}


def test_what_is_found_cannot_be_changed(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    put(cache, "k", [1.0, 2.0])
    found = cache.get("k")
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 5


def test_nothing_is_there_before_the_block_ends(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    with cache.writing("k", (3,), FLOAT) as array:
        assert cache.get("k") is None
        array[:] = 1
    assert cache.get("k") is not None


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError("a reader's own"), InputError("x")])
def test_a_block_that_fails_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    with pytest.raises(type(error)) as told, cache.writing("k", (3,), FLOAT):
        raise error
    assert told.value is error
    assert names(cache) == set()


def test_a_block_that_fails_leaves_the_old_array(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    put(cache, "k", [1.0])

    def fail() -> None:
        with cache.writing("k", (1,), FLOAT) as array:
            array[0] = 7
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert cache.get("k") == [1.0]


def test_two_writers_of_one_key(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    with cache.writing("k", (2,), FLOAT) as first, cache.writing("k", (2,), FLOAT) as second:
        first[:] = 1
        second[:] = 1
    assert names(cache) == {"k.npy"}
    assert cache.get("k").tolist() == [1, 1]  # type: ignore[union-attr]


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, limit=3 * 4128)
    for age, key in enumerate(["old", "older", "new"]):
        put(cache, key, np.zeros(1000, np.float32))
        os.utime(cache.path(key), (1000 + age, 1000 + age))
    assert cache.get("old") is not None  # used again
    put(cache, "next", np.zeros(1000, np.float32))
    assert names(cache) == {"old.npy", "new.npy", "next.npy"}
    put(cache, "two", np.zeros(2000, np.float32))
    assert names(cache) == {"two.npy"} | ({"next.npy"} & names(cache))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * 4128 + 128


def test_a_dropped_array_stays_readable_to_whoever_has_it(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, limit=5000)
    put(cache, "a", np.arange(1000, dtype=np.float32))
    held = cache.get("a")
    put(cache, "b", np.zeros(1000, np.float32))
    assert cache.get("a") is None
    assert held is not None
    np.testing.assert_array_equal(held, np.arange(1000))


def test_an_array_larger_than_the_limit_takes_all_places(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path, limit=1000)
    put(cache, "small", np.zeros(10))
    put(cache, "large", np.zeros(1000))
    assert names(cache) == {"large.npy"}


def test_what_killed_processes_left_is_swept_after_a_day(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    for name, age in (("a.1.part", 2 * 86_400), ("b.2.part", 60)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    put(cache, "k", [1.0])
    assert names(cache) == {"b.2.part", "k.npy"}


def test_the_folder_and_limit_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIT_CACHE", str(tmp_path / "deep" / "cache"))
    monkeypatch.setenv("PLAIT_CACHE_GB", "0.5")
    cache = ArrayCache()
    assert cache.folder == tmp_path / "deep" / "cache"
    assert cache.limit == 2**29
    monkeypatch.delenv("PLAIT_CACHE_GB")
    assert ArrayCache().limit == 20 * 2**30
    monkeypatch.delenv("PLAIT_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "plait"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "plait"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "plait"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "plait" / "cache"


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "nan", "inf", "1e9"])
def test_a_limit_that_is_none(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIT_CACHE_GB", text)
    with pytest.raises(InputError) as told:
        ArrayCache(tmp_path)
    assert str(told.value) == f"PLAIT_CACHE_GB is {text!r}; give the cache's size in gigabytes, such as 20."


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "under"):
        with pytest.raises(InputError) as told:
            ArrayCache(folder)
        assert f"The cache folder {folder} cannot be written (" in str(told.value)
        assert "name another in the environment variable PLAIT_CACHE" in str(told.value)


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\); name another"):
        ArrayCache(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_before_anything_is_computed(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        assert size == 128 + 8 * 2**18
        raise OSError(number, os.strerror(number))

    cache = ArrayCache(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError) as told, cache.writing("k", (2**18,), np.dtype(np.float64)):
        pytest.fail("the block began")
    assert f"2 MB do not fit into the cache folder {tmp_path} ({os.strerror(number)}); make room" in str(told.value)
    assert names(cache) == set()


def test_a_file_system_that_cannot_promise_room_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    put(ArrayCache(tmp_path), "k", [1.0])
    monkeypatch.delattr(os, "posix_fallocate")
    put(ArrayCache(tmp_path), "k", [2.0])
    assert ArrayCache(tmp_path).get("k") == [2.0]


def test_room_is_claimed_for_real(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    with cache.writing("k", (2**18,), np.dtype(np.float64)):
        part = next(tmp_path.glob("*.part"))
        assert part.stat().st_blocks * 512 >= 2**21


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    cache, mark = ArrayCache(tmp_path), tmp_path / "exploded"
    np.save(tmp_path / "k.npy", np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "z.npz", a=np.array([Bomb(mark)], dtype=object))
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    assert cache.get("k") is None
    assert cache.get("z") is None
    assert not mark.exists()
    np.load(tmp_path / "k.npy", allow_pickle=True)
    assert mark.exists()  # so the bomb was a live one


def test_no_array_no_file_no_folder(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    assert cache.get("none") is None
    (tmp_path / "d.npy").mkdir()
    assert cache.get("d") is None
    (tmp_path / "e.npy").touch()
    assert cache.get("e") is None


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 200), value=st.binary(min_size=1, max_size=4), cut=st.booleans())
def test_a_damaged_file_is_a_miss_or_an_array(place: int, value: bytes, cut: bool, tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    put(cache, "k", np.arange(20, dtype=np.float32))
    data = cache.path("k").read_bytes()
    cache.path("k").write_bytes(data[:place] + value + (b"" if cut else data[place + len(value) :]))
    found = cache.get("k")
    assert found is None or isinstance(found, np.ndarray)
    if cut and place + len(value) < len(data):
        assert found is None
