"""The stage that splits rows, fits the tasks on training labels, and finds rows that stand in more than one part."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from plait.data.atomic import write_atomic
from plait.data.digest import combine
from plait.data.splits import PARTS, TEST, TRAIN, VALIDATION, Shares, codes_of, split_rows
from plait.exceptions import InputError
from plait.pipeline._base import Fit, Stage
from plait.pipeline.afford import affordable
from plait.tasks._base import Task
from plait.tasks.score import Labels
from plait.tasks.targets import balanced, encode_all, fit_tasks, strata


class SplitStage(Stage):
    """Parts of all rows (`splits.parquet`), and the tasks."""

    name = "split"
    after: ClassVar[tuple[str, ...]] = ()

    def inputs(self, fit: Fit) -> list[str]:
        """The seed, whether time is limited, and how classes weigh."""
        options = fit.options
        return [str(options.seed), str(options.limit), str(options.class_weights)]

    def files(self, fit: Fit) -> list[str]:
        """The table of parts."""
        return ["splits.parquet"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Draw what is not given, fit tasks on the training rows, look for identical rows."""
        codes = strata(fit.source.table, fit.source.schema.targets)
        parts = affordable(fit, self._parts(fit, codes), codes)
        counts = [int((parts == part).sum()) for part in range(3)]
        if counts[TRAIN] == 0 or counts[VALIDATION] == 0:
            raise InputError(
                f"{counts[TRAIN]} training and {counts[VALIDATION]} validation rows; each needs one at least: "
                "give more rows."
            )
        rows = np.flatnonzero(parts == TRAIN).astype(np.int64)
        tasks = fit_tasks(fit.source.table, fit.source.schema.targets, rows, fit.note, fit.source.types)
        if fit.options.class_weights == "balanced":
            tasks = tuple(balanced(task) for task in tasks)
        self._tell(fit, parts)
        self._write(fit, parts)
        return {"tasks": [task.model_dump() for task in tasks], "rows": counts}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Parts, tasks and labels for the later stages."""
        words = parquet.read_table(fit.run.path / "splits.parquet").column("part").to_pylist()
        parts = np.array([PARTS.index(word) if word in PARTS else -1 for word in words], np.int8)
        used = np.flatnonzero(parts >= 0).astype(np.int64)
        fit.source, fit.parts = fit.source.take(used), parts[used]
        fit.tasks = tuple(Task.model_validate(task) for task in result["tasks"])
        pairs = encode_all(fit.tasks, fit.source.table)
        fit.labels = Labels(
            {name: pair[0] for name, pair in pairs.items()},
            {name: pair[1] for name, pair in pairs.items()},
            _groups(fit),
        )
        fit.modalities = fit.source.schema.modalities

    def _parts(self, fit: Fit, codes: NDArray[np.int64]) -> NDArray[np.int8]:
        parts = fit.source.given.copy()
        free = np.flatnonzero(parts == -1)
        if len(free):
            shares = Shares(test=0.0 if (parts == TEST).any() else 0.15)
            groups = _groups(fit)
            parts[free] = split_rows(
                len(free),
                shares,
                fit.options.seed,
                codes[free],
                None if groups is None else groups[free],
            )
        return np.maximum(parts, np.int8(-1))

    def _tell(self, fit: Fit, parts: NDArray[np.int8]) -> None:
        if unused := int((fit.source.given == -2).sum()):
            fit.note(f"{unused} rows have an empty split cell and are not used.")
        rows, table = combine(list(fit.source.digests.values())), fit.source.table
        inputs = [table.column(column.name) for column in fit.source.schema.named("input")]
        filled = np.logical_or.reduce([column.is_valid().to_numpy() for column in inputs])  # nothing has no twins
        for part in (VALIDATION, TEST):
            twins = np.isin(rows[parts == part], rows[parts == TRAIN]) & filled[parts == part]
            if twins.any():
                fit.note(
                    f"{int(twins.sum())} of {len(twins)} {PARTS[part]} rows equal a training row in content: "
                    "figures on them flatter. Remove them, or keep twins together with --group."
                )
        twins = np.isin(rows[parts == TEST], rows[parts == VALIDATION])
        if twins.any():
            fit.note(f"{int(twins.sum())} of {len(twins)} test rows equal a validation row in content.")
        groups = _groups(fit)
        if groups is not None:
            shared = np.intersect1d(groups[parts == TRAIN], groups[(parts == VALIDATION) | (parts == TEST)])
            if len(shared):
                fit.note(
                    f"{len(shared)} groups stand in the training rows and in others as well: "
                    "the given split tears them apart."
                )

    def _write(self, fit: Fit, parts: NDArray[np.int8]) -> None:
        words = [PARTS[part] if part >= 0 else None for part in parts]
        data = pa.table(
            {
                "table": [PARTS[part] for part in fit.source.origin],
                "row": fit.source.numbers,
                "part": pa.array(words, pa.string()),
            }
        )
        sink = pa.BufferOutputStream()
        parquet.write_table(data, sink)
        write_atomic(fit.run.path / "splits.parquet", sink.getvalue().to_pybytes())


def _groups(fit: Fit) -> NDArray[np.int64] | None:
    group = fit.source.schema.group
    return codes_of(fit.source.table, group) if group and group in fit.source.table.columns else None
