"""Media cells: from a path, bytes or a struct of both to pixels and samples, with every size bounded."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from plait.exceptions import BadCell

MAX_FILE_BYTES: Final = 256 * 2**20
MAX_IMAGE_PIXELS: Final = 50_000_000
MAX_AUDIO_SECONDS: Final = 600.0
MAX_AUDIO_SAMPLES: Final = 60_000_000
MAX_SAMPLE_RATE: Final = 768_000
MAX_AMPLITUDE: Final = 1e6
_STREAMED: Final = 0x7FFF0000
"""From here on, the size in a header says: written as it came, length unknown."""

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
AUDIO_SUFFIXES: Final = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
VIDEO_SUFFIXES: Final = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def kind_of_bytes(data: bytes) -> str | None:
    """Tell from its first bytes whether a file is an image, a sound or a video; None if unknown."""
    head = data[:16]
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"P5", b"P6")):
        return "image"
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio", b"WEBP": "image", b"AVI ": "video"}.get(data[8:12])
    if head.startswith((b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")):
        return "audio"
    if head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video"
    return None


def kind_of_path(path: str) -> str | None:
    """Tell from its suffix whether a path names an image, a sound or a video; None if unknown."""
    lower = path.lower()
    if lower.endswith(IMAGE_SUFFIXES):
        return "image"
    if lower.endswith(AUDIO_SUFFIXES):
        return "audio"
    return "video" if lower.endswith(VIDEO_SUFFIXES) else None


def is_url(text: str) -> bool:
    """Whether a cell holds an address instead of a path."""
    return "://" in text[:40] or text.startswith("data:")


def resolve_path(cell: str, folder: Path | None, allow_outside: bool) -> str:
    """The absolute path of a media cell.

    Args:
        cell: The path as the table has it, relative to the table's folder or absolute.
        folder: The table's folder; None for a table held in memory, whose paths are relative to the working folder.
        allow_outside: Whether the path may lead out of the folder.

    Raises:
        BadCell: The cell is an address, or leads out of the folder.
    """
    if is_url(cell):
        raise BadCell(f"{cell[:80]!r} is an address; plait reads local files only: download it and give its path")
    if "\0" in cell:
        raise BadCell("the path holds a null character")
    root = os.path.realpath(folder or Path.cwd())
    path = os.path.realpath(os.path.join(root, cell))
    if not allow_outside and os.path.commonpath([root, path]) != root:
        raise BadCell(
            f"{cell[:200]!r} leaves the table's folder; move the file there, or allow it with --allow-outside"
        )
    return path


def cell_bytes(cell: Any) -> bytes | None:
    """The bytes of a media cell: None where it is empty.

    Args:
        cell: bytes, a path already resolved by `resolve_path`, or a struct with `bytes` and `path`.

    Raises:
        BadCell: The file is missing, unreadable or larger than `MAX_FILE_BYTES`; the cell is none of these.
    """
    if isinstance(cell, dict):
        data, path = cell.get("bytes"), cell.get("path")
        if data and not isinstance(data, bytes):
            raise BadCell(f"`bytes` holds {type(data).__name__}, not bytes")
        cell = data or path
    if cell is None or cell == b"" or cell == "":
        return None
    if isinstance(cell, bytes):
        if len(cell) > MAX_FILE_BYTES:
            raise BadCell(f"{len(cell):,} bytes; at most {MAX_FILE_BYTES:,} are read")
        return cell
    if not isinstance(cell, str):
        raise BadCell(f"{str(cell)[:40]!r} is neither a path nor bytes")
    return _file_bytes(cell)


def _file_bytes(path: str) -> bytes:
    try:
        if not os.path.isfile(path):
            raise BadCell(f"there is no file {path[:500]}")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadCell(f"{path[:500]} cannot be read ({error.strerror})") from error
    if len(data) > MAX_FILE_BYTES:
        size = os.path.getsize(path)
        raise BadCell(f"{path} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
    if not data:
        raise BadCell(f"{path} is empty")
    return data


def first_bytes(path: str) -> bytes:
    """The first 16 bytes of a file, enough for `kind_of_bytes`; none if it cannot be read."""
    try:
        if not os.path.isfile(path):
            return b""
        with open(path, "rb") as file:
            return file.read(16)
    except OSError:
        return b""


def cell_digest(cell: Any) -> int:
    """A 64-bit digest of a media cell's bytes (0 where it is empty); a cell that cannot be read digests its name."""
    try:
        data = cell_bytes(cell)
    except BadCell:
        data = repr(cell).encode()
    return 0 if data is None else int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def decode_image(data: bytes, size: tuple[int, int] | None = None, channels: int = 3) -> NDArray[np.uint8]:
    """Pixels of an image file.

    Args:
        data: The file's bytes (PNG, JPEG, GIF, BMP, WebP, TIFF, PPM; of several frames the first).
        size: (height, width) to resize to, or None for the image's own.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        Array [height, width, channels], 0..255, turned upright where the file says so (EXIF). What is transparent is
        white.

    Raises:
        BadCell: Not an image, truncated, or over `MAX_IMAGE_PIXELS` pixels.
    """
    from PIL import Image, ImageOps

    with _pillow_errors():
        image = _opened(data)
        if size is not None and image.format == "JPEG":
            image.draft("RGB" if channels == 3 else "L", (size[1], size[0]))
        image.load()
        upright = ImageOps.exif_transpose(image) if image.getexif() else image
        plain = _on_white(_eight_bit(upright, image.format in _SIXTEEN_BIT)).convert("L" if channels == 1 else "RGB")
        if size is not None and plain.size != (size[1], size[0]):
            plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(plain, dtype=np.uint8).reshape(plain.height, plain.width, channels)


def image_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, channels) of an image file from its header, as `decode_image` turns it; 1 channel for grey.

    Raises:
        BadCell: As `decode_image`.
    """
    with _pillow_errors():
        image = _opened(data)
        # Pillow would decode a whole PNG in search of EXIF at its end, where hardly any has it
        told = image.format != "PNG" or "exif" in image.info
        sideways = told and image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
    height, width = (image.width, image.height) if sideways else (image.height, image.width)
    return height, width, 1 if image.mode.startswith(_GREY) else 3


_FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
_ORIENTATION: Final = 0x0112
_GREY: Final = ("1", "LA", "L", "I", "F")
_SIXTEEN_BIT: Final = ("PNG", "PPM")


@contextmanager
def _pillow_errors() -> Iterator[None]:
    """What Pillow raises on damaged files, of which its documentation gives no list, as `BadCell`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise BadCell(f"the image is absurdly large; at most {MAX_IMAGE_PIXELS:,} pixels are read") from error
    except UnidentifiedImageError as error:
        raise BadCell(f"not an image of a known format ({', '.join(_FORMATS)})") from error
    except (
        OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError,
        RuntimeError, AssertionError, MemoryError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        raise BadCell(f"not a readable image ({_short(error)})") from error


def _opened(data: bytes) -> Any:
    from PIL import Image

    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise BadCell(f"the image has {image.width:,} x {image.height:,} pixels; at most {MAX_IMAGE_PIXELS:,} are read")
    return image


def _eight_bit(image: Any, deep: bool) -> Any:
    """Deep grey images scaled to 0..255; Pillow's own conversion would clip them.

    Sixteen bits are 0..65535. Other whole numbers and floats say nothing of their scale: the least of 1, 255, 65535 and
    their own maximum that holds them all is white.
    """
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    most = float(values.max(initial=0))
    sixteen = deep or image.mode.startswith("I;16")
    tops = (65535.0,) if sixteen else (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    top = next((top for top in tops if most <= top), most)
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))


def _on_white(image: Any) -> Any:
    from PIL import Image

    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def audio_length(data: bytes) -> tuple[int, int]:
    """(samples, samples per second) of a sound file from its header.

    Raises:
        BadCell: Not a sound, empty, or over `MAX_AUDIO_SECONDS` seconds.
    """
    import soundfile

    try:
        with soundfile.SoundFile(_Stream(data)) as file:
            return _checked_length(file)
    except (RuntimeError, OSError, ValueError) as error:
        raise BadCell(f"not a readable sound ({_short(error)})") from error


class _Stream(io.BytesIO):
    """Bytes as a file. A damaged header may ask for a place before the start: then nothing moves.

    An exception would be printed by the C library's wrapper, with a traceback, and then ignored all the same.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


def _checked_length(file: Any) -> tuple[int, int]:
    frames, rate = int(file.frames), int(file.samplerate)
    if frames <= 0:
        raise BadCell("the sound has no samples")
    if not 1 <= rate <= MAX_SAMPLE_RATE:
        raise BadCell(f"the sound claims {rate:,} samples per second; at most {MAX_SAMPLE_RATE:,} are read")
    if frames / rate > MAX_AUDIO_SECONDS or frames * file.channels > MAX_AUDIO_SAMPLES:
        raise BadCell(
            f"the sound lasts {frames / rate:,.0f} s ({file.channels} channels); at most {MAX_AUDIO_SECONDS:,.0f} s "
            "are read: cut it into pieces"
        )
    return frames, rate


def decode_audio(data: bytes, rate: int, samples: int) -> NDArray[np.float32]:
    """Samples of a sound file, mixed to one channel, resampled, and cut or zero-padded at the end.

    Args:
        data: The file's bytes (any format that libsndfile reads).
        rate: Samples per second to resample to.
        samples: Length of the result.

    Returns:
        Array [samples], about -1..1.

    Raises:
        BadCell: Not a sound, truncated, or over `MAX_AUDIO_SECONDS` seconds.
    """
    import soundfile

    _refuse_truncated(data)
    try:
        with soundfile.SoundFile(_Stream(data)) as file:
            frames, own_rate = _checked_length(file)
            wanted = min(frames, -(-samples * own_rate // rate) + 64)
            read = file.read(wanted, dtype="float32", always_2d=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise BadCell(f"not a readable sound ({_short(error)})") from error
    if len(read) < wanted:
        raise BadCell(f"the sound is truncated: its header promises {frames:,} samples")
    if not (np.abs(read) <= MAX_AMPLITUDE).all():
        raise BadCell("the sound holds NaN, infinite or absurdly loud samples")
    wave = read.mean(axis=1)
    fitted = np.zeros(samples, dtype=np.float32)
    wave = _resample(wave, own_rate, rate)[:samples]
    fitted[: len(wave)] = wave
    return fitted


def _resample(wave: NDArray[np.float32], old: int, new: int) -> NDArray[np.float32]:
    if old == new:
        return wave
    from scipy.signal import resample_poly

    # Odd rates (44,101 Hz) would need a filter of millions of taps: a pitch wrong by less than 1/1,000 % is let pass.
    high, low = max(old, new), min(old, new)
    ratio = Fraction(high, low).limit_denominator(500)
    up, down = (ratio.numerator, ratio.denominator) if new == high else (ratio.denominator, ratio.numerator)
    return np.asarray(resample_poly(wave, up, down), dtype=np.float32)


def _refuse_truncated(data: bytes) -> None:
    """WAV, AIFF, AU and Ogg files that end too early: libsndfile reads what is there and says nothing."""
    promised = _promise(data)
    if promised > len(data):
        raise BadCell(f"the sound is truncated: its header promises {promised:,} bytes, there are {len(data):,}")
    if data[:4] == b"OggS":
        page = data[data.rfind(b"OggS") :]
        head = 27 + page[26] if len(page) > 26 else len(page) + 1  # RFC 3533: a header, sizes of the segments, segments
        if len(page) < head or len(page) < head + sum(page[27:head]) or not page[5] & 4:
            raise BadCell("the sound is truncated: its last page is missing")


def _promise(data: bytes) -> int:
    """How many bytes a file needs for the samples that its header tells of; 0 where it does not say."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _chunk_end(data, b"data", "little")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return _chunk_end(data, b"SSND", "big")
    if data[:4] == b".snd":
        start, size = (int.from_bytes(data[place : place + 4], "big") for place in (4, 8))
        return start + size if size < _STREAMED else 0
    return 0


def _chunk_end(data: bytes, name: bytes, order: Literal["little", "big"]) -> int:
    """Where a chunk of a RIFF or IFF file should end; 0 if there is none, or if its length was not known."""
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], order)
        if data[place : place + 4] == name:
            return place + 8 + size if size < _STREAMED else 0
        place += 8 + size + size % 2
    return 0


def _short(error: BaseException) -> str:
    # soundfile's own text names the object in memory that it was given; its `error_string` only what is wrong
    text = " ".join(str(getattr(error, "error_string", error)).split())
    return text[:120] or type(error).__name__
