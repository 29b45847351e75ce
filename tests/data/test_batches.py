"""Rows and the batches cut out of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.batches import Rows, shuffled
from plait.data.cache import ArrayCache


def rows(count: int = 10, index: list[int] | None = None) -> Rows:
    numbers = np.arange(count, dtype=np.float32)
    return Rows(
        inputs={"view": np.stack([numbers, -numbers], axis=1)},
        present={"view": numbers % 3 != 0},
        targets={"label": numbers * 2},
        labelled={"label": numbers % 2 == 0},
        index=np.arange(count) if index is None else np.array(index, np.int64),
    )


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.data())
def test_a_batch_holds_its_rows(index: list[int], data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, len(index) - 1), min_size=1))
    batch = rows(index=index).batch(np.array(positions))
    wanted = np.array(index)[positions]
    assert batch.inputs["view"][:, 0].tolist() == wanted.tolist()
    assert batch.inputs["view"][:, 1].tolist() == (-wanted).tolist()
    assert batch.present["view"].tolist() == (wanted % 3 != 0).tolist()
    assert batch.targets["label"].tolist() == (wanted * 2).tolist()
    assert batch.labelled["label"].tolist() == (wanted % 2 == 0).tolist()
    assert batch.weights.tolist() == [1.0] * len(positions)
    assert batch.rows.tolist() == positions
    assert len(batch) == len(positions)


def test_a_batch_is_a_copy() -> None:
    whole = rows()
    for positions in (np.arange(3, 7), np.array([5, 1])):
        whole.batch(positions).inputs["view"].zero_()
    np.testing.assert_array_equal(whole.inputs["view"][:, 0], np.arange(10))


def test_rows_mapped_from_the_cache(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    with cache.writing("k", (10, 2), np.dtype(np.float32)) as array:
        array[:] = np.arange(20).reshape(10, 2)
    mapped = cache.get("k")
    assert mapped is not None
    found = Rows({"view": mapped}, {"view": np.ones(10, np.bool_)}, index=np.arange(10))
    for positions in (np.arange(2, 5), np.array([7, 0])):
        tensor = found.batch(positions).inputs["view"]
        assert tensor[:, 0].tolist() == (positions * 2).tolist()
        tensor += 1  # its own memory, not the read-only map
    assert found.batch(np.zeros(0, np.int64)).inputs["view"].shape == (0, 2)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(1, 12))
def test_in_order(count: int, size: int) -> None:
    found = rows(31).at(np.arange(count)[::-1].copy())
    batches = list(found.in_order(size))
    assert [number for batch in batches for number in batch.rows.tolist()] == list(range(count))
    assert [int(v) for batch in batches for v in batch.inputs["view"][:, 0]] == list(range(count))[::-1]
    assert all(len(batch) == size for batch in batches[:-1])


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(2, 50), st.integers(0, 5), st.integers(0, 5))
def test_shuffled_batches_hold_every_row_once(count: int, size: int, seed: int, epoch: int) -> None:
    batches = shuffled(count, size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert all(len(batch) > 1 for batch in batches) or count == 1
    assert all(len(batch) <= size + 1 for batch in batches)
    again = shuffled(count, size, seed, epoch)
    assert all((first == second).all() for first, second in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    orders = [np.concatenate(shuffled(50, 10, seed, epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_to_a_device_keeps_everything() -> None:
    batch = rows().batch(np.array([1, 2]))
    moved = batch.to(torch.device("cpu"))
    assert moved.rows is batch.rows
    for part in ("inputs", "present", "targets", "labelled"):
        for name, tensor in getattr(batch, part).items():
            assert torch.equal(getattr(moved, part)[name], tensor)
    meta = batch.to(torch.device("meta"))
    assert meta.inputs["view"].device.type == meta.weights.device.type == "meta"


@pytest.mark.gpu
def test_to_a_gpu() -> None:
    moved = rows().batch(np.array([1, 2])).to(torch.device("cuda"))
    assert moved.inputs["view"].is_cuda
