"""Samples of sound files, and sounds that are refused."""

from __future__ import annotations

import io
import struct
import time
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plait.data.media import audio_length, decode_audio
from plait.exceptions import BadCell

RNG = np.random.default_rng(0)


def saved(samples: NDArray[Any], rate: int = 8000, kind: str = "WAV", part: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=part)
    return stream.getvalue()


def sine(pitch: float, rate: int, seconds: float = 1.0) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate)


def loudest(wave: NDArray[Any], rate: int) -> float:
    """The frequency of most power."""
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.argmax(power) * rate / len(wave))


FORMATS = [
    ("WAV", None, 8000), ("WAV", "PCM_U8", 8000), ("WAV", "FLOAT", 8000), ("WAV", "ULAW", 8000),
    ("WAV", "GSM610", 8000), ("WAV", "IMA_ADPCM", 8000), ("FLAC", None, 8000), ("OGG", "VORBIS", 8000),
    ("OGG", "OPUS", 8000), ("MP3", None, 8000), ("AIFF", None, 8000), ("AU", None, 8000), ("WAVEX", None, 8000),
    ("RF64", None, 8000),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "part", "rate"), FORMATS, ids=str)
def test_formats(kind: str, part: str | None, rate: int) -> None:
    data = saved(sine(440, rate), rate, kind, part)
    frames, found = audio_length(data)
    assert found == rate
    assert 0 <= frames - rate <= 0.3 * rate  # coders of blocks pad at the end
    wave = decode_audio(data, rate, rate)
    assert wave.dtype == np.float32
    assert wave.shape == (rate,)
    assert abs(loudest(wave, rate) - 440) <= 2
    assert 0.4 < np.abs(wave).max() < 0.6


def test_samples_come_back_to_the_bit() -> None:
    samples = RNG.integers(-(2**15), 2**15, 1000).astype(np.int16)
    np.testing.assert_array_equal(decode_audio(saved(samples), 8000, 1000) * 2**15, samples)


@pytest.mark.parametrize(
    ("old", "new"),
    [(44_100, 16_000), (8_000, 16_000), (48_000, 8_000), (11_025, 4_000), (7_999, 8_000), (44_101, 16_000)],
)
def test_resampling_keeps_the_pitch(old: int, new: int) -> None:
    wave = decode_audio(saved(sine(700, old), old), new, new)
    assert abs(loudest(wave, new) - 700) <= 2
    middle = wave[new // 4 : -new // 4]
    np.testing.assert_allclose(np.sqrt(np.mean(middle**2)), 0.5 / np.sqrt(2), rtol=0.02)


@settings(deadline=None, max_examples=30)
@given(old=st.integers(1, 768_000), new=st.integers(1_000, 16_000))
def test_any_two_rates_are_brought_together_quickly(old: int, new: int) -> None:
    start = time.process_time()
    wave = decode_audio(saved(np.full(2000, 0.25)[: 500 * old], old), new, 1000)
    assert time.process_time() - start < 2
    assert wave.shape == (1000,)
    assert np.isfinite(wave).all()


def test_resampling_folds_nothing_back() -> None:
    wave = decode_audio(saved(sine(7_000, 32_000), 32_000), 8_000, 8_000)
    assert np.abs(wave[500:-500]).max() < 0.01


@pytest.mark.parametrize("rate", [1, 100, 191_999, 768_000])
def test_odd_rates(rate: int) -> None:
    assert decode_audio(saved(np.full(3000, 0.25)[: max(1, min(3000, rate))], rate), 8000, 200).shape == (200,)


def test_several_channels_are_mixed() -> None:
    both = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    np.testing.assert_allclose(decode_audio(saved(both), 8000, 100), 0.125, atol=1e-4)


@pytest.mark.parametrize("length", [1, 50, 99, 100, 101, 5000])
def test_cut_and_padded_at_the_end(length: int) -> None:
    samples = RNG.uniform(0.1, 0.9, length)
    wave = decode_audio(saved(samples), 8000, 100)
    np.testing.assert_allclose(wave[:length], samples[:100], atol=1e-4)
    assert not wave[length:].any()


@pytest.mark.parametrize(("kind", "part"), [("WAV", None), ("FLAC", None), ("OGG", "VORBIS")])
def test_the_start_does_not_depend_on_what_is_cut(kind: str, part: str | None) -> None:
    data = saved(RNG.normal(0, 0.1, 30_000), 12_000, kind, part)
    np.testing.assert_allclose(decode_audio(data, 8000, 500), decode_audio(data, 8000, 15_000)[:500], atol=1e-4)


def test_loud_floats_are_kept_and_absurd_ones_refused() -> None:
    np.testing.assert_allclose(decode_audio(saved(np.full(10, 3.0), 8000, "WAV", "FLOAT"), 8000, 10), 3.0)
    for value in (np.nan, np.inf, -np.inf, 1e38):
        samples = np.zeros(10)
        samples[5] = value
        with pytest.raises(BadCell, match="holds NaN, infinite or absurdly loud samples"):
            decode_audio(saved(samples, 8000, "WAV", "DOUBLE"), 8000, 10)


@pytest.mark.parametrize("read", [audio_length, lambda data: decode_audio(data, 8000, 8000)])
def test_an_hour_is_too_long(read: Any) -> None:
    data = saved(np.zeros(3600 * 10, np.int16), 10)
    assert len(data) < 100_000
    with pytest.raises(BadCell) as told:
        read(data)
    assert "the sound lasts 3,600 s (1 channels); at most 600 s are read: cut it into pieces" in str(told.value)


def test_too_many_channels_are_too_long() -> None:
    data = saved(np.zeros((70_000, 900), np.uint8).astype(np.int16), 8000, "WAV", "PCM_U8")
    with pytest.raises(BadCell, match=r"900 channels"):
        audio_length(data)


def test_a_header_may_lie_about_rate_and_length() -> None:
    data = bytearray(saved(np.zeros(100, np.int16)))
    data[24:28] = struct.pack("<I", 4_000_000_000)
    with pytest.raises(BadCell, match=r"samples per second; at most 768,000 are read|not a readable sound"):
        audio_length(bytes(data))
    flac = bytearray(saved(RNG.normal(0, 0.1, 1000), 8000, "FLAC"))
    flac[22:26] = b"\xff\xff\xff\xff"  # 2^32 samples and more
    with pytest.raises(BadCell, match="at most 600 s are read"):
        audio_length(bytes(flac))


def test_no_samples() -> None:
    with pytest.raises(BadCell, match="the sound has no samples"):
        audio_length(saved(np.zeros(0)))


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("WAV", None),
        ("WAV", "GSM610"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("FLAC", None),
        ("MP3", None),
        ("AIFF", None),
        ("AU", None),
    ],
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(kind: str, part: str | None, share: float) -> None:
    data = saved(RNG.normal(0, 0.1, 16_000), 8000, kind, part)
    decode_audio(data, 8000, 16_000)
    with pytest.raises(BadCell, match=r"truncated|not a readable sound"):
        decode_audio(data[: int(len(data) * share)], 8000, 16_000)


def test_an_ogg_file_cut_between_two_pages_is_refused() -> None:
    data = saved(RNG.normal(0, 0.1, 160_000), 8000, "OGG", "VORBIS")
    pages = [place for place in range(len(data)) if data[place : place + 4] == b"OggS"]
    assert len(pages) > 4
    with pytest.raises(BadCell, match="the sound is truncated: its last page is missing"):
        decode_audio(data[: pages[-1]], 8000, 100)


def test_wav_files_of_unknown_length_and_sloppy_writers_are_read() -> None:
    plain = saved(np.full(100, 0.25))
    for size in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):
        streamed = bytearray(plain)
        streamed[4:8] = streamed[40:44] = struct.pack("<I", size)
        np.testing.assert_allclose(decode_audio(bytes(streamed), 8000, 100), 0.25)
    sloppy = bytearray(plain)
    sloppy[4:8] = struct.pack("<I", len(plain))  # eight more than there are
    np.testing.assert_allclose(decode_audio(bytes(sloppy), 8000, 100), 0.25)
    np.testing.assert_allclose(decode_audio(plain + b"LIST\x04\0\0\0abcd", 8000, 100), 0.25)


@pytest.mark.parametrize("data", [b"hello", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"\0" * 100, b"ID3" + b"\0" * 50])
@pytest.mark.parametrize("read", [audio_length, lambda data: decode_audio(data, 8000, 100)])
def test_what_is_no_sound(read: Any, data: bytes) -> None:
    with pytest.raises(BadCell, match=r"not a readable sound|truncated|no samples") as told:
        read(data)
    assert "object at" not in str(told.value)


def test_a_damaged_header_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    cut = saved(np.zeros(3000), 3000, "AIFF")[:31]
    for read in (audio_length, lambda data: decode_audio(data, 8000, 400)):
        with pytest.raises(BadCell):
            read(cut)
    assert capfd.readouterr() == ("", "")


FILES = [saved(RNG.normal(0, 0.1, 400), 8000, kind, part) for kind, part, _ in FORMATS if kind != "MP3"]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.sampled_from(FILES), place=st.floats(0, 1), value=st.binary(max_size=4), cut=st.booleans())
def test_a_damaged_sound_is_read_or_bad(
    data: bytes, place: float, value: bytes, cut: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    at = int(place * len(data))
    damaged = data[:at] + value + (b"" if cut else data[at + len(value) :])
    for read in (audio_length, lambda data: decode_audio(data, 8000, 400)):
        try:
            read(damaged)
        except BadCell as error:
            assert str(error)  # noqa: PT017 - either end is fine
    assert "Traceback" not in capfd.readouterr().err
