"""Many made modalities: a few that tell the class, alone or only in pairs, some copies, and noise under the same names.

The recipe is told in docs/data-many-modalities.md. All cells are whole-number arithmetic until they are divided by a
power of two, so that the same call gives the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait._version import __version__
from plait.data.build._base import (
    BUILDERS,
    MANIFEST,
    SPLIT_NAMES,
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
from plait.data.build.exact import below, draw, permutation
from plait.exceptions import Problems

CLASSES: Final = 4
WIDTH: Final = 8
"""Numbers of a vector."""

STEPS: Final = 2**16
"""Steps per 1.0 in which latent numbers are counted; one deviation of the noise is 1.0."""

ALONE: Final = STEPS
"""How far from 0 the class of a modality that tells it alone lies, on that class's axis."""

PAIR: Final = STEPS * 7 // 4
"""How far from 0 the sign of one half of a pair lies."""

COPY: Final = STEPS // 2
"""Deviation of what a copy adds to what it copies."""

MOST_SIGNALS: Final = 8
FEWEST_ROWS: Final = 10
FEWEST: Final = 2
MOST: Final = 999
TARGET: Final = "label"
FILES: Final = (*(f"{name}.parquet" for name in SPLIT_NAMES), MANIFEST)
_PIECE: Final = 4_096
_PARTS: Final = 3
"""Draws behind one number of noise: four sums of 16 bits in each."""


@dataclass(frozen=True)
class Counts:
    """How many modalities tell the class alone, how many pairs do together, how many copy one of the former."""

    alone: int
    pairs: int
    copies: int

    @property
    def signals(self) -> int:
        """Modalities that are not noise."""
        return self.alone + 2 * self.pairs + self.copies


@dataclass(frozen=True)
class Part:
    """What a modality is for.

    Attributes:
        role: alone, pair, copy or noise.
        other: Number of the modality that it copies or whose pair it is; None for the others.
        bit: Of a pair, which bit of the class its two signs tell; else None.
        second: Whether it is the second half of its pair.
    """

    role: str
    other: int | None = None
    bit: int | None = None
    second: bool = False


def counts_of(modalities: int, alone: int | None, pairs: int | None, copies: int | None) -> Counts:
    """The counts that were asked for; the others as the first of: alone, pair, alone, copy, pair, alone.

    Example:
        >>> [counts_of(n, None, None, None) for n in (2, 3, 6)]  # doctest: +NORMALIZE_WHITESPACE
        [Counts(alone=2, pairs=0, copies=0), Counts(alone=1, pairs=1, copies=0), Counts(alone=3, pairs=1, copies=1)]
        >>> counts_of(24, None, None, None)
        Counts(alone=3, pairs=2, copies=1)
    """
    usual = {
        1: Counts(1, 0, 0), 2: Counts(2, 0, 0), 3: Counts(1, 1, 0), 4: Counts(2, 1, 0), 5: Counts(3, 1, 0),
        6: Counts(3, 1, 1), 7: Counts(3, 2, 0), 8: Counts(3, 2, 1),
    }[max(1, min(modalities, MOST_SIGNALS))]  # fmt: skip
    asked = {"alone": alone, "pairs": pairs, "copies": copies}
    return replace(usual, **{name: count for name, count in asked.items() if count is not None})


def parts_of(modalities: int, counts: Counts, seed: int) -> tuple[Part, ...]:
    """What every modality is for, in an order drawn by the seed. Those that nothing is said of are noise."""
    place = permutation(modalities, "many-modalities", seed, "roles").tolist()
    found = [Part("noise")] * modalities
    for number in range(counts.alone):
        found[place[number]] = Part("alone")
    for pair in range(counts.pairs):
        one, other = (place[counts.alone + 2 * pair + half] for half in (0, 1))
        found[one], found[other] = Part("pair", other, pair % 2), Part("pair", one, pair % 2, second=True)
    for copy in range(counts.copies):
        found[place[counts.alone + 2 * counts.pairs + copy]] = Part("copy", place[copy % counts.alone])
    return tuple(found)


@BUILDERS.register("many-modalities")
class ManyModalities(Builder):
    """Tables of vectors of which a known few tell the class."""

    summary: ClassVar[str] = "Made vectors: a few tell the class, alone or only in pairs; the others are noise."
    rows: ClassVar[Mapping[str, int]] = {"train": 3_000, "validation": 1_000, "test": 2_000}
    own: ClassVar[frozenset[str]] = frozenset({"modalities", "alone", "pairs", "copies"})

    def build(self, options: BuildOptions, progress: Progress) -> dict[str, Any]:
        """Write train.parquet, validation.parquet, test.parquet and manifest.json; returns the manifest.

        Raises:
            InputError: All mistakes of the call together; nothing is then written.
        """
        problems = Problems()
        check_unused("many-modalities", options, self.own, problems)
        check_rows_and_seed(options, FEWEST_ROWS, f"{CLASSES} classes", problems)
        counts = counts_of(options.modalities, options.alone, options.pairs, options.copies)
        _check(options, counts, problems)
        check_out(options.out, FILES, problems)
        problems.raise_if_any()
        recipe = Recipe(options.modalities, counts, options.seed)
        manifest: dict[str, Any] = {
            "benchmark": "many-modalities",
            "plait": __version__,
            "options": {
                **{name: getattr(options, name) for name in SPLIT_NAMES}, "seed": options.seed,
                "modalities": options.modalities, **vars(counts),
            },
            "modalities": recipe.describe(),
        }  # fmt: skip
        with all_or_nothing(options.out, FILES) as folder:
            splits = {}
            for name in SPLIT_NAMES:
                rows = getattr(options, name)
                progress.begin(f"Write {name}.parquet", rows)
                splits[name] = _write(folder / f"{name}.parquet", recipe, name, rows, progress)
                progress.end()
            return write_manifest(folder, manifest, splits)


class Recipe:
    """Makes rows.

    Args:
        modalities: How many.
        counts: How many of them are for what.
        seed: Decides every draw.
    """

    def __init__(self, modalities: int, counts: Counts, seed: int) -> None:
        self.seed = seed
        self.parts = parts_of(modalities, counts, seed)
        digits = max(2, len(str(modalities)))
        self.names = tuple(f"m{number:0{digits}}" for number in range(1, modalities + 1))

    def labels(self, split: str, rows: int) -> NDArray[np.int64]:
        """Classes [rows]."""
        return below(np.full(rows, CLASSES, np.int64), "many-modalities", self.seed, "label", split)

    def latent(self, split: str, labels: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
        """By number of the modality, what its vectors are before their axes are mixed, in steps [rows, width]."""
        found = {}
        for number, part in enumerate(self.parts):
            if part.role == "copy":
                continue
            values = self._noise(split, number, len(labels))
            if part.role == "alone":
                values[np.arange(len(labels)), labels] += ALONE
            elif part.role == "pair":
                values[:, 0] += PAIR * (1 - 2 * self._sign(split, number, labels))
            found[number] = values
        for number, part in enumerate(self.parts):
            if part.role == "copy" and part.other is not None:
                found[number] = found[part.other] + self._noise(split, number, len(labels)) * COPY // STEPS
        return found

    def vectors(self, number: int, latent: NDArray[np.int64]) -> NDArray[np.float32]:
        """Latent numbers with the modality's own axes [rows, width]: a Hadamard matrix, rows and signs drawn."""
        hadamard = np.array([[1]])
        while len(hadamard) < WIDTH:
            hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
        axes = hadamard[permutation(WIDTH, "many-modalities", self.seed, "axes", number)]
        signs = 1 - 2 * below(np.full(WIDTH, 2, np.int64), "many-modalities", self.seed, "signs", number)
        mixed = latent @ (axes * signs)  # whole numbers: the order of addition does not matter
        # 2 in place of the root of 8, so that the division is exact
        return np.asarray(mixed / (2.0 * STEPS), np.float32)

    def pieces(self, split: str, rows: int) -> Iterator[dict[str, Sequence[Any]]]:
        """The rows of a split as columns, some at a time."""
        labels = self.labels(split, rows)
        columns = {n: self.vectors(n, latent) for n, latent in self.latent(split, labels).items()}
        for start in range(0, rows, _PIECE):
            some = slice(start, start + _PIECE)
            yield {
                **{name: list(columns[number][some]) for number, name in enumerate(self.names)},
                TARGET: labels[some].tolist(),
            }

    def describe(self) -> dict[str, dict[str, Any]]:
        """By name, what a modality is for: role, and of a pair or copy the other one."""
        told = {}
        for name, part in zip(self.names, self.parts, strict=True):
            told[name] = {"role": part.role}
            if part.other is not None:
                told[name]["of" if part.role == "copy" else "with"] = self.names[part.other]
        return told

    def best(self, split: str, labels: NDArray[np.int64]) -> dict[str, float]:
        """Accuracy of the rule that knows the recipe (Bayes' rule; the noise taken as normal), by what it reads."""
        alone, pairs = np.zeros((len(labels), CLASSES)), np.zeros((len(labels), CLASSES))
        latent = {number: values / STEPS for number, values in self.latent(split, labels).items()}
        for number, part in enumerate(self.parts):
            if part.role == "alone":
                alone += latent[number][:, :CLASSES] * (ALONE / STEPS)
            elif part.role == "pair" and part.other is not None and not part.second:
                one, other = (latent[n][:, 0] * (PAIR / STEPS) for n in (number, part.other))
                same, differ = np.logaddexp(one + other, -one - other), np.logaddexp(one - other, other - one)
                pairs += np.where(_bits(part.bit) == 0, same[:, None], differ[:, None])
        told = {"alone": alone, "pairs": pairs, "all": alone + pairs}
        return {name: round(float(np.mean(values.argmax(1) == labels)), 4) for name, values in told.items()}

    def _noise(self, split: str, number: int, rows: int) -> NDArray[np.int64]:
        """Nearly normal numbers in steps [rows, width]: sums of twelve uniform ones (Irwin and Hall)."""
        drawn = draw(rows * WIDTH * _PARTS, "many-modalities", self.seed, "noise", split, number)
        pieces = drawn.reshape(rows, WIDTH, _PARTS, 1) >> np.arange(0, 64, 16, dtype=np.uint64)
        uniform = (pieces & np.uint64(0xFFFF)).astype(np.int64).reshape(rows, WIDTH, -1)  # [rows, width, 12]
        return np.asarray(uniform.sum(2) - 6 * STEPS + 6)  # the mean of 12 numbers from 0 to 65,535 is 393,210

    def _sign(self, split: str, number: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """0 or 1 [rows]: of the first half a coin, of the second the coin or its opposite, as the bit says."""
        part = self.parts[number]
        first = part.other if part.second else number
        coin = below(np.full(len(labels), 2, np.int64), "many-modalities", self.seed, "coin", split, first)
        return coin ^ ((labels >> (part.bit or 0)) & 1) if part.second else coin


def _bits(bit: int | None) -> NDArray[np.int64]:
    """One bit of every class [classes]."""
    return (np.arange(CLASSES) >> (bit or 0)) & 1


def _write(path: Any, recipe: Recipe, split: str, rows: int, progress: Progress) -> dict[str, Any]:
    """Write one table; returns what is to be told of it."""
    schema = pa.schema([*((name, pa.list_(pa.float32())) for name in recipe.names), (TARGET, pa.int64())])
    roles = {**dict.fromkeys(recipe.names, "input"), TARGET: "target"}
    kinds = {**dict.fromkeys(recipe.names, "vector"), TARGET: "multiclass"}
    writer = TableWriter(path, schema, {"roles": roles, "kinds": kinds})
    try:
        for piece in recipe.pieces(split, rows):
            writer.write(piece)
            progress.advance(len(piece[TARGET]))
    finally:
        content = writer.close()
    labels = recipe.labels(split, rows)
    return {
        "rows": rows,
        "rows_of_class": np.bincount(labels, minlength=CLASSES).tolist(),
        "best_accuracy": recipe.best(split, labels),
        "file_sha256": file_digest(path),
        "content_sha256": content,
    }


def _check(options: BuildOptions, counts: Counts, problems: Problems) -> None:
    """Note what is wrong with the counts."""
    if not FEWEST <= options.modalities <= MOST:
        problems.add(f"--modalities is {options.modalities}; give {FEWEST} to {MOST}.")
    negative = [name for name, count in vars(counts).items() if count < 0]
    for name in negative:
        problems.add(f"--{name} is {getattr(counts, name)}; give 0 or more.")
    if negative:
        return
    if counts.copies and not counts.alone:
        problems.add(f"--copies is {counts.copies} and --alone is 0: there is nothing to copy; give --copies 0.")
    if counts.alone + counts.pairs == 0:
        problems.add("--alone and --pairs are 0, so that nothing tells the class; give one of them.")
    if options.modalities >= FEWEST and counts.signals > options.modalities:
        problems.add(
            f"{counts.alone} alone, {counts.pairs} pairs and {counts.copies} copies are {counts.signals} modalities; "
            f"--modalities is {options.modalities}: ask for fewer of them, or for more modalities."
        )
