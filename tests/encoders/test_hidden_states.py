"""The cached pass over frozen networks, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plait.data.cache import ArrayCache
from plait.data.readers import VectorReader
from plait.encoders import VectorEncoder
from plait.encoders.cache import hidden_states, moments_of, weights_digest
from plait.training.loop import seeded_build


@pytest.fixture
def cache(tmp_path) -> ArrayCache:
    return ArrayCache(tmp_path / "cache", limit=10**9)


def encoder_of(seed: int = 0) -> VectorEncoder:
    with seeded_build(seed, "encoder"):
        return VectorEncoder.build(VectorReader(width=5)).eval()


def values_of(rows: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)


def plain(encoder: VectorEncoder, values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.concatenate([torch.cat(encoder(row[None]).layers, 1).numpy() for row in torch.from_numpy(values)])


@pytest.mark.parametrize("rows", [[3, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 9, 0, 4, 4], [], [7]])
def test_same_as_a_plain_loop_in_the_order_asked(cache, rows) -> None:
    encoder, values, wanted = encoder_of(), values_of(10), np.array(rows, np.int64)
    states = hidden_states(encoder, encoder.widths, values, wanted, "x", cache, batch_size=4)
    assert states.shape == (len(rows), sum(encoder.widths))
    assert states.dtype == np.float32
    np.testing.assert_allclose(states, plain(encoder, values)[wanted], atol=1e-5)


def test_computed_once_and_told(cache) -> None:
    encoder, values, rows = encoder_of(), values_of(10), np.arange(10)
    told: list[int] = []
    first = hidden_states(encoder, encoder.widths, values, rows, "x", cache, batch_size=4, advance=told.append)
    assert told == [4, 4, 2]
    encoder.forward = None  # type: ignore[assignment,method-assign]
    again = hidden_states(encoder, encoder.widths, values, rows, "x", cache, batch_size=4, advance=told.append)
    assert told == [4, 4, 2, 10]
    np.testing.assert_array_equal(first, again)


def test_a_broken_pass_leaves_nothing_behind(cache) -> None:
    encoder, values, rows = encoder_of(), values_of(10), np.arange(10)
    with pytest.raises(RuntimeError):
        hidden_states(encoder, encoder.widths, values[:, :3], rows, "x", cache)
    assert list(cache.folder.iterdir()) == []


def test_what_the_states_depend_on_is_in_the_key(cache) -> None:
    encoder, values, rows = encoder_of(), values_of(10), np.arange(10)
    hidden_states(encoder, encoder.widths, values, rows, "x", cache)
    hidden_states(encoder, encoder.widths, values, rows, "other inputs", cache)
    hidden_states(encoder, encoder.widths, values, rows[::-1].copy(), "x", cache)
    hidden_states(encoder_of(1), encoder.widths, values, rows, "x", cache)
    encoder.fit_input(values)
    hidden_states(encoder, encoder.widths, values, rows, "x", cache)
    assert len(list(cache.folder.glob("*.npy"))) == 5


def test_training_mode_does_not_matter_and_gradients_are_not_kept(cache) -> None:
    encoder, values, rows = encoder_of().train(), values_of(10), np.arange(10)
    states = hidden_states(encoder, encoder.widths, values, rows, "x", cache, batch_size=3)
    np.testing.assert_allclose(states, plain(encoder_of(), values), atol=1e-5)
    assert not encoder.training


def test_digest_of_weights() -> None:
    assert weights_digest(encoder_of()) == weights_digest(encoder_of())
    assert weights_digest(encoder_of()) != weights_digest(encoder_of(1))
    moved = encoder_of()
    with torch.no_grad():
        moved.mlp.layers[0][1].bias[0] += 1e-6
    assert weights_digest(moved) != weights_digest(encoder_of())


@given(st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_moments_are_streamed(seed, chunk) -> None:
    rng = np.random.default_rng(seed)
    states = (rng.normal(size=(30, 4)) * [1, 100, 0, 1e-3] + [0, 1e4, 5, 0]).astype(np.float32)
    rows = rng.permutation(30)[:20]
    mean, deviation = moments_of(states, rows, chunk)
    taken = states[rows].astype(np.float64)
    np.testing.assert_allclose(mean, taken.mean(0), rtol=1e-6)
    np.testing.assert_allclose(deviation, np.where(taken.std(0) > 0, taken.std(0), 1), rtol=1e-4)


def test_moments_of_no_rows() -> None:
    mean, deviation = moments_of(np.ones((3, 2), np.float32), np.zeros(0, np.int64))
    assert mean.tolist() == [0, 0]
    assert deviation.tolist() == [1, 1]
