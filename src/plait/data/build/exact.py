"""Draws, arithmetic and file formats that give the same bytes on every machine and with every library version.

NumPy does not promise that its generators draw the same in the next version; encoders of PNG and FLAC change; linear
algebra differs in the last bit between processors. So the draws here are a hash, the formats are written out in full,
and sums are of whole numbers small enough to be exact in whatever order they are added.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from decimal import Context, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

GRID: Final = 2**20
"""Steps per 1.0 to which the entries of a projector are rounded.

Coarse enough that the last bits of an eigensolver do not show (two solvers differ by some 1e-10 steps), fine enough
that a pixel moves by less than a hundredth of a grey level."""

PEAK: Final = 16_384
"""Largest sample of a mixture: half of what 16 bits hold, so that nothing is clipped."""

_CHUNK: Final = 4_096


def draw(count: int, *key: object) -> NDArray[np.uint64]:
    """Uniform 64-bit numbers, the same for the same key; fewer of them are the first of more.

    splitmix64 (Steele, Lea & Flood 2014), started at the SHA-256 of the key.

    Args:
        count: How many.
        key: What they are for: seed, purpose, split.

    Returns:
        Array [count].
    """
    start = int.from_bytes(hashlib.sha256("/".join(map(str, key)).encode()).digest()[:8], "little")
    state = np.uint64(start) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def permutation(count: int, *key: object) -> NDArray[np.int64]:
    """The numbers 0 to count - 1 in an order drawn by the key. Array [count]."""
    return np.argsort(draw(count, *key), kind="stable").astype(np.int64)


def below(limits: NDArray[np.int64], *key: object) -> NDArray[np.int64]:
    """One number from 0 to limit - 1 for each limit (at most 2^31). Arrays [count]."""
    high = draw(len(limits), *key) >> np.uint64(32)
    return ((high * limits.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


class Projection:
    """Images as their first principal components give them back: mu + (x - mu) V V', rounded, 0 to 255.

    Mean and covariance are exact: sums of products of whole numbers below 2^53. V V' has no sign to choose, and is
    rounded to `GRID` steps; from there on all numbers are whole again.

    Args:
        images: The images to fit, u8 [n, height, width].
        components: How many components to keep. Those without variance among the images are left out.

    Example:
        >>> images = np.zeros((4, 2, 2), np.uint8)
        >>> images[:, 0, 0] = 0, 10, 20, 30
        >>> Projection(images, 1)(images)[:, 0, 0].tolist()
        [0, 10, 20, 30]
    """

    def __init__(self, images: NDArray[np.uint8], components: int) -> None:
        flat = images.reshape(len(images), -1)  # [n, pixels]
        total = flat.sum(0, dtype=np.int64)
        products = np.zeros((flat.shape[1], flat.shape[1]))
        for start in range(0, len(flat), _CHUNK):
            block = flat[start : start + _CHUNK].astype(np.float64)
            products += block.T @ block
        n = len(flat)
        covariance = (n * products - np.outer(total, total).astype(np.float64)) / float(n * n)
        values, vectors = np.linalg.eigh(covariance)  # ascending
        kept = vectors[:, ::-1][:, :components][:, values[::-1][:components] > 1e-9 * max(values[-1], 1e-300)]
        self.steps = np.rint(kept @ kept.T * GRID).astype(np.int64)  # [pixels, pixels]
        rest = total * GRID - self.steps @ total  # n GRID (mu - V V' mu), up to 2^54
        self.offset = (rest + n // 2) // n + GRID // 2  # the half is for rounding

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Project images u8 [n, height, width]; the same shape comes back."""
        # Sums below 784 * 255 * 2^20 < 2^53: floating point is exact here, and quicker than whole numbers.
        moved = images.reshape(len(images), -1).astype(np.float64) @ self.steps.astype(np.float64)
        values = (moved.astype(np.int64) + self.offset) // GRID
        return np.asarray(np.clip(values, 0, 255), np.uint8).reshape(images.shape)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A grey 8-bit PNG file with its pixels stored, not deflated. Array [height, width], rows of some kilobytes."""
    height, width = pixels.shape
    lines = np.zeros((height, width + 1), np.uint8)  # the byte before each line says: no filter
    lines[:, 1:] = pixels
    raw = lines.tobytes()
    if len(raw) > 65_535:
        raise ValueError(f"{height} x {width} pixels do not fit into one stored block")
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    # zlib header, one last stored block with its length and its complement, Adler-32 (RFC 1950, RFC 1951)
    packed = (
        b"\x78\x01\x01" + struct.pack("<HH", len(raw), len(raw) ^ 0xFFFF) + raw + struct.pack(">I", zlib.adler32(raw))
    )
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def wav(samples: NDArray[np.int16], rate: int) -> bytes:
    """A mono 16-bit WAV file. Array [samples]."""
    data = samples.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def amplitude(decibels: float) -> float:
    """10^(dB / 20), correctly rounded: the C library's power may be off by a bit."""
    context = Context(prec=50)
    return float(context.power(Decimal(10), context.divide(Decimal(repr(decibels)), Decimal(20))))


def mix(clip: NDArray[np.int16], noise: NDArray[np.int16], ratio: float) -> NDArray[np.int16]:
    """A clip plus noise at a signal-to-noise ratio, scaled to the peak `PEAK`.

    Args:
        clip: Samples [n].
        noise: Samples [n], not all zero.
        ratio: RMS of the clip over RMS of the added noise, both over all n samples: 10^(SNR in dB / 20).

    Returns:
        Array [n].
    """
    gain = np.sqrt(_energy(clip) / _energy(noise)) / ratio
    mixed = clip + gain * noise.astype(np.float64)
    return np.asarray(np.rint(mixed * (PEAK / np.abs(mixed).max())), np.int16)


def _energy(samples: NDArray[np.int16]) -> int:
    """The sum of squares, exact."""
    wide = samples.astype(np.int64)
    return int(wide @ wide)
