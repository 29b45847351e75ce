"""Image encoders and the stack of maps that image and audio share."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plait.data.readers import ImageReader
from plait.encoders import LeNet, ResidualNet
from plait.encoders._base import NEAR_RAW, moments
from plait.encoders.convolutional import MapStack, ResidualBlock, _near_raw_size, block


@given(st.integers(1, 600), st.integers(1, 3000), st.integers(1, 3000))
def test_near_raw_size(channels, height, width) -> None:
    small = _near_raw_size((channels, height, width))
    assert 1 <= small[0] <= height
    assert 1 <= small[1] <= width
    if channels <= NEAR_RAW:
        assert channels * small[0] * small[1] <= NEAR_RAW
    if channels * height * width <= NEAR_RAW:
        assert small == (height, width)


def test_near_raw_keeps_proportions_and_uses_its_room() -> None:
    assert _near_raw_size((1, 28, 28)) == (22, 22)
    assert _near_raw_size((3, 128, 64)) == (18, 9)
    assert _near_raw_size((1, 100_000, 1)) == (512, 1)


def test_layer_0_is_the_average_over_areas() -> None:
    stack = MapStack((1, 64, 64), [block(1, 2)], (2,), 3).eval()
    maps = torch.randn(2, 1, 64, 64)
    assert stack.near_raw == (22, 22)
    exact = MapStack((2, 32, 32), [block(2, 2)], (2,), 3).eval()
    pixels = torch.randn(1, 2, 32, 32)
    assert exact.near_raw == (16, 16)
    expected = pixels.reshape(1, 2, 16, 2, 16, 2).mean(dim=(3, 5)).flatten(1)
    torch.testing.assert_close(exact(pixels).layers[0], expected)
    assert stack(maps).layers[0].shape == (2, 484)


def test_blocks_are_averaged_over_their_area() -> None:
    blocks = [block(1, 4), block(4, 6)]
    stack = MapStack((1, 9, 7), blocks, (4, 6), 5).eval()
    maps = torch.randn(3, 1, 9, 7)
    first = blocks[0](maps)
    assert first.shape == (3, 4, 5, 4)  # sides rounded up
    states = stack(maps)
    torch.testing.assert_close(states.layers[1], first.mean(dim=(2, 3)))
    torch.testing.assert_close(states.layers[2], blocks[1](first).mean(dim=(2, 3)))
    assert stack.widths == (63, 4, 6, 5)


def test_residual_block() -> None:
    part = ResidualBlock(2, 3).eval()
    maps = torch.randn(1, 2, 6, 6)
    inner = part.norms[0](part.first(maps)).relu()
    expected = (part.norms[1](part.second(inner)) + part.shortcut(maps)).relu()
    torch.testing.assert_close(part(maps), expected)
    assert part(maps).shape == (1, 3, 3, 3)


def test_building_leaves_blocks_in_training_mode() -> None:
    encoder = LeNet.build(ImageReader(channels=1, height=10, width=10))
    assert all(module.training for module in encoder.modules())


@pytest.mark.parametrize("encoder", [LeNet, ResidualNet])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 128), (3, 128, 128)])
def test_all_sizes_that_the_reader_gives(encoder, shape) -> None:
    made = encoder.build(ImageReader(channels=shape[0], height=shape[1], width=shape[2])).eval()
    states = made(torch.zeros(2, *shape, dtype=torch.uint8))
    assert [layer.shape[1] for layer in states.layers] == list(made.widths)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([np.uint8, np.float32]))
def test_moments(seed, rows, kind) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (rows, 2, 3)).astype(kind)
    mean, deviation = moments(values, chunk=4)
    assert mean == pytest.approx(values.astype(float).mean())
    assert deviation == pytest.approx(max(values.astype(float).std(), 1e-6))


def test_moments_of_many_images_need_little_memory() -> None:
    values = np.full((2048, 1, 64, 64), 7, np.uint8)  # 8 MB; as doubles 64 MB
    tracemalloc.start()
    try:
        assert moments(values) == (7, 1e-6)
        assert tracemalloc.get_traced_memory()[1] < 32e6
    finally:
        tracemalloc.stop()


def test_pixels_are_standardised() -> None:
    values = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16)).astype(np.uint8)
    encoder = LeNet.build(ImageReader(channels=1, height=16, width=16)).eval()
    encoder.fit_input(values)
    near = encoder(torch.from_numpy(values)).layers[0]
    expected = (values.astype(float) - values.astype(float).mean()) / values.astype(float).std()
    np.testing.assert_allclose(near.numpy(), expected.reshape(20, -1), atol=1e-4)
