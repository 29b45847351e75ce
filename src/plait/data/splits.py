"""Splits rows into train, validation and test: stratified, by group, or as given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plait.data.table import Table
from plait.exceptions import InputError

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
PARTS: Final = ("train", "validation", "test")

SPLIT_WORDS: Final = {
    "train": TRAIN, "training": TRAIN,
    "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "dev": VALIDATION,
    "test": TEST, "testing": TEST, "eval": TEST,
}  # fmt: skip


@dataclass(frozen=True)
class Shares:
    """Which share of the rows goes to validation and to test (together less than 1); the rest is for training."""

    validation: float = 0.15
    test: float = 0.15


def split_from_column(table: Table, name: str) -> NDArray[np.int8]:
    """Parts as a column names them; array [rows] of 0 (train), 1 (validation), 2 (test), and -1 where it is empty.

    Raises:
        InputError: A word that names no part.
    """
    words = [None if cell is None else str(cell).strip().lower() for cell in table.column(name).to_pylist()]
    unknown = sorted({word for word in words if word and word not in SPLIT_WORDS})
    if unknown:
        raise InputError(
            f"Column {name!r} (split) holds {', '.join(map(repr, unknown[:5]))}; "
            f"expected {', '.join(sorted(SPLIT_WORDS))}."
        )
    return np.array([SPLIT_WORDS[word] if word else -1 for word in words], np.int8)


def split_rows(
    rows: int,
    shares: Shares,
    seed: int,
    classes: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.int8]:
    """Draw a split.

    Args:
        rows: Number of rows.
        shares: Shares of validation and test (0 for none).
        seed: Same seed, same split.
        classes: Class codes [rows] to stratify by, -1 for rows without one; every class keeps its shares within one
            row, and one row in train. In a tiny table a part that would be empty takes a row from training.
        groups: Group codes [rows]; a group is never torn apart. Goes before `classes`.

    Returns:
        Parts [rows]: 0 (train), 1 (validation), 2 (test).

    Raises:
        InputError: Fewer groups than parts.
    """
    rng = np.random.default_rng([seed, 0x5B11])
    if groups is not None:
        return _split_groups(groups, shares, rng)
    if classes is None:
        classes = np.zeros(rows, np.int64)
    order = rng.permutation(rows)
    order = order[np.argsort(classes[order], kind="stable")]  # class after class, each in random order
    parts = np.zeros(rows, np.int8)
    parts[order] = _deal(np.unique(classes, return_counts=True)[1], shares)
    return parts


def _deal(counts: NDArray[np.int64], shares: Shares) -> NDArray[np.int8]:
    """Parts along rows sorted by class, from the classes' sizes."""
    wanted = [1 - shares.validation - shares.test, shares.validation, shares.test]
    dealt = _apportion(counts, wanted)
    for part in (VALIDATION, TEST):  # a part that is wanted gets a row, from the class that can best spare one
        if wanted[part] > 0 and dealt[:, part].sum() == 0 and dealt[:, TRAIN].max(initial=0) > 1:
            richest = dealt[:, TRAIN].argmax()
            dealt[richest, [TRAIN, part]] += [-1, 1]
    return np.repeat(np.tile(np.arange(3, dtype=np.int8), len(counts)), dealt.ravel())


def _apportion(counts: NDArray[np.int64], wanted: list[float]) -> NDArray[np.int64]:
    """Whole rows by class and part, [classes, 3]: each its share rounded down or up, and one of every class in train.

    The rows that rounding down leaves over go to the part that is furthest behind its share of all rows so far: so the
    whole keeps its shares as well. Own choice; a greedy form of controlled rounding.
    """
    due = counts[:, None] * np.array(wanted)
    dealt = np.floor(due + 1e-9).astype(np.int64)
    dealt[:, TRAIN] = np.maximum(dealt[:, TRAIN], np.minimum(counts, 1))
    left, may = (counts - dealt.sum(1)).tolist(), (due - dealt > 1e-9).tolist()
    behind = [0.0, 0.0, 0.0]
    for index, missing in enumerate((due - dealt).tolist()):
        behind = [before + more for before, more in zip(behind, missing, strict=True)]
        order = sorted((part for part in range(3) if may[index][part]), key=lambda part: -behind[part])
        for part in order[: left[index]]:
            dealt[index, part] += 1
            behind[part] -= 1
    return np.asarray(dealt)


def _split_groups(groups: NDArray[np.int64], shares: Shares, rng: np.random.Generator) -> NDArray[np.int8]:
    names, rows, counts = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = [1 - shares.validation - shares.test, shares.validation, shares.test]
    used = [part for part in range(3) if wanted[part] > 0]
    if len(names) < len(used):
        raise InputError(
            f"The group column has {len(names)} distinct value{'s' * (len(names) != 1)}; at least {len(used)} groups "
            f"are needed to split by group into {', '.join(PARTS[part] for part in used)}. "
            "Use another group column or none."
        )
    lacking = [share * len(groups) for share in wanted]
    empty = set(used)
    part_of = np.zeros(len(names), np.int8)
    for rank, index in enumerate(order := rng.permutation(len(names)).tolist()):
        open_parts = empty if len(order) - rank <= len(empty) else used
        part = max(open_parts, key=lambda part: (lacking[part], -part))
        part_of[index] = part
        lacking[part] -= int(counts[index])
        empty.discard(part)
    return np.asarray(part_of[rows])


def fold_rows(
    rows: int, folds: int, rng: np.random.Generator, classes: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:  # fmt: skip
    """Fold of every row, [rows] of 0..folds-1; all of one size but for a row, or for a group where there are groups.

    Args:
        rows: Number of rows.
        folds: How many.
        rng: Decides which.
        classes: Codes [rows] of classes, which are spread evenly.
        groups: Codes [rows] of groups, which stay together; goes before `classes`.
    """
    if groups is not None:
        names, codes = np.unique(groups, return_inverse=True)
        return np.asarray(rng.permutation(np.arange(len(names)) % folds)[codes])
    if classes is None:
        return rng.permutation(np.arange(rows) % folds)
    order = rng.permutation(rows)
    found = np.empty(rows, np.int64)
    found[order[np.argsort(classes[order], kind="stable")]] = np.arange(rows) % folds
    return found


def codes_of(table: Table, name: str) -> NDArray[np.int64]:
    """Distinct values of a column as codes in order of first appearance; empty cells get a code each, below -1."""
    column = table.column(name)
    if pa.types.is_string(column.type):
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, pa.string()), column)
    encoded = pc.dictionary_encode(column.combine_chunks())
    codes = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
    empty = np.flatnonzero(codes < 0)
    codes[empty] = -2 - np.arange(len(empty))
    return np.asarray(codes)
