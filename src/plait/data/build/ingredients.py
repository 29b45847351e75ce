"""Finds the files that a benchmark is made of, and takes them only if their arrays are the expected ones."""

from __future__ import annotations

import hashlib
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plait.exceptions import InputError, Problems

Arrays = Mapping[str, NDArray[Any]]

MAX_BYTES: Final = 256 * 2**20
"""How large a file may be, and how large what is packed in it."""

_DAMAGED = (
    OSError, ValueError, EOFError, ArithmeticError, MemoryError, SyntaxError, tokenize.TokenError, TypeError,
    LookupError, RecursionError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What NumPy and zipfile raise on a damaged file."""


@dataclass(frozen=True)
class Ingredient:
    """A file of arrays.

    Attributes:
        file: Its name, wherever it lies below the source folder.
        arrays: The arrays that are read; others in the file do not matter.
        sha256: What `content_digest` says of them.
        origin: Where the data come from, for messages.
    """

    file: str
    arrays: tuple[str, ...]
    sha256: str
    origin: str


def content_digest(arrays: Arrays) -> str:
    """The SHA-256 over arrays, in the order of their names.

    Of each: name, shape, type and values (little-endian, row by row), so that a file saved anew has the same digest.
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        plain = array.astype(array.dtype.newbyteorder("<"), copy=False)
        total.update(f"{name} {array.shape} {plain.dtype.str}\n".encode())
        total.update(plain.tobytes())
    return total.hexdigest()


def load_all(ingredients: Sequence[Ingredient], source: Path | None, problems: Problems) -> dict[str, Arrays]:
    """Arrays of the ingredients that are as expected, by file name; what is wrong with the others is noted.

    Args:
        ingredients: What is needed.
        source: Folder below which the files lie.
        problems: Where mistakes are noted.
    """
    names = [ingredient.file for ingredient in ingredients]
    if source is None:
        told = "; ".join(f"{ingredient.file} ({ingredient.origin})" for ingredient in ingredients)
        problems.add(f"--source is needed: give the folder below which these files lie, none is downloaded: {told}.")
        return {}
    if not os.path.isdir(source):
        state = "is not a folder" if os.path.exists(source) else "does not exist"
        problems.add(f"--source {source} {state}; give the folder below which {', '.join(names)} lie.")
        return {}
    places = _find(source, names)
    loaded: dict[str, Arrays] = {}
    for ingredient in ingredients:
        try:
            loaded[ingredient.file] = _first_right(ingredient, places[ingredient.file], source)
        except InputError as error:
            problems.collect(error)
    return loaded


def _find(source: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """Where files of these names lie below a folder, nearest first."""
    found: dict[str, list[Path]] = {name: [] for name in names}
    for folder, _, files in os.walk(source):
        for name in set(names).intersection(files):
            if os.path.isfile(path := Path(folder, name)):  # not a pipe
                found[name].append(path)
    return {name: sorted(paths, key=lambda path: (len(path.parts), path)) for name, paths in found.items()}


def _first_right(ingredient: Ingredient, places: Sequence[Path], source: Path) -> Arrays:
    """The arrays of the first file that is as expected; if there is none, the error about the first file."""
    first: InputError | None = None
    for path in places:
        try:
            return _load(ingredient, path)
        except InputError as error:
            first = first or error
    raise first or InputError(
        f"There is no {ingredient.file} below {source} ({ingredient.origin}); put it there, or give another --source."
    )


def _load(ingredient: Ingredient, path: Path) -> Arrays:
    arrays = _read(ingredient, path)
    found = content_digest(arrays)
    if found != ingredient.sha256:
        raise InputError(
            f"{path} holds other data than expected: the sha256 of its arrays {', '.join(ingredient.arrays)} is "
            f"{found}, expected was {ingredient.sha256} ({ingredient.origin}). Replace the file by that one."
        )
    return arrays


def _read(ingredient: Ingredient, path: Path) -> Arrays:
    """The arrays of an .npz file, bounded in size; nothing in it is ever run."""
    again = f"Get it again ({ingredient.origin})."
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if max(size, path.stat().st_size) > MAX_BYTES:
            raise InputError(f"{path} holds {size:,} bytes; at most {MAX_BYTES:,} are read. {again}")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ingredient.arrays if name not in file.files]
            if missing:
                raise InputError(f"{path} lacks the arrays {', '.join(missing)}. {again}")
            return {name: file[name] for name in ingredient.arrays}
    except _DAMAGED as error:
        raise InputError(f"{path} cannot be read as .npz ({_told(error)}); is it cut off? {again}") from error


def _told(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
