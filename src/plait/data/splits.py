"""Splits rows into train, validation and test: stratified, by group, or as given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
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
    """Which share of the rows goes to validation and to test; the rest is for training."""

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
    rows: int, shares: Shares, seed: int, classes: NDArray[np.int64] | None = None, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int8]:
    """Draw a split.

    Args:
        rows: Number of rows.
        shares: Shares of validation and test (0 for none).
        seed: Same seed, same split.
        classes: Class codes [rows] to stratify by, -1 for rows without one; every class keeps its shares as nearly as
            whole rows allow, and one row in train as long as it has any.
        groups: Group codes [rows]; a group is never torn apart. Goes before `classes`.

    Returns:
        Parts [rows]: 0 (train), 1 (validation), 2 (test).

    Raises:
        InputError: Fewer groups than parts.
    """
    rng = np.random.default_rng([seed, 0x5B11])
    if groups is not None:
        return _split_groups(groups, shares, rng)
    parts = np.zeros(rows, np.int8)
    if classes is None:
        classes = np.zeros(rows, np.int64)
    order = rng.permutation(rows)
    order = order[np.argsort(classes[order], kind="stable")]
    # Walking class after class and dealing parts out evenly keeps every class's share and the whole's share at once.
    parts[order] = _deal(classes[order], shares)
    return parts


def _deal(classes: NDArray[np.int64], shares: Shares) -> NDArray[np.int8]:
    """Parts along rows sorted by class: the running count of each part follows its share."""
    position = np.arange(1, len(classes) + 1)
    parts = np.zeros(len(classes), np.int8)
    due_test = np.floor(position * shares.test + 0.5)
    due_validation = np.floor(position * (shares.test + shares.validation) + 0.5) - due_test
    parts[np.diff(due_test, prepend=0) > 0] = TEST
    parts[(np.diff(due_validation, prepend=0) > 0) & (parts == TRAIN)] = VALIDATION
    first = np.r_[True, classes[1:] != classes[:-1]]
    swaps = np.flatnonzero(first & (parts != TRAIN))  # the first row of every class is for training
    for row in swaps:
        same = np.flatnonzero((classes == classes[row]) & (parts == TRAIN))
        if len(same):
            parts[[row, same[0]]] = parts[[same[0], row]]
        else:
            parts[row] = TRAIN
    for part, share in ((VALIDATION, shares.validation), (TEST, shares.test)):
        if share > 0 and not (parts == part).any() and (parts == TRAIN).sum() > 1:
            parts[np.flatnonzero(parts == TRAIN)[-1]] = part
    return parts


def _split_groups(groups: NDArray[np.int64], shares: Shares, rng: np.random.Generator) -> NDArray[np.int8]:
    names, counts = np.unique(groups, return_counts=True)
    wanted = [1 - shares.validation - shares.test, shares.validation, shares.test]
    used = [part for part in range(3) if wanted[part] > 0]
    if len(names) < len(used):
        raise InputError(
            f"The group column has {len(names)} distinct value{'s' * (len(names) != 1)}; at least {len(used)} groups are "
            f"needed to split by group into {', '.join(PARTS[part] for part in used)}. Use another group column or none."
        )
    filled = np.zeros(3)
    part_of = {}
    order = rng.permutation(len(names))
    for rank, index in enumerate(order):
        empty = [part for part in used if filled[part] == 0]
        open_parts = empty if len(order) - rank <= len(empty) else used
        lacking = [(wanted[part] * len(groups) - filled[part], -part) for part in open_parts]
        part = -max(lacking)[1]
        part_of[names[index]] = part
        filled[part] += counts[index]
    return np.array([part_of[group] for group in groups], np.int8)


def codes_of(table: Table, name: str) -> NDArray[np.int64]:
    """Distinct values of a column as codes in order of first appearance; empty cells get a code each, below -1."""
    encoded = pc.dictionary_encode(table.column(name).combine_chunks())
    codes = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
    empty = np.flatnonzero(codes < 0)
    codes[empty] = -2 - np.arange(len(empty))
    return np.asarray(codes)
