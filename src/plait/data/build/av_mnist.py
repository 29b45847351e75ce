"""AV-MNIST: blurred written digits, each paired with the same digit spoken in noise.

The recipe is told in docs/data-av-mnist.md, with what differs from the benchmark as first published (Vielzeuf et al.,
CentralNet, 2018; Perez-Rua et al., MFAS, 2019), whose sounds cannot be had.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait._version import __version__
from plait.data.build._base import (
    BUILDERS,
    MANIFEST,
    Builder,
    BuildOptions,
    Progress,
    TableWriter,
    all_or_nothing,
    check_out,
    check_rows_and_seed,
    check_unused,
    file_digest,
    write_manifest,
)
from plait.data.build.exact import Projection, amplitude, below, mix, permutation, png, wav
from plait.data.build.ingredients import Arrays, Ingredient, load_all
from plait.exceptions import Problems

RATE: Final = 8_000
DEFAULT_SNR: Final = -10.0
"""dB; found by the calibration in docs/data-av-mnist.md."""

LARGEST_SNR: Final = 60.0
"""dB either way; beyond it, 16 bits hold nothing of the quieter of the two."""

TRAIN_IMAGES: Final = 60_000
TEST_IMAGES: Final = 10_000
PIXELS: Final = 784
FEWEST_ROWS: Final = 10
"""Rows of a split: fewer cannot hold ten classes."""

NOISES: Final = ("doing_the_dishes", "dude_miaowing", "exercise_bike", "running_tap", "pink_noise", "white_noise")
TEST_ONLY: Final = "exercise_bike"
"""The noise type that neither training nor validation rows hold: a recorded one."""

MNIST: Final = Ingredient(
    "mnist.npz",
    ("x_train", "y_train", "x_test", "y_test"),
    "9b1c5724154a1748bbedb8bfdadb199a8e79b56caa8dfa37b02b2b44847d5198",
    "MNIST in its canonical order, 60,000 and 10,000 images, as in Keras",
)
FSDD: Final = Ingredient(
    "fsdd.npz",
    ("samples", "offsets", "digit", "speaker", "index", "sr"),
    "73ac4165945809b28096e7e6d07aa364990d6100001c83ebe37cc1b5d8901cde",
    "the 3,000 recordings of the Free Spoken Digit Dataset at commit 26eb9aa",
)
NOISE: Final = Ingredient(
    "background_noise_8k.npz",
    (*NOISES, "sr"),
    "5b3dc9fe1bfb4dea0a5cb8741ea46fd878ad5b7c4a3bedf35efb0e79abd32342",
    "the six background noises of Speech Commands, 40 s each, at 8 kHz",
)
INGREDIENTS: Final = (MNIST, FSDD, NOISE)

ROLES: Final = {
    "image": "input", "sound": "input", "digit": "target", "speaker": "ignored", "recording": "ignored",
}  # fmt: skip
KINDS: Final = {"image": "image", "sound": "audio", "digit": "multiclass"}
SCHEMA: Final = pa.schema(
    [
        ("image", pa.binary()), ("sound", pa.binary()), ("digit", pa.int64()), ("speaker", pa.string()),
        ("recording", pa.int64()),
    ]
)  # fmt: skip
_PIECE: Final = 2_048


@dataclass(frozen=True)
class Split:
    """Where a split's ingredients come from.

    Attributes:
        name: train, validation or test; also the name of the file.
        part: The part of MNIST that holds its images.
        indices: First and last + 1 of the FSDD indices that its recordings have.
        stretch: From which to which hundredth of each noise its segments are cut.
    """

    name: str
    part: str
    indices: tuple[int, int]
    stretch: tuple[int, int]

    @property
    def noises(self) -> tuple[str, ...]:
        """The noise types that occur in it."""
        return NOISES if self.name == "test" else tuple(name for name in NOISES if name != TEST_ONLY)


SPLITS: Final = (
    Split("train", "train", (10, 50), (0, 70)),
    Split("validation", "train", (5, 10), (70, 80)),
    Split("test", "test", (0, 5), (80, 100)),  # FSDD's official test recordings are those of index 0 to 4
)
FILES: Final = (*(f"{split.name}.parquet" for split in SPLITS), MANIFEST)


@dataclass(frozen=True)
class Plan:
    """What every row of a split is made of; arrays [rows].

    Attributes:
        image: Position of the image in its part of MNIST.
        digit: The class.
        clip: Position of the recording in FSDD.
        noise: Position of the noise type in `Split.noises`.
        offset: First sample of the noise segment.
    """

    image: NDArray[np.int64]
    digit: NDArray[np.int64]
    clip: NDArray[np.int64]
    noise: NDArray[np.int64]
    offset: NDArray[np.int64]


@BUILDERS.register("av-mnist")
class AvMnist(Builder):
    """Tables with an image and a sound of the same digit, each of which alone leaves room for the other."""

    summary: ClassVar[str] = "Blurred written digits, each paired with the same digit spoken in noise."
    rows: ClassVar[Mapping[str, int]] = {"train": 55_000, "validation": 5_000, "test": 10_000}
    own: ClassVar[frozenset[str]] = frozenset({"source", "components", "snr"})

    def build(self, options: BuildOptions, progress: Progress) -> dict[str, Any]:
        """Write train.parquet, validation.parquet, test.parquet and manifest.json; returns the manifest.

        Raises:
            InputError: All mistakes of the call together; nothing is then written.
        """
        problems = Problems()
        check_unused("av-mnist", options, self.own, problems)
        check_rows_and_seed(options, FEWEST_ROWS, "ten digits", problems)
        _check(options, problems)
        check_out(options.out, FILES, problems)
        loaded = load_all(INGREDIENTS, options.source, problems)
        problems.raise_if_any()
        snr = DEFAULT_SNR if options.snr is None else options.snr
        recipe = Recipe(loaded[MNIST.file], loaded[FSDD.file], loaded[NOISE.file], options.seed, snr)
        plans = {split.name: recipe.plan(split, getattr(options, split.name)) for split in SPLITS}
        manifest: dict[str, Any] = {
            "benchmark": "av-mnist",
            "plait": __version__,
            "options": {
                "train": options.train, "validation": options.validation, "test": options.test,
                "seed": options.seed, "components": options.components, "snr_db": snr,
            },
            "ingredients": {ingredient.file: ingredient.sha256 for ingredient in INGREDIENTS},
            "noise_for_test_alone": TEST_ONLY,
        }  # fmt: skip
        with all_or_nothing(options.out, FILES) as folder:
            progress.begin("Fit the principal components of the training images", 1)
            projection = Projection(recipe.images("train", plans["train"].image), options.components)
            progress.end()
            splits = {}
            for split in SPLITS:
                plan = plans[split.name]
                progress.begin(f"Write {split.name}.parquet", len(plan.digit))
                written = _write(folder / f"{split.name}.parquet", recipe, split, plan, projection, progress)
                splits[split.name] = {**recipe.describe(split, plan), **written}
                progress.end()
            return write_manifest(folder, manifest, splits)


class Recipe:
    """Makes rows out of the ingredients.

    Args:
        mnist: Arrays of the written digits.
        fsdd: Arrays of the spoken digits.
        noise: Arrays of the noises.
        seed: Decides every draw.
        snr: Signal-to-noise ratio, in dB.
    """

    def __init__(self, mnist: Arrays, fsdd: Arrays, noise: Arrays, seed: int, snr: float) -> None:
        self.mnist, self.fsdd, self.noise = mnist, fsdd, noise
        self.seed, self.ratio = seed, amplitude(snr)
        self.starts = fsdd["offsets"].astype(np.int64)
        # The same for every seed, so that the recordings of two builds can be told to be the same.
        self.recordings = permutation(len(self.starts) - 1, "av-mnist", "recording")

    def plan(self, split: Split, rows: int) -> Plan:
        """Draw what every row of a split is made of; fewer rows are the first of more."""
        labels = self.mnist[f"y_{split.part}"]
        order = permutation(len(labels), "av-mnist", self.seed, "image", split.part)
        # Training takes from the front, validation from the back.
        image = (order[::-1] if split.name == "validation" else order)[:rows]
        digit = labels[image].astype(np.int64)
        clip = np.zeros(rows, np.int64)
        for value in np.unique(digit):
            mine = np.flatnonzero(digit == value)
            clips = self.clips(split, int(value))
            turn = clips[permutation(len(clips), "av-mnist", self.seed, "clip", split.name, value)]
            clip[mine] = turn[np.arange(len(mine)) % len(turn)]
        return Plan(image, digit, clip, *self.noises(split, clip))

    def noises(self, split: Split, clip: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw a noise segment for every recording: position in `Split.noises`, and first sample. Arrays [rows]."""
        kinds = np.full(len(clip), len(split.noises), np.int64)
        noise = below(kinds, "av-mnist", self.seed, "noise", split.name)
        stretches = np.array([self.stretch(split, name) for name in split.noises], np.int64)  # [types, 2]
        lengths = self.starts[clip + 1] - self.starts[clip]
        room = stretches[noise, 1] - stretches[noise, 0] - lengths + 1
        offset = stretches[noise, 0] + below(room, "av-mnist", self.seed, "offset", split.name)
        return noise, offset

    def clips(self, split: Split, digit: int) -> NDArray[np.int64]:
        """Positions of a digit's recordings that a split may use."""
        first, end = split.indices
        index = self.fsdd["index"]
        return np.flatnonzero((self.fsdd["digit"] == digit) & (index >= first) & (index < end))

    def stretch(self, split: Split, name: str) -> tuple[int, int]:
        """First sample and last + 1 of a noise that a split may use."""
        length = len(self.noise[name])
        return (
            (0, length) if name == TEST_ONLY else (length * split.stretch[0] // 100, length * split.stretch[1] // 100)
        )

    def images(self, part: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Written digits u8 [n, 28, 28]."""
        return np.asarray(self.mnist[f"x_{part}"][positions])

    def sound(self, split: Split, plan: Plan, row: int) -> NDArray[np.int16]:
        """The mixture of one row, as long as its recording. Array [samples]."""
        first, end = self.starts[plan.clip[row]], self.starts[plan.clip[row] + 1]
        noise = self.noise[split.noises[plan.noise[row]]]
        begin = plan.offset[row]
        return mix(self.fsdd["samples"][first:end], noise[begin : begin + end - first], self.ratio)

    def pieces(self, split: Split, plan: Plan, projection: Projection) -> Iterator[dict[str, list[Any]]]:
        """The rows of a split as columns, some at a time."""
        for start in range(0, len(plan.digit), _PIECE):
            rows = slice(start, start + _PIECE)
            pixels = projection(self.images(split.part, plan.image[rows]))
            clips = plan.clip[rows]
            yield {
                "image": [png(image) for image in pixels],
                "sound": [wav(self.sound(split, plan, start + row), RATE) for row in range(len(clips))],
                "digit": plan.digit[rows].tolist(),
                "speaker": [str(name) for name in self.fsdd["speaker"][clips]],
                "recording": self.recordings[clips].tolist(),
            }

    def describe(self, split: Split, plan: Plan) -> dict[str, Any]:
        """What stands behind a split, for the manifest."""
        used = np.unique(self.recordings[plan.clip])
        return {
            "rows": len(plan.digit),
            "rows_of_digit": [int(np.sum(plan.digit == digit)) for digit in range(10)],
            "images": {"of": f"x_{split.part}", "positions_sha256": _digest(plan.image)},
            "recordings": {
                "fsdd_index": f"{split.indices[0]}-{split.indices[1] - 1}",
                "count": len(used),
                "sha256": _digest(used),
                "rows_each": _range(Counter(plan.clip.tolist())),
            },
            "noise": {
                name: {"samples": list(self.stretch(split, name)), "rows": int(np.sum(plan.noise == number))}
                for number, name in enumerate(split.noises)
            },
        }


def _range(counts: Mapping[int, int]) -> list[int]:
    return [min(counts.values()), max(counts.values())]


def _digest(numbers: NDArray[np.int64]) -> str:
    return hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest()


def _write(
    path: Path, recipe: Recipe, split: Split, plan: Plan, projection: Projection, progress: Progress
) -> dict[str, str]:
    """Write one table; returns its digests."""
    writer = TableWriter(path, SCHEMA, {"roles": ROLES, "kinds": KINDS})
    try:
        for piece in recipe.pieces(split, plan, projection):
            writer.write(piece)
            progress.advance(len(piece["digit"]))
    finally:
        content = writer.close()
    return {"file_sha256": file_digest(path), "content_sha256": content}


def _check(options: BuildOptions, problems: Problems) -> None:
    """Note what is wrong with the numbers."""
    if options.train + options.validation > TRAIN_IMAGES:
        problems.add(
            f"--train {options.train} and --validation {options.validation} together ask for "
            f"{options.train + options.validation:,} images; MNIST has {TRAIN_IMAGES:,} for the two: ask for fewer."
        )
    if options.test > TEST_IMAGES:
        problems.add(f"--test is {options.test}; MNIST has {TEST_IMAGES:,} test images: ask for fewer.")
    if not 1 <= options.components <= PIXELS:
        problems.add(f"--components is {options.components}; give 1 to {PIXELS}: images have {PIXELS} pixels.")
    if options.snr is not None and not (math.isfinite(options.snr) and abs(options.snr) <= LARGEST_SNR):
        problems.add(f"--snr is {options.snr}; give a number of decibels from {-LARGEST_SNR:g} to {LARGEST_SNR:g}.")
