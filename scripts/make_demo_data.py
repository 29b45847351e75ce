"""Make the data set that `plait demo` uses: written digits, each paired with a spoken digit.

    python scripts/make_demo_data.py --out src/plait/data/demo/digits.parquet --seed 0

Each row pairs one of scikit-learn's 1,797 handwritten digits (8x8 pixels, unchanged) with one
English word, zero to nine, spoken by espeak-ng and mixed with noise. The word is always the digit
in the picture, so both columns tell the class; the noise keeps the sound alone from being enough.
As in real tables, some cells are empty: a quarter of the rows have no picture, others no sound.

A voice is an accent (`en-gb-scotland`) and a variant (`f3`), written `en-gb-scotland+f3`. Each
variant belongs to one split only, so no voice heard in validation or test occurs in training.

The script needs the espeak-ng program (`apt-get install espeak-ng`) and the Python packages numpy,
scipy, scikit-learn, pillow, soundfile and pyarrow. Every random draw comes from one generator, so
the same seed and the same versions of these tools give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image
from scipy.signal import resample_poly
from sklearn.datasets import load_digits

Samples = npt.NDArray[np.float64]

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
UK_ACCENTS = ["en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp"]
ACCENTS = [*UK_ACCENTS, "en-us", "en-us-nyc", "en-029"]
NUMBERED = ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5"]
NAMED_1 = ["grandma", "aunty", "Annie", "linda", "shelby", "steph", "croak", "klatt", "klatt3", "klatt4", "Alex"]
NAMED_2 = ["Andy", "Storm", "boris", "Denis", "Hugo", "Jacky", "Lee", "Michael", "david", "robert", "travis", "victor"]
VARIANTS = [*NUMBERED, *NAMED_1, *NAMED_2]  # not `whisper`: without voicing, the words are hard to tell apart
VARIANTS_PER_SPLIT = {"train": 24, "validation": 6, "test": 6}
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}

ESPEAK_RATE = 22_050  # what espeak-ng writes
RATE = 8_000  # what is stored
BLOCK = 320  # samples in one GSM 6.10 block of a WAV file
MAX_BLOCKS = 17  # 0.68 s, 1,166 bytes
WORDS_PER_MINUTE = (140, 220)
PITCH = (25, 75)  # espeak-ng's scale, 0 to 99
SLACK_SECONDS = 0.25  # silence before and after the word, together, at most
SNR_DB = (0.0, 12.0)  # the word's power over the noise's
PEAK_DB = (-20.0, -2.0)
EMPTY = {"image": 0.25, "sound": 0.15}  # shares of rows without a picture, and without a sound; never without both
NOISES = ("white", "pink", "babble")
BABBLE_TALKERS = 6

ROLES = {"digit": "target", "voice": "ignored", "split": "split"}
KINDS = {"digit": "multiclass"}


@dataclass(frozen=True)
class Clip:
    """What espeak-ng is asked to say for one row, and the split the row is in."""

    digit: int
    split: str
    voice: str
    speed: int
    pitch: int


def run_espeak(arguments: Sequence[str]) -> bytes:
    """Run espeak-ng and return what it writes; end with one clear message where it is missing."""
    try:
        return subprocess.run(["espeak-ng", *arguments], check=True, capture_output=True).stdout
    except FileNotFoundError:
        sys.exit("espeak-ng was not found. Install it first: apt-get install espeak-ng")
    except subprocess.CalledProcessError as error:
        sys.exit(f"espeak-ng failed: {error.stderr.decode(errors='replace').strip()}")


def listed(kind: str, column: int) -> set[str]:
    """One column of espeak-ng's list of voices of a kind (`en`, `variant`)."""
    lines = run_espeak([f"--voices={kind}"]).decode().splitlines()[1:]
    return {line.split()[column].removeprefix("!v/") for line in lines}


def check_voices() -> None:
    """End with a message if a voice is missing: espeak-ng itself would use another voice silently."""
    # The variant's file is the fifth column; no name in VARIANTS has a space in it.
    missing = (set(ACCENTS) - listed("en", 1)) | (set(VARIANTS) - listed("variant", 4))
    if missing:
        sys.exit(f"this espeak-ng lacks the voices {', '.join(sorted(missing))}; use version 1.51 or later")


def draw_splits(digits: npt.NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    """A split for each row, drawn class by class so that each split has the same mix of digits."""
    splits = np.empty(len(digits), dtype=object)
    for digit in range(len(WORDS)):
        rows = rng.permutation(np.flatnonzero(digits == digit))
        ends = np.round(np.cumsum(list(SHARES.values())) * len(rows)).astype(int)[:-1]
        for split, part in zip(SHARES, np.split(rows, ends), strict=True):
            splits[part] = split
    return [str(split) for split in splits]


def draw_variants(rng: np.random.Generator) -> dict[str, list[str]]:
    """The variants of each split; no variant is in two splits."""
    ends = np.cumsum(list(VARIANTS_PER_SPLIT.values()))[:-1]
    parts = np.split(rng.permutation(VARIANTS), ends)
    return {split: sorted(map(str, part)) for split, part in zip(VARIANTS_PER_SPLIT, parts, strict=True)}


def draw_clip(digit: int, split: str, variants: Sequence[str], rng: np.random.Generator) -> Clip:
    """A voice of the split, a speed and a pitch for one row."""
    voice = f"{rng.choice(ACCENTS)}+{rng.choice(variants)}"
    speed = int(rng.integers(*WORDS_PER_MINUTE, endpoint=True))
    pitch = int(rng.integers(*PITCH, endpoint=True))
    return Clip(digit, split, voice, speed, pitch)


def trim(samples: Samples) -> Samples:
    """The samples without the silence at both ends."""
    energy = np.convolve(samples**2, np.ones(RATE // 100), "same")
    loud = np.flatnonzero(energy > energy.max() * 1e-4)
    return samples[loud[0] : loud[-1] + 1]


def level(samples: Samples) -> Samples:
    """The samples at mean power 1."""
    scaled: Samples = samples / np.sqrt(np.mean(samples**2))
    return scaled


def speak(clip: Clip) -> Samples:
    """The clip's word as espeak-ng says it: 8 kHz, no silence, mean power 1, no noise yet."""
    options = ["-v", clip.voice, "-s", str(clip.speed), "-p", str(clip.pitch), "--stdout"]
    samples, rate = soundfile.read(io.BytesIO(run_espeak([*options, WORDS[clip.digit]])))
    if rate != ESPEAK_RATE:
        sys.exit(f"espeak-ng wrote {rate} samples a second; {ESPEAK_RATE} were expected")
    word: Samples = trim(resample_poly(samples, 160, 441))[: BLOCK * MAX_BLOCKS]
    return level(word)


def speak_all(clips: Iterable[Clip]) -> list[Samples]:
    """All words, in the order of the clips."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(speak, clips))


def place(word: Samples, rng: np.random.Generator) -> Samples:
    """The word at a random place in a clip of whole GSM blocks, a little longer than the word."""
    slack = rng.uniform(0, SLACK_SECONDS) * RATE
    blocks = min(int(np.ceil((len(word) + slack) / BLOCK)), MAX_BLOCKS)
    placed = np.zeros(blocks * BLOCK)
    start = rng.integers(0, len(placed) - len(word), endpoint=True)
    placed[start : start + len(word)] = word
    return placed


def pink(length: int, rng: np.random.Generator) -> Samples:
    """Noise with a power that falls as 1/frequency."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequencies = np.arange(len(spectrum))
    frequencies[0] = 1
    return np.fft.irfft(spectrum / np.sqrt(frequencies), length)


def babble(length: int, talkers: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """Several words at once, each backwards (so that none is a second answer) and at a random place."""
    total = np.zeros(length)
    for index in rng.choice(len(talkers), BABBLE_TALKERS, replace=False):
        total += np.roll(np.resize(talkers[index][::-1], length), rng.integers(length))
    return total


def noise(length: int, talkers: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """White, pink or babble noise with mean power 1."""
    kind = rng.choice(NOISES)
    if kind == "white":
        samples = rng.standard_normal(length)
    else:
        samples = pink(length, rng) if kind == "pink" else babble(length, talkers, rng)
    return level(samples)


def mix(word: Samples, talkers: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """The word with silence around it, noise at a random level, and a random loudness."""
    placed = place(word, rng)
    ratio = 10 ** (rng.uniform(*SNR_DB) / 20)
    mixed = ratio * placed + noise(len(placed), talkers, rng)
    peak = 10 ** (rng.uniform(*PEAK_DB) / 20)
    scaled: Samples = mixed * peak / np.abs(mixed).max()
    return scaled


def encode_sound(samples: Samples) -> bytes:
    """The samples as a WAV file with GSM 6.10 sound (1,625 bytes a second)."""
    stream = io.BytesIO()
    soundfile.write(stream, np.round(samples * 32_767).astype(np.int16), RATE, format="WAV", subtype="GSM610")
    return stream.getvalue()


def encode_image(pixels: npt.NDArray[np.float64]) -> bytes:
    """The 8x8 picture as a PNG file: 0..16 becomes 0..255 (rounded), each level still distinct."""
    stream = io.BytesIO()
    # Not deflated: so few pixels gain nothing from it, and the bytes do not depend on a version of zlib.
    Image.fromarray(np.round(pixels * 255 / 16).astype(np.uint8)).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def encode_sounds(clips: Sequence[Clip], rng: np.random.Generator) -> list[bytes]:
    """Each clip spoken, mixed with noise and encoded; babble is made of words of the same split only."""
    words = speak_all(clips)
    pairs = list(zip(words, clips, strict=True))
    talkers = {split: [word for word, clip in pairs if clip.split == split] for split in SHARES}
    sounds = [encode_sound(mix(word, talkers[clip.split], rng)) for word, clip in pairs]
    if len(set(sounds)) < len(sounds):
        sys.exit("two clips are the same; try another seed")
    return sounds


def draw_empty(rows: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which rows have no picture, and which have no sound, as in tables where not all was collected."""
    draw = rng.random(rows)
    return draw < EMPTY["image"], draw > 1 - EMPTY["sound"]


def build_table(seed: int) -> pa.Table:
    """The whole data set as an Arrow table."""
    rng = np.random.default_rng(seed)
    pixels, digits = load_digits(return_X_y=True)
    splits = draw_splits(digits, rng)
    variants = draw_variants(rng)
    clips = [draw_clip(int(d), s, variants[s], rng) for d, s in zip(digits, splits, strict=True)]
    images, sounds = [encode_image(row.reshape(8, 8)) for row in pixels], encode_sounds(clips, rng)
    image_empty, sound_empty = draw_empty(len(clips), rng)
    columns = {
        "image": pa.array(images, pa.binary(), mask=image_empty),
        "sound": pa.array(sounds, pa.binary(), mask=sound_empty),
        "digit": pa.array([clip.digit for clip in clips], pa.int64()),
        "voice": pa.array([clip.voice for clip in clips], pa.string()),
        "split": pa.array(splits, pa.string()),
    }
    return pa.table(columns, metadata={"plait": json.dumps({"roles": ROLES, "kinds": KINDS})})


def write_table(table: pa.Table, out: Path) -> None:
    """Write the table as one Parquet file; text and numbers are dictionary-coded, bytes are not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out, compression="zstd", compression_level=9, use_dictionary=["digit", "voice", "split"])


def report(table: pa.Table, out: Path) -> None:
    """Print what was written."""
    rows = list(zip(table["split"].to_pylist(), table["voice"].to_pylist(), strict=True))
    print(f"{out}: {out.stat().st_size} bytes, {len(rows)} rows")
    for name in SHARES:
        voices = [voice for split, voice in rows if split == name]
        variants = sorted({voice.partition("+")[2] for voice in voices})
        print(f"{name}: {len(voices)} rows, {len(set(voices))} voices, variants {', '.join(variants)}")
    print(f"sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


def main() -> None:
    """Read the command line, make the table, write it."""
    parser = argparse.ArgumentParser(description="Make the data set that `plait demo` uses.")
    parser.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random draws (default 0)")
    arguments = parser.parse_args()
    check_voices()
    table = build_table(arguments.seed)
    write_table(table, arguments.out)
    report(table, arguments.out)


if __name__ == "__main__":
    main()
