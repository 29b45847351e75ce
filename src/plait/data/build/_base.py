"""What a builder of a benchmark is: checked options in, Parquet tables and a manifest out, all of them or none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait._registry import Registry
from plait.data.atomic import write_json
from plait.exceptions import InputError, Problems, one_line

MANIFEST = "manifest.json"
SPLIT_NAMES = ("train", "validation", "test")
LARGEST_SEED = 2**63 - 1


class Progress(Protocol):
    """Told how far a build is; the terminal's narrator is one."""

    def begin(self, what: str, total: int | None = None) -> None:
        """A piece of work of so many units begins."""

    def advance(self, units: int = 1) -> None:
        """Some units are done."""

    def end(self) -> None:
        """The piece of work is done."""


@dataclass(frozen=True)
class BuildOptions:
    """What to build, and where. Every builder reads `out`, the rows and the seed, and those it calls its own.

    Attributes:
        source: Folder below which the ingredient files lie; None if there is none.
        out: Folder to write.
        train: Training rows.
        validation: Validation rows.
        test: Test rows.
        seed: Decides every draw, 0 to 2^63 - 1.
        components: Principal components that the images keep, 1 to 784.
        snr: Signal-to-noise ratio of the sounds, in dB; None for the builder's own.
        modalities: How many modalities, 2 to 999.
        alone: How many of them tell the class alone; None for the builder's own.
        pairs: How many pairs of them tell it only together; None for the builder's own.
        copies: How many copy one that tells it alone; None for the builder's own.
    """

    source: Path | None
    out: Path
    train: int = 55_000
    validation: int = 5_000
    test: int = 10_000
    seed: int = 0
    components: int = 5
    snr: float | None = None
    modalities: int = 24
    alone: int | None = None
    pairs: int | None = None
    copies: int | None = None


class Builder(ABC):
    """One benchmark.

    The command calls `build` once. It checks the options first, tells all mistakes together, and writes only then.
    """

    summary: ClassVar[str]
    """One sentence: what the benchmark is."""

    rows: ClassVar[Mapping[str, int]]
    """By split, how many rows the command builds where none are asked for."""

    own: ClassVar[frozenset[str]]
    """Names of the options that it reads, beside those that all read."""

    @abstractmethod
    def build(self, options: BuildOptions, progress: Progress) -> dict[str, Any]:
        """Write the tables and the manifest; returns the manifest.

        Raises:
            InputError: All mistakes of the call together.
        """


BUILDERS: Registry[type[Builder]] = Registry("benchmark")


def check_unused(name: str, options: BuildOptions, own: frozenset[str], problems: Problems) -> None:
    """Note options that were given and that the benchmark called `name` does not read."""
    shared = {"out", "seed", *SPLIT_NAMES}
    for field in fields(options):
        if field.name not in own | shared and getattr(options, field.name) not in (None, field.default):
            problems.add(f"--{field.name} means nothing to {name}; leave it out.")


def check_rows_and_seed(options: BuildOptions, fewest: int, classes: str, problems: Problems) -> None:
    """Note what is wrong with the numbers that every builder reads.

    Args:
        options: All options.
        fewest: Rows that a split has at least.
        classes: What has to occur in that many rows, as in "ten digits".
        problems: Where mistakes are noted.
    """
    for name in SPLIT_NAMES:
        rows = getattr(options, name)
        if rows < fewest:
            problems.add(f"--{name} is {rows}; give {fewest} or more, so that {classes} can occur.")
    if not 0 <= options.seed <= LARGEST_SEED:
        problems.add(f"--seed is {options.seed}; give a whole number from 0 to 2^63 - 1.")


def check_out(out: Path, names: Iterable[str], problems: Problems) -> None:
    """Note what stands against writing these files into a folder."""
    try:
        there = [name for name in names if os.path.lexists(out / name)]
        if out.exists() and not out.is_dir():
            problems.add(f"--out {out} is a file; give a folder that does not exist yet, or an empty one.")
        elif there:
            problems.add(
                f"--out {out} already holds {', '.join(there)}; nothing is overwritten: remove them, or give another "
                "folder."
            )
        else:
            _check_writable(out, problems)
    except OSError as error:
        problems.add(f"--out {out} cannot be used ({error.strerror}); give another folder.")


def _check_writable(out: Path, problems: Problems) -> None:
    nearest = next((folder for folder in (out, *out.absolute().parents) if folder.exists()), Path("/"))
    if not nearest.is_dir():
        problems.add(f"--out {out} lies below {nearest}, which is a file; give another folder.")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        problems.add(f"--out {out} cannot be written: {nearest} is read-only for you; give another folder.")


@contextmanager
def all_or_nothing(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write into; its files move to `out`, in this order, once the block has ended well.

    After an error or an interrupt `out` is as it was before.

    Args:
        out: Where the files go; made if it is not there.
        names: The files that the block writes. The last one says that all are there.

    Raises:
        InputError: Something cannot be written.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    moved: list[Path] = []
    part: Path | None = None
    done = False
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
        yield part
        for name in names:
            _sync(part / name)
        for name in names:
            if os.path.lexists(out / name):
                raise InputError(f"{out / name} has appeared during the build; nothing is overwritten: remove it.")
            os.replace(part / name, out / name)
            moved.append(out / name)
        done = True
    except OSError as error:
        raise InputError(f"{out} cannot be written ({one_line(error)}); is the disk full?") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if not done:
            with suppress(OSError):
                for path in moved:
                    path.unlink()
                for folder in made:  # the innermost first; one that others use by now is not empty, and stays
                    folder.rmdir()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


class TableWriter:
    """Writes one Parquet file piece by piece and digests its content.

    The digest is the SHA-256 over all cells, row by row, in the order of the columns: of each cell its length in
    bytes (8 bytes, little-endian), then the bytes; a whole number is 8 bytes, little-endian and signed, text is UTF-8,
    a vector is its numbers, 4 bytes each, little-endian.
    It does not depend on how Parquet stores the cells; the bytes of the file do, on the version of pyarrow.

    Args:
        path: The file.
        schema: Columns of the types binary, string, int64 or list of float32, without empty cells.
        metadata: Column roles and kinds, for the key `plait` of the file's metadata.
    """

    def __init__(self, path: Path, schema: pa.Schema, metadata: Mapping[str, Any]) -> None:
        told = schema.with_metadata({"plait": json.dumps(metadata)})
        names = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_integer(field.type)]
        self.path, self.schema = path, told
        self._digest = hashlib.sha256()
        self._writer = pq.ParquetWriter(path, told, compression="zstd", compression_level=3, use_dictionary=names)

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append rows: one sequence of cells per column."""
        cells = [columns[name] for name in self.schema.names]
        for row in zip(*cells, strict=True):
            for cell in row:
                data = _cell(cell)
                self._digest.update(len(data).to_bytes(8, "little"))
                self._digest.update(data)
        self._writer.write_table(pa.table(dict(zip(self.schema.names, cells, strict=True)), schema=self.schema))

    def close(self) -> str:
        """End the file; returns the digest of its content."""
        self._writer.close()
        return self._digest.hexdigest()


def _cell(cell: Any) -> bytes:
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, np.ndarray):
        return cell.astype("<f4").tobytes()
    return cell.encode() if isinstance(cell, str) else int(cell).to_bytes(8, "little", signed=True)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(
    folder: Path, manifest: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Write a benchmark's manifest with what was written of every split, and a checksum over the content of all."""
    together = "".join(f"{split['content_sha256']}\n" for split in splits.values())
    whole = {**manifest, "content_sha256": hashlib.sha256(together.encode()).hexdigest(), "splits": dict(splits)}
    write_json(folder / MANIFEST, whole)
    return whole
