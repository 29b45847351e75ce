"""The log-mel spectrogram, against the formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plait.data.readers import AudioReader
from plait.encoders import AudioEncoder
from plait.encoders.audio import MAX_FRAMES, LogMel, mel_filters


def mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def hertz(mels: float) -> float:
    return 700 * (10 ** (mels / 2595) - 1)


def filters_by_hand(bands: int, fft: int, rate: int) -> np.ndarray:
    """Triangle m rises from edge m to edge m + 1 and falls to edge m + 2; its area is 1."""
    edges = [hertz(mel(rate / 2) * index / (bands + 1)) for index in range(bands + 2)]
    found = np.zeros((bands, fft // 2 + 1))
    for band in range(bands):
        low, middle, high = edges[band : band + 3]
        for bin_ in range(fft // 2 + 1):
            frequency = bin_ * rate / fft
            if low < frequency <= middle:
                found[band, bin_] = (frequency - low) / (middle - low)
            elif middle < frequency < high:
                found[band, bin_] = (high - frequency) / (high - middle)
        found[band] *= 2 / (high - low)
    return found


@pytest.mark.parametrize(("bands", "fft", "rate"), [(40, 256, 8000), (40, 512, 16000), (10, 64, 4000), (40, 32, 1000)])
def test_mel_filters(bands, fft, rate) -> None:
    np.testing.assert_allclose(mel_filters(bands, fft, rate), filters_by_hand(bands, fft, rate), atol=1e-15)


def test_filters_have_unit_area_where_bins_are_fine() -> None:
    fft, rate = 2**16, 16000
    area = mel_filters(20, fft, rate).sum(1) * rate / fft
    np.testing.assert_allclose(area, 1, rtol=1e-3)


@pytest.mark.parametrize(("rate", "samples"), [(8000, 4000), (16000, 30000), (4000, 1024)])
def test_spectrogram(rate, samples) -> None:
    module = LogMel(rate, samples)
    wave = np.random.default_rng(0).normal(0, 0.2, (3, samples))
    fft, hop = module.fft, module.hop
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)  # Hann, periodic
    padded = np.pad(wave, ((0, 0), (fft // 2, fft // 2)))
    starts = range(0, samples + 1, hop)
    frames = np.stack([padded[:, start : start + fft] for start in starts], axis=1)  # [rows, frames, fft]
    power = np.abs(np.fft.rfft(frames * window, axis=2)) ** 2
    expected = np.log(power @ filters_by_hand(module.bands, fft, rate).T + 1e-6).transpose(0, 2, 1)
    found = module(torch.from_numpy(wave).float()).numpy()
    assert found.shape == (3, module.bands, module.frames)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@given(st.integers(100, 16000), st.integers(1024, 160000))
def test_frames_and_window(rate, samples) -> None:
    module = LogMel(rate, samples, bands=2)
    ten = rate // 100  # 10 ms
    assert module.frames <= MAX_FRAMES
    assert (module.hop == ten) == (samples // ten + 1 <= MAX_FRAMES)
    assert module.hop >= ten
    assert samples // max(module.hop - 1, 1) + 1 > MAX_FRAMES or module.hop == ten  # no longer than needed
    asked = max(0.032 * rate, 2 * module.hop)
    assert asked <= module.fft < 2 * asked
    assert module.fft & (module.fft - 1) == 0


def test_a_tone_lands_in_its_band() -> None:
    rate, samples, tone = 8000, 8000, 1000.0
    wave = 0.5 * np.sin(2 * np.pi * tone * np.arange(samples) / rate)
    module = LogMel(rate, samples)
    loudest = int(module(torch.from_numpy(wave)[None].float())[0].mean(1).argmax())
    centre = hertz(mel(rate / 2) * (loudest + 1) / (module.bands + 1))
    assert abs(centre - tone) < 60


def test_bands_are_standardised_over_rows_and_frames() -> None:
    reader = AudioReader(rate=4000, samples=1200)
    values = np.random.default_rng(0).integers(-9000, 9000, (70, 1200)).astype(np.int16)  # more rows than one chunk
    encoder = AudioEncoder.build(reader)
    encoder.fit_input(values)
    spectra = encoder.spectrogram(torch.from_numpy(values).float() / 32767).double().numpy()
    np.testing.assert_allclose(encoder.mean[:, 0].numpy(), spectra.mean(axis=(0, 2)), atol=1e-4)
    np.testing.assert_allclose(encoder.deviation[:, 0].numpy(), spectra.std(axis=(0, 2)), rtol=5e-5)


def test_only_sounds_are_read() -> None:
    from plait.data.readers import VectorReader

    with pytest.raises(TypeError, match="AudioEncoder reads audio, not vector"):
        AudioEncoder.build(VectorReader(width=3))
