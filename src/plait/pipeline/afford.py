"""How many rows a time limit can pay for: even the shortest limit must leave a run that predicts."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from plait.data.readers._base import READERS, Reader
from plait.data.readers.set import SetReader
from plait.data.readers.vector import VectorReader
from plait.data.splits import PARTS, TEST, TRAIN, VALIDATION
from plait.encoders._base import ENCODERS, default_encoder
from plait.pipeline._base import Fit

SAMPLE: Final = 32
PASSES: Final = 4
"""Forward passes over every row that are counted: the cached one, and validations between epochs."""

SHARE: Final = 0.4
"""Share of the time left that reading and encoding rows may take; the rest is for learning."""

JUDGED_SHARE: Final = 0.1
JUDGED: Final = 2e-4
"""Seconds that a validation or test row costs for every target when all candidates are compared; and what share of the
time left they may take together."""

FEWEST: Final = {TRAIN: 64, VALIDATION: 32, TEST: 32}


def affordable(fit: Fit, parts: NDArray[np.int8], classes: NDArray[np.int64]) -> NDArray[np.int8]:
    """Parts with no more rows than the time limit can pay for; rows left out get -1, and the user is told.

    Every part loses the same share of its rows, drawn from the seed; validation and test may lose more. Two
    training rows of every class are the last to go.

    Args:
        fit: The fit; its clock says how much time is left.
        parts: Parts of all rows, [rows].
        classes: Class codes of all rows, [rows], as a split is stratified by them.
    """
    used = int((parts >= 0).sum())
    if fit.options.limit is None or used <= sum(FEWEST.values()):
        return parts
    share = max(0.0, SHARE * fit.clock.left) / max(1e-9, _seconds_per_row(fit, parts) * used)
    judged = JUDGED * len(fit.source.schema.targets) * max(1, int((parts > TRAIN).sum()))
    shares = dict.fromkeys(FEWEST, min(share, max(0.0, JUDGED_SHARE * fit.clock.left) / judged)) | {TRAIN: share}
    if min(shares.values()) >= 1:
        return parts
    kept = parts.copy()
    rng = np.random.default_rng([fit.options.seed, 0xAFF0])
    for part, fewest in FEWEST.items():
        rows = rng.permutation(np.flatnonzero(parts == part))
        rows = _every_class_first(rows, classes) if part == TRAIN else rows
        kept[rows[max(fewest, int(shares[part] * len(rows))) :]] = -1
    told = ", ".join(f"{int((kept == p).sum()):,} of {int((parts == p).sum()):,} {PARTS[p]}" for p in FEWEST)
    fit.note(f"The time limit does not pay for all rows: {told} rows are used. A longer limit uses more.")
    return kept


def _every_class_first(rows: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows in their order, but for the first two of every class, which come before all others."""
    order = np.argsort(classes[rows], kind="stable")
    starts = np.unique(classes[rows][order], return_index=True)[1]
    first = np.zeros(len(rows), np.bool_)
    first[order[starts]] = True
    seconds = starts[np.diff(np.append(starts, len(rows))) > 1] + 1
    first[order[seconds]] = True
    return np.concatenate([rows[first], rows[~first]])


def _seconds_per_row(fit: Fit, parts: NDArray[np.int8]) -> float:
    """Measured time to decode a row of every modality, and to push it through the networks."""
    train = np.flatnonzero(parts == TRAIN)
    rows = train[np.linspace(0, len(train) - 1, min(SAMPLE, len(train))).astype(np.int64)]
    total = 0.0
    for modality in fit.source.schema.modalities:
        cells = fit.source.table.take(rows)
        cells = type(cells)(cells.data.select(list(modality.columns)), cells.name, cells.folder)
        columns = tuple(column for column in fit.source.schema.columns if column.name in modality.columns)
        reader = READERS[modality.kind].fit(cells, columns)
        started = time.monotonic()
        reading = reader.read(cells)
        decoded = time.monotonic()
        encoder = ENCODERS[default_encoder(reader)].build(_of_many_rows(reader)).eval()
        with torch.inference_mode():
            encoder(torch.from_numpy(reading.values))  # the first pass also sets the library up
            encoding = time.monotonic()
            encoder(torch.from_numpy(reading.values))
        total += (decoded - started) + PASSES * (time.monotonic() - encoding)
    return total / len(rows)


def _of_many_rows(reader: Reader) -> Reader:
    """The reader as if it had been fitted on many rows: of the few here, vectors would have few components."""
    if isinstance(reader, SetReader):
        return reader.model_copy(update={"item": _of_many_rows(reader.item)})
    return reader.model_copy(update={"rows": None}) if isinstance(reader, VectorReader) else reader
