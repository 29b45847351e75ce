"""The encoder of series: padding does not matter, and layer 0 is what it says, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from plait.data.readers import SeriesReader, VectorReader
from plait.encoders import SeriesEncoder
from plait.encoders.series import LONG, PIECES, MaskedNorm
from plait.training.loop import seeded_build


def values_of(rows: int, steps: int, channels: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(3, 2, (rows, steps, channels + 1)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    real = np.arange(steps) < rng.integers(1, steps + 1, (rows, 1))
    values[:, 0, :-1] = 1.0
    values[:, :, -1] = real
    values[~real] = 0
    return values


def encoder_of(steps: int, channels: int) -> SeriesEncoder:
    with seeded_build(0, "encoder"):
        return SeriesEncoder.build(SeriesReader(channels=channels, steps=steps))


@pytest.mark.parametrize("steps", [9, LONG + 7])
def test_padding_does_not_matter(steps: int) -> None:
    values = values_of(8, steps, 2)
    encoder = encoder_of(steps, 2)
    encoder.fit_input(values)
    encoder.train()(torch.from_numpy(values))
    encoder.eval()
    longer = np.concatenate([values, np.zeros((8, 21, 3), np.float32)], axis=1)
    one, two = encoder(torch.from_numpy(values)), encoder(torch.from_numpy(longer))
    for number, (first, second) in enumerate(zip(one.layers, two.layers, strict=True)):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5, msg=f"layer {number}")
    assert one.token_mask is not None
    assert two.token_mask is not None
    assert one.token_mask.sum() == two.token_mask.sum()


def test_what_stands_in_padding_and_gaps_is_not_read() -> None:
    values = values_of(4, 10, 2)
    values[:, -1] = 0
    encoder = encoder_of(10, 2).eval()
    encoder.fit_input(values)
    other = values.copy()
    other[:, -1, :2] = 99  # its mark says that it is not real
    for one, two in zip(encoder(torch.from_numpy(values)).layers, encoder(torch.from_numpy(other)).layers, strict=True):
        assert torch.equal(one, two)


def test_numbers_are_standardised_by_channel_where_observed() -> None:
    values = values_of(50, 10, 2)
    encoder = encoder_of(10, 2)
    encoder.fit_input(values)
    for channel in range(2):
        seen = values[:, :, channel][(values[:, :, -1] > 0) & ~np.isnan(values[:, :, channel])]
        np.testing.assert_allclose(encoder.mean[channel], seen.mean(), rtol=1e-5)
        np.testing.assert_allclose(encoder.deviation[channel], seen.std(), rtol=1e-5)


def piece_by_hand(series: np.ndarray, piece: int) -> float:
    """Mean of one of eight equal pieces of a series [steps]: every step counts by how much of it is in the piece."""
    low, high = piece * len(series) / PIECES, (piece + 1) * len(series) / PIECES
    weights = np.array([max(0.0, min(step + 1, high) - max(step, low)) for step in range(len(series))])
    there = (weights > 0) & ~np.isnan(series)
    if not there.any():
        return float(np.nanmean(series))
    return float((weights * np.nan_to_num(series)).sum() / weights[there].sum())


def test_layer_0() -> None:
    values = values_of(6, 20, 2)
    encoder = encoder_of(20, 2).eval()
    encoder.fit_input(values)
    found = encoder(torch.from_numpy(values)).layers[0].detach().numpy()
    assert encoder.widths[0] == found.shape[1] == 2 * (4 + PIECES) + 2
    for row, cell in enumerate(values):
        series = (cell[cell[:, -1] > 0, :-1] - encoder.mean.numpy()) / encoder.deviation.numpy()
        expected = [*np.nanmean(series, 0), *np.nanstd(series, 0), *np.nanmin(series, 0), *np.nanmax(series, 0)]
        expected += [piece_by_hand(series[:, channel], piece) for piece in range(PIECES) for channel in range(2)]
        expected += [2 * len(series) / 20 - 1, np.isnan(series).mean()]
        np.testing.assert_allclose(found[row], expected, atol=2e-5)


def test_masked_norm_is_batch_norm_over_the_real_steps() -> None:
    maps, real = torch.randn(5, 3, 7), (torch.rand(5, 1, 7) < 0.6).float()
    ours, theirs = MaskedNorm(3), nn.BatchNorm1d(3)
    kept = maps.transpose(1, 2)[real[:, 0] > 0]
    for _ in range(3):
        torch.testing.assert_close(ours(maps, real).transpose(1, 2)[real[:, 0] > 0], theirs(kept))
    torch.testing.assert_close(ours.mean[:, 0], theirs.running_mean)
    torch.testing.assert_close(ours.variance[:, 0], theirs.running_var)
    torch.testing.assert_close(ours.eval()(maps, real).transpose(1, 2)[real[:, 0] > 0], theirs.eval()(kept))
    assert not ours(maps, real).masked_select(real.expand_as(maps) == 0).any()


def test_a_batch_without_any_real_step_trains() -> None:
    encoder = encoder_of(5, 2).train()
    states = encoder(torch.zeros(4, 5, 3))
    assert all(bool(layer.isfinite().all()) for layer in states.layers)


def test_only_series_are_read() -> None:
    with pytest.raises(TypeError, match="SeriesEncoder reads series, not vector"):
        SeriesEncoder.build(VectorReader(width=3))
