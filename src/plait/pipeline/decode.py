"""The stage that fits readers on training rows and decodes every row of every modality once."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plait.data.decode import Decoded, decode
from plait.data.readers._base import READERS, Reader, load_reader
from plait.data.schema import Modality
from plait.data.splits import PARTS, TRAIN, VALIDATION
from plait.data.table import Table
from plait.exceptions import InputError
from plait.pipeline._base import Fit, Stage

SHOWN = 20


class DecodeStage(Stage):
    """Readers, decoded arrays (in the cache), and the rows that could not be read."""

    name = "decode"
    after: ClassVar[tuple[str, ...]] = ("split",)

    def inputs(self, fit: Fit) -> list[str]:
        """What to do with bad rows, and the readers of given encoders."""
        given = [f"{name}: {one.reader.model_dump_json()}" for name, one in sorted(fit.given.items())]
        return [fit.options.bad_rows, *given]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Fit the readers, read every row; refuse or skip bad rows."""
        fit.readers = {m.name: self._reader(fit, m) for m in fit.source.schema.modalities}
        fit.decoded = self._decode(fit)
        bad = dict(fit.source.bad)
        for name, decoded in fit.decoded.items():
            if not _is_learned(decoded, fit.train):
                continue  # nobody reads a modality that no training row has
            for row, reason in decoded.bad.items():
                bad[row] = f"{bad[row]}; {name}: {reason}" if row in bad else f"{name}: {reason}"
        self._refuse_or_tell(fit, bad)
        self._check(fit, bad)
        return {
            "readers": {name: reader.model_dump() for name, reader in fit.readers.items()},
            "bad": {str(row): reason for row, reason in sorted(bad.items())},
        }

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Readers, arrays, and parts without the bad rows; a modality that no training row has is left out."""
        fit.readers = {name: load_reader(state) for name, state in result["readers"].items()}
        fit.decoded = fit.decoded or self._decode(fit)
        fit.parts[[int(row) for row in result["bad"]]] = -1
        kept = []
        for modality in fit.source.schema.modalities:
            if _is_learned(fit.decoded[modality.name], fit.train):
                kept.append(modality)
            else:
                fit.note(f"Modality {modality.name!r} is absent in every training row: it is left out.")
        fit.modalities = tuple(kept)

    def _reader(self, fit: Fit, modality: Modality) -> Reader:
        """The reader that a given encoder was trained with, or one fitted on the training rows."""
        if modality.name in fit.given:
            return fit.given[modality.name].reader
        schema = fit.source.schema
        columns = tuple(column for column in schema.columns if column.name in modality.columns)
        return READERS[modality.kind].fit(_cells(fit, modality).take(fit.train), columns)

    def _decode(self, fit: Fit) -> dict[str, Decoded]:
        found = {}
        for modality in fit.source.schema.modalities:
            cells = _cells(fit, modality)
            fit.narrator.begin(f"Decoding {modality.name}", len(cells))
            found[modality.name] = decode(
                fit.readers[modality.name], cells, fit.source.digests[modality.name], fit.cache,
                fit.options.processes, fit.narrator.advance,
            )  # fmt: skip
            fit.narrator.end()
        return found

    def _refuse_or_tell(self, fit: Fit, bad: dict[int, str]) -> None:
        if not bad:
            return
        told = list_bad_rows(bad, fit.source.numbers, fit.source.origin)
        if fit.options.bad_rows == "fail":
            raise InputError(
                f"{len(bad)} row{'s' * (len(bad) != 1)} cannot be read:\n{told}\n"
                "Mend them, or go on without them by --bad-rows skip."
            )
        fit.note(f"{len(bad)} row{'s' * (len(bad) != 1)} cannot be read and are skipped:\n{told}")

    def _check(self, fit: Fit, bad: dict[int, str]) -> None:
        """Refuse a fit without a row that can be read to learn from, or to choose by."""
        read = np.delete(fit.parts, list(bad))
        for part in (TRAIN, VALIDATION):
            if not (read == part).any():
                count = int((fit.parts == part).sum())
                raise InputError(f"None of the {count:,} {PARTS[part]} rows can be read: mend them, or give others.")
        train = np.setdiff1d(fit.train, list(bad))
        if not any(decoded.present[train].any() for decoded in fit.decoded.values()):
            raise InputError("Every input cell of the training rows is empty: there is nothing to learn from.")


def _is_learned(decoded: Decoded, train: NDArray[np.int64]) -> bool:
    """Whether any training row has, or should have, the modality."""
    return bool(decoded.present[train].any() or np.isin(list(decoded.bad), train).any())


def _cells(fit: Fit, modality: Modality) -> Table:
    table = fit.source.table
    return Table(table.data.select(list(modality.columns)), table.name, table.folder)


def list_bad_rows(bad: dict[int, str], numbers: NDArray[np.int64], origin: NDArray[np.int8] | None = None) -> str:
    """Bad rows one a line, the first 20, with the row's number (from 1, the header not counted) in its own table."""
    lines = []
    for row in sorted(bad)[:SHOWN]:
        table = "" if origin is None or origin[row] == 0 else f" of the {PARTS[origin[row]]} table"
        lines.append(f"  row {numbers[row] + 1}{table}: {bad[row]}")
    return "\n".join(lines) + (f"\n  ... and {len(bad) - SHOWN} more" if len(bad) > SHOWN else "")
