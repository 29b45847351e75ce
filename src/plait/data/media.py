"""Media cells: from a path, bytes or a struct of both to pixels and samples, with every size bounded."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plait.exceptions import BadCell

MAX_FILE_BYTES: Final = 256 * 2**20
MAX_IMAGE_PIXELS: Final = 50_000_000
MAX_AUDIO_SECONDS: Final = 600.0
MAX_AUDIO_SAMPLES: Final = 60_000_000
MAX_SAMPLE_RATE: Final = 768_000

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
        raise BadCell(f"{cell[:200]!r} leaves the table's folder; move the file there, or allow it with --allow-outside")
    return path


def cell_bytes(cell: Any) -> bytes | None:
    """The bytes of a media cell: None where it is empty.

    Args:
        cell: bytes, a path already resolved by `resolve_path`, or a struct with `bytes` and `path`.

    Raises:
        BadCell: The file is missing, unreadable or larger than `MAX_FILE_BYTES`.
    """
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if cell is None or len(cell) == 0:
        return None
    if isinstance(cell, bytes):
        if len(cell) > MAX_FILE_BYTES:
            raise BadCell(f"{len(cell):,} bytes; at most {MAX_FILE_BYTES:,} are read")
        return cell
    return _file_bytes(str(cell))


def _file_bytes(path: str) -> bytes:
    try:
        if not os.path.isfile(path):
            raise BadCell(f"there is no file {path}")
        if (size := os.path.getsize(path)) > MAX_FILE_BYTES:
            raise BadCell(f"{path} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise BadCell(f"{path} cannot be read ({error.strerror})") from error
    if not data:
        raise BadCell(f"{path} is empty")
    return data


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
        data: The file's bytes (any format that Pillow reads).
        size: (height, width) to resize to, or None for the image's own.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        Array [height, width, channels], 0..255, turned upright where the file says so (EXIF).

    Raises:
        BadCell: Not an image, truncated, or over `MAX_IMAGE_PIXELS` pixels.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
            _refuse_large(image.width, image.height)
            if size is not None and image.format == "JPEG":
                image.draft("RGB" if channels == 3 else "L", (size[1], size[0]))
            image.load()
        upright = ImageOps.exif_transpose(image) if image.getexif() else image
        plain = _eight_bit(upright).convert("L" if channels == 1 else "RGB")
        if size is not None and plain.size != (size[1], size[0]):
            plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except Image.DecompressionBombError as error:
        raise BadCell(f"the image is absurdly large; at most {MAX_IMAGE_PIXELS:,} pixels are read") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError) as error:
        raise BadCell(f"not a readable image ({_short(error)})") from error
    return np.asarray(plain, dtype=np.uint8).reshape(plain.height, plain.width, channels)


def _refuse_large(width: int, height: int) -> None:
    if width * height > MAX_IMAGE_PIXELS:
        raise BadCell(f"the image has {width:,} x {height:,} pixels; at most {MAX_IMAGE_PIXELS:,} are read")


def _eight_bit(image: Any) -> Any:
    """Deep grey images (16 and 32 bit) scaled to 0..255; Pillow's own conversion would clip them."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if values.max(initial=0) > 255 else 255.0
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))


def image_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, channels) of an image file from its header; channels is 1 for grey images, otherwise 3.

    Raises:
        BadCell: As `decode_image`.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise BadCell(f"the image is absurdly large; at most {MAX_IMAGE_PIXELS:,} pixels are read") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError) as error:
        raise BadCell(f"not a readable image ({_short(error)})") from error
    _refuse_large(image.width, image.height)
    return image.height, image.width, 1 if image.mode in ("1", "L", "I", "F", "I;16", "I;16B") else 3


def audio_length(data: bytes) -> tuple[int, int]:
    """(samples, samples per second) of a sound file from its header.

    Raises:
        BadCell: Not a sound, empty, or over `MAX_AUDIO_SECONDS` seconds.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            return _checked_length(file)
    except (RuntimeError, OSError, ValueError) as error:
        raise BadCell(f"not a readable sound ({_short(error)})") from error


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
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            frames, own_rate = _checked_length(file)
            wanted = min(frames, -(-samples * own_rate // rate) + 64)
            wave = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
    except (RuntimeError, OSError, ValueError) as error:
        raise BadCell(f"not a readable sound ({_short(error)})") from error
    if len(wave) < wanted:
        raise BadCell(f"the sound is truncated: its header promises {frames:,} samples")
    if not np.isfinite(wave).all():
        raise BadCell("the sound holds NaN or infinite samples")
    fitted = np.zeros(samples, dtype=np.float32)
    wave = _resample(wave, own_rate, rate)[:samples]
    fitted[: len(wave)] = wave
    return fitted


def _resample(wave: NDArray[np.float32], old: int, new: int) -> NDArray[np.float32]:
    if old == new:
        return wave
    from scipy.signal import resample_poly

    common = int(np.gcd(old, new))
    return np.asarray(resample_poly(wave, new // common, old // common), dtype=np.float32)


def _refuse_truncated(data: bytes) -> None:
    """WAV and Ogg files that end too early: libsndfile reads what is there and says nothing."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        promised = int.from_bytes(data[4:8], "little") + 8
        if promised not in (8, 2**32 + 7) and promised > len(data) + 1:
            raise BadCell(f"the sound is truncated: its header promises {promised:,} bytes, there are {len(data):,}")
    if data[:4] == b"OggS":
        page = data.rfind(b"OggS")
        if len(data) < page + 27 or not data[page + 5] & 4:
            raise BadCell("the sound is truncated: its last page is missing")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:120] or type(error).__name__
