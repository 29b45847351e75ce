"""Pixels of image files, and images that are refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plait.data.media import decode_image, image_size
from plait.exceptions import BadCell

ORIENTATION = 0x0112
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)
GREYS = COLOURS[:, :, 0]


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_pixels_come_back(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode_image(saved(COLOURS, kind, **options)), COLOURS)
    assert image_size(saved(COLOURS, kind, **options)) == (20, 30, 3)


def test_jpeg_and_gif() -> None:
    smooth = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))
    found = decode_image(saved(smooth, "JPEG", quality=95), channels=1)
    assert np.abs(found[:, :, 0].astype(int) - smooth).mean() < 2
    frames = [Image.new("L", (4, 3), value) for value in (10, 200)]
    first = decode_image(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), channels=1)
    assert first.shape == (3, 4, 1)
    assert (first == 10).all()


def test_grey_and_colour() -> None:
    np.testing.assert_array_equal(decode_image(saved(GREYS), channels=1)[:, :, 0], GREYS)
    np.testing.assert_array_equal(decode_image(saved(GREYS)), np.repeat(GREYS[:, :, None], 3, axis=2))
    grey = decode_image(saved(COLOURS), channels=1)[:, :, 0]
    assert np.abs(grey - COLOURS @ [0.299, 0.587, 0.114]).max() <= 1  # ITU-R 601-2 luma


def test_palettes_and_one_bit() -> None:
    image = Image.fromarray(GREYS // 64 * 64)
    np.testing.assert_array_equal(decode_image(saved(image.convert("P")), channels=1)[:, :, 0], GREYS // 64 * 64)
    bits = (GREYS > 127).astype(np.uint8) * 255
    np.testing.assert_array_equal(decode_image(saved(Image.fromarray(bits).convert("1")), channels=1)[:, :, 0], bits)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("top", [65535, 200])
def test_sixteen_bits_are_scaled_alike_however_dark(kind: str, top: int) -> None:
    deep = (RNG.random((5, 7)) * top).astype(np.uint16)
    expected = np.floor(deep / 65535 * 255)
    np.testing.assert_allclose(decode_image(saved(deep, kind), channels=1)[:, :, 0], expected, atol=1)
    assert image_size(saved(deep, kind)) == (5, 7, 1)


@pytest.mark.parametrize(("top", "scale"), [(1.0, 255.0), (200.0, 1.0), (60000.0, 255 / 65535), (1e6, 255 / 1e6)])
def test_floats_are_scaled_by_the_range_that_holds_them(top: float, scale: float) -> None:
    values = np.array([[0, top / 2, top, -top]], np.float32)
    found = decode_image(saved(values, "TIFF"), channels=1)[0, :, 0]
    np.testing.assert_allclose(found, [0, top / 2 * scale, top * scale, 0], atol=1)


def test_floats_that_are_no_numbers() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32)
    assert decode_image(saved(values, "TIFF"), channels=1)[0, :, 0].tolist() == [0, 0, 0, 255]


def test_what_is_transparent_is_white() -> None:
    layer = np.zeros((2, 2, 4), np.uint8)
    layer[0, 0] = [255, 0, 0, 255]
    layer[0, 1] = [0, 0, 0, 128]
    found = decode_image(saved(layer))
    assert found[0, 0].tolist() == [255, 0, 0]
    assert np.abs(found[0, 1].astype(int) - 127).max() <= 1
    assert (found[1] == 255).all()
    grey = Image.merge("LA", [Image.new("L", (2, 2), 0), Image.new("L", (2, 2), 0)])
    assert (decode_image(saved(grey), channels=1) == 255).all()
    assert image_size(saved(grey)) == (2, 2, 1)
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    assert (decode_image(saved(palette, transparency=0))[0, 0] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_images_are_turned_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    quadrants = np.zeros((32, 48), np.uint8)
    quadrants[:16, :24], quadrants[:16, 24:], quadrants[16:, :24] = 250, 160, 80  # upright, as it should be seen
    turns = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.T,
             6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, 3)}  # fmt: skip
    data = saved(np.ascontiguousarray(turns[orientation](quadrants)), kind, exif=exif)
    assert image_size(data) == (32, 48, 1)
    for size in (None, (16, 24)):
        found = decode_image(data, size, channels=1)[:, :, 0].astype(int)
        assert found.shape == (size or (32, 48))
        corners = found[[2, 2, -3, -3], [2, -3, 2, -3]]
        assert np.abs(corners - [250, 160, 80, 0]).max() < 12


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_resizing_keeps_what_is_seen(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 400, dtype=np.uint8), (300, 1))
    found = decode_image(saved(ramp, kind), (30, 40), channels=1)[:, :, 0]
    assert found.shape == (30, 40)
    assert np.abs(found.astype(float) - np.linspace(3, 252, 40)).max() < 6
    assert decode_image(saved(ramp, kind), (600, 10)).shape == (600, 10, 3)


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and has no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("read", [decode_image, image_size])
@pytest.mark.parametrize(
    ("width", "height"), [(100_000, 100_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1), (60_000_000, 1)]
)
def test_absurd_sizes_are_refused_before_a_pixel_is_read(read: Any, width: int, height: int) -> None:
    with pytest.raises(BadCell, match=r"at most 50,000,000 are read|at most 50,000,000 pixels are read"):
        read(png_header(width, height))


def test_a_large_image_just_within_the_limit_is_only_truncated() -> None:
    assert image_size(png_header(7000, 6000)) == (6000, 7000, 3)  # from the header alone
    with pytest.raises(BadCell, match="not a readable image"):
        decode_image(png_header(7000, 6000))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = saved(RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8), kind)
    decode_image(data)
    with pytest.raises(BadCell, match="not a readable image"):
        decode_image(data[: int(len(data) * share)])


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WAVEfmt ", b"\0" * 100, b"BM"])
@pytest.mark.parametrize("read", [decode_image, image_size])
def test_what_is_no_image(read: Any, data: bytes) -> None:
    with pytest.raises(BadCell, match=r"not an image of a known format|not a readable image"):
        read(data)


def test_formats_that_run_other_programs_are_refused() -> None:
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(data)).format == "EPS"
    with pytest.raises(BadCell, match="not an image of a known format"):
        decode_image(data)


SOUND_FILES = [
    saved(COLOURS), saved(COLOURS, "JPEG"), saved(COLOURS, "GIF"), saved(COLOURS, "TIFF", compression="tiff_lzw"),
    saved(COLOURS, "WEBP"), saved(Image.fromarray(COLOURS).convert("P")), saved(GREYS.astype(np.uint16) * 200),
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(data=st.sampled_from(SOUND_FILES), place=st.floats(0, 1), value=st.binary(max_size=4), cut=st.booleans())
def test_a_damaged_image_is_read_or_bad(data: bytes, place: float, value: bytes, cut: bool) -> None:
    at = int(place * len(data))
    damaged = data[:at] + value + (b"" if cut else data[at + len(value) :])
    for read in (image_size, lambda data: decode_image(data, (8, 8))):
        try:
            read(damaged)
        except BadCell as error:
            assert str(error)  # noqa: PT017 - either end is fine
