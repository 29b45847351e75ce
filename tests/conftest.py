"""Fixtures that several test folders share: a cache of their own, and small tables made on the spot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from made import made_rows, write_table

pytest.register_assert_rewrite("plait.testing")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache is neither read nor written by a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _judged_once() -> Iterator[None]:
    """Small tables are compared on their validation rows alone unless a test asks for folds: five times as quick."""
    from plait.pipeline import turns

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "FEW", 0)
        yield


@pytest.fixture(scope="session")
def made_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 120 rows with an image, a sound, a vector and table columns."""
    return write_table(tmp_path_factory.mktemp("made"), made_rows())


@pytest.fixture(scope="session")
def vector_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 120 rows with a vector and table columns: quick to learn."""
    columns = made_rows()
    return write_table(tmp_path_factory.mktemp("vectors"), {n: columns[n] for n in ("view", "size", "ward", "label")})


@pytest.fixture(scope="session")
def made_run(made_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on `made_table`; read-only."""
    import plait

    out = tmp_path_factory.mktemp("runs") / "run"
    plait.fit(made_table, "label", out=out, ignore=["price", "patient"], trials=1, seed=0)
    return out
