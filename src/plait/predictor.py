"""The front door: `fit` a table, `load` a run, and ask the `Predictor`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from plait.data.batches import Rows
from plait.data.decode import CHUNK
from plait.data.infer import infer_schema
from plait.data.readers._base import Reader, load_reader
from plait.data.resolve import resolve_media
from plait.data.schema import Schema
from plait.data.splits import codes_of
from plait.data.table import Table, read_table, require_columns
from plait.encoders._base import ENCODERS
from plait.encoders.threads import contained, single_thread
from plait.exceptions import InputError, Problems, did_you_mean, listed
from plait.explain.robustness import sets_of, without
from plait.fusion.candidates import Candidate
from plait.pipeline.answers import answers_of, chances_of
from plait.pipeline.decode import list_bad_rows
from plait.pipeline.fit import run_fit
from plait.pipeline.narrator import Narrator
from plait.pipeline.options import BAD_ROWS, DEFAULT_STRATEGY, FitOptions
from plait.pipeline.refit import WEIGHTS, load_weights, place_of
from plait.pipeline.run import describe, leaderboard_rows, read_manifest
from plait.pipeline.wishes import wishes_of
from plait.tasks._base import TASK_KIND_REGISTRY, Task, by_target
from plait.tasks.intervals import with_intervals
from plait.tasks.score import Labels, measure_all
from plait.tasks.targets import encode_all
from plait.training.checkpoints import below, load_into
from plait.training.model import Bag, Model, UnimodalNetwork, ValuesOnly

LOG = logging.getLogger("plait")
BadRows = Literal["fail", "skip"]


def fit(
    table: Any,
    target: str | Sequence[str] = (),
    *,
    out: str | Path,
    validation: Any = None,
    test: Any = None,
    group: str | None = None,
    split_column: str | None = None,
    ignore: Sequence[str] = (),
    inputs: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    modalities: Mapping[str, Sequence[str]] | None = None,
    schema: Schema | str | Path | None = None,
    encoders: Mapping[str, str] | None = None,
    time_limit: float | None = None,
    trials: int | None = None,
    strategy: str = DEFAULT_STRATEGY,
    seed: int = 0,
    metric: str | None = None,
    bad_rows: BadRows = "fail",
    allow_outside: bool = False,
    resume: bool = False,
    workers: int | None = None,
    device: str = "auto",
    class_weights: str | None = None,
    folds: int | None = None,
    narrator: Narrator | None = None,
) -> Predictor:
    """Learn the targets of a table from all its other columns.

    Args:
        table: A path (CSV, TSV, JSON Lines, Parquet), a pandas or polars frame, an Arrow table, a data set, or a dict.
        target: Column or columns to learn; may be left out if the table's metadata names them.
        out: The run folder to write.
        validation: Table to choose by; without it, rows are carved out of `table`.
        test: Table that is read last, once. Without it, 15 % of `table`; with `validation` and without `test`, none.
        group: Column whose values a split must keep together.
        split_column: Column that holds train, validation or test for every row.
        ignore: Columns to leave out.
        inputs: If given, only these columns are inputs.
        kinds: Kinds by column, instead of the inferred ones.
        modalities: By name, columns of one kind that are one modality: several photos of one house are a set of images,
            whose order says nothing; numbers and categories are a table of their own.
        schema: An edited schema, or the path of one (`schema.json`), instead of target, ignore, inputs, kinds
            and modalities.
        encoders: By modality, where a trained encoder is to be had instead of learning one: `run:FOLDER` is that of a
            finished run, `run:FOLDER#NAME` where the modality is called NAME there. It stays as it is.
        time_limit: Seconds for the whole fit (default 600); may be passed by 10 % and 10 s.
        trials: Up to so many architectures by the strategy (a quarter of them by pruning), as many at random, and no
            clock nor limit: the same seed then gives the same result, bit for bit on one CPU machine.
        strategy: How architectures are searched for: greedy, progressive, genetic, similarity, exhaustive, random,
            or a sampler of Optuna like `optuna:tpe`.
        seed: Decides splits, weights, batches, bootstrap draws.
        metric: Compare candidates by this metric instead of 1 - loss / loss of the constant predictor.
        bad_rows: What to do with unreadable rows: refuse the table, or skip them.
        allow_outside: Whether media paths may lead out of their table's folder (of a frame: the working folder).
        resume: Go on with the run in `out`, if there is one.
        workers: Processes to decode and encode with, by default one per core; results do not depend on it.
        device: `auto`, `cpu` or `cuda`.
        class_weights: `balanced` lets every class weigh the same in the training loss, a row of a rare one the more:
            n / (classes * rows of the class), of the training rows. By default every row weighs the same.
        folds: Cross-validate in so many folds of the training and validation rows, which judge in turn what learned
            from the others; with 1, validation rows alone judge. By default 5 where fewer than 150 of these are drawn,
            else 1; with a given validation part always 1.
        narrator: Told what is being done; by default the log called `plait`, which prints notes on stderr.

    Returns:
        The predictor, loaded from the run folder.

    Raises:
        InputError: All mistakes of the call together.

    Example:
        >>> import tempfile, numpy as np, plait
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(60, 2))
        >>> table = {"a": x[:, 0], "b": x[:, 1], "label": np.where(x.sum(1) > 0, "up", "down").tolist()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     predictor = plait.fit(table, "label", out=folder + "/run", trials=1)
        ...     sorted(set(predictor.predict(table)["label"]))
        ['down', 'up']
    """
    wishes = wishes_of(target, group, split_column, ignore, inputs, kinds, modalities)
    options = FitOptions(
        table, validation, test, wishes, schema, time_limit, trials, strategy, seed, metric, bad_rows, allow_outside,
        workers, device, {} if encoders is None else encoders, class_weights, folds,
    )  # fmt: skip
    if not isinstance(out, str | PathLike):
        raise InputError(f"out is {out!r}; give the path of a folder.")
    run_fit(options, Path(out), resume, narrator)
    return load(out)


def schema(
    table: Any,
    target: str | Sequence[str] = (),
    *,
    group: str | None = None,
    split_column: str | None = None,
    ignore: Sequence[str] = (),
    inputs: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    modalities: Mapping[str, Sequence[str]] | None = None,
) -> Schema:
    """What `fit` would take the columns of a table for: role, kind and reason of each.

    Arguments as for `fit`, which takes the result as `schema`; `to_json()` writes it.

    Raises:
        InputError: All mistakes of the call together.

    Example:
        >>> import plait
        >>> found = plait.schema({"age": [31, 64], "label": ["a", "b"]}, "label")
        >>> [(column.name, column.role, column.kind) for column in found.columns]
        [('age', 'input', 'numeric'), ('label', 'target', 'binary')]
    """
    return infer_schema(read_table(table), wishes_of(target, group, split_column, ignore, inputs, kinds, modalities))


def load(run: str | Path) -> Predictor:
    """Load the predictor of a finished run.

    Raises:
        InputError: No run there, an unfinished, newer, damaged or altered one.
    """
    return Predictor(Path(run), read_manifest(run))


class Predictor:
    """Answers for new rows; a row's answer depends on that row alone.

    Args:
        run: The run folder.
        manifest: The content of its `plait.json`.

    Raises:
        InputError: The weights are missing, altered, or do not fit.
    """

    def __init__(self, run: Path, manifest: Mapping[str, Any]) -> None:
        self.run, self.manifest = run, manifest
        try:
            self.schema = Schema.model_validate(manifest["schema"])
            self.tasks = tuple(Task.model_validate(task) for task in manifest["tasks"])
            self.candidate = Candidate.model_validate(manifest["decision"])
            described = {entry["name"]: entry for entry in manifest["modalities"]}
            self.readers: dict[str, Reader] = {n: load_reader(described[n]["reader"]) for n in self.candidate.used}
            self.columns = {name: list(described[name]["columns"]) for name in self.readers}
            with contained():
                self.bag = self._bag(described)
                self.model = self.bag.first
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{run / 'plait.json'} is damaged ({error!r}); restore it, or fit again.") from error
        self._told = _other_version(run, manifest, self.candidate)
        self._unknown: set[str] = set()
        for sentence in self._told:
            LOG.warning(sentence)

    def _bag(self, described: Mapping[str, Any]) -> Bag:
        tensors = load_weights(self.run, self.manifest)
        models = range(int(self.manifest["weights"].get("models", 1)))
        return Bag([self._model(described, below(place_of(number), tensors)) for number in models])

    def _model(self, described: Mapping[str, Any], tensors: Mapping[str, Any]) -> Model:
        path = self.run / WEIGHTS
        networks = {
            name: UnimodalNetwork(ENCODERS[described[name]["encoder"]].build(self.readers[name]), self.tasks)
            if name in self.candidate.encoded
            else ValuesOnly()
            for name in self.candidate.used
        }
        for number, network in enumerate(networks.values()):
            load_into(network, below(f"network/{number}/", tensors), str(path))
        widths = {name: entry["widths"] for name, entry in described.items()}
        decision = self.candidate.build(widths, self.tasks, self.readers)
        load_into(decision, below("decision/", tensors), str(path))
        return Model(networks, decision, self.tasks).eval().requires_grad_(False)

    def predict(self, table: Any, *, bad_rows: BadRows = "fail", allow_outside: bool = False) -> pd.DataFrame:
        """Predictions, one row per row of the table, in order; one column per target, no input columns.

        A pandas frame's index is kept.

        Args:
            table: As for `fit`; target, group and ignored columns need not be there.
            bad_rows: `fail` refuses unreadable rows, `skip` leaves their predictions empty.
            allow_outside: Whether media paths may lead out of the table's folder.

        Raises:
            InputError: The table cannot be read, lacks an input column, or has unreadable rows.
        """
        return self.predict_both(table, bad_rows=bad_rows, allow_outside=allow_outside)[0]

    def predict_proba(self, table: Any, *, bad_rows: BadRows = "fail", allow_outside: bool = False) -> pd.DataFrame:
        """Class probabilities, 0 to 1: a column `<target>__<class>` per class, sorted or in their order; they sum to 1.

        Of a target of lists, a column `<target>__<label>` per label: how probably it applies, each for itself. Numeric
        targets have none and are left out. Arguments and errors are those of `predict`.
        """
        return self.predict_both(table, bad_rows=bad_rows, allow_outside=allow_outside)[1]

    def predict_both(
        self, table: Any, *, bad_rows: BadRows = "fail", allow_outside: bool = False
    ) -> tuple[pd.DataFrame, pd.DataFrame, dict[int, str]]:
        """(`predict`, `predict_proba`, reasons by unreadable row) from one pass over the table."""
        ((found,), bad) = self._outputs(self._read(table), bad_rows, allow_outside)
        found = {
            task.name: TASK_KIND_REGISTRY[task.kind].probabilities(torch.from_numpy(found[task.name])).numpy()
            for task in self.tasks
        }
        answers, chances = answers_of(self.tasks, found, bad), chances_of(self.tasks, found, bad)
        if isinstance(table, pd.DataFrame):
            answers, chances = answers.set_axis(table.index), chances.set_axis(table.index)
        return answers, chances, bad

    def evaluate(
        self, table: Any, *, bad_rows: BadRows = "fail", allow_outside: bool = False, drop: str | Sequence[str] = ()
    ) -> dict[str, Any]:
        """Metrics on a table with targets, and how sure they are.

        {"rows": rows, "tasks": {target: {"n": labelled rows, "metrics": {...}, "intervals": {...}}}}: an interval is
        [low, high], 95 %, from a bootstrap over the rows, or over the values of the group column that the fit had,
        where the table has it, too. Of a target of lists, "labels" has the metrics of each label. An undefined metric
        or interval is None. Arguments as for `predict`, and

        Args:
            table: As for `predict`, with the targets.
            bad_rows: As for `predict`.
            allow_outside: As for `predict`.
            drop: Modalities to go without, as if no row had them.

        Raises:
            InputError: As `predict`; a target column is missing, or there is no modality to drop of that name.
        """
        dropped = self._dropped(drop)
        read, labels = self._judged(table)
        ((found,), bad) = self._outputs(read, bad_rows, allow_outside, [dropped])
        known = labels.without(bad)
        told = measure_all(self.tasks, found, known)
        return {"rows": len(read), "tasks": with_intervals(self.tasks, found, known, told)}

    def robustness(
        self, table: Any, *, bad_rows: BadRows = "fail", allow_outside: bool = False
    ) -> dict[str, Any]:  # fmt: skip
        """Metrics where only some modalities are left: {"rows": rows, "sets": [{"present": [...], "tasks": {...}}]}.

        Every set of the modalities that the predictor reads, the largest first; of more than four, all, all but one,
        and each alone. Arguments and errors are those of `evaluate`.
        """
        read, labels = self._judged(table)
        sets = sets_of(self.candidate.used)
        dropped = [frozenset(self.candidate.used) - set(left) for left in sets]
        found, bad = self._outputs(read, bad_rows, allow_outside, dropped)
        known = labels.without(bad)
        told = [with_intervals(self.tasks, one, known, measure_all(self.tasks, one, known)) for one in found]
        sets_told = [{"present": list(left), "tasks": one} for left, one in zip(sets, told, strict=True)]
        return {"rows": len(read), "sets": sets_told}

    def _judged(self, table: Any) -> tuple[Table, Labels]:
        """A table with targets, and these."""
        read = self._read(table)
        require_columns(read, list(by_target(self.tasks)), "target; evaluate needs the targets")
        pairs = encode_all(self.tasks, read)
        for task in self.tasks:
            targets, labelled = pairs[task.name]
            if task.classes and labelled.any() and (targets[labelled] < 0).all():
                LOG.warning(f"No label of {task.name!r} in {read.name} is of a class that training rows had.")
        group = self.schema.group
        return read, Labels(
            {name: pair[0] for name, pair in pairs.items()},
            {name: pair[1] for name, pair in pairs.items()},
            codes_of(read, group) if group in read.columns else None,
        )

    def _dropped(self, drop: str | Sequence[str]) -> frozenset[str]:
        """Names of modalities to go without, checked."""
        names = [drop] if isinstance(drop, str) else list(drop)
        problems, known = Problems(), [modality.name for modality in self.schema.modalities]
        for name in names:
            if name not in known:
                problems.add(f"There is no modality {name!r} to drop; {did_you_mean(str(name), known)}.")
        problems.raise_if_any()
        return frozenset(names)

    @property
    def notes(self) -> list[str]:
        """What the fit had to tell, and what loading had."""
        return [*self.manifest["notes"], *self._told]

    def __repr__(self) -> str:
        targets = ", ".join(by_target(self.tasks))
        return f"<plait.Predictor of {targets} by {self.candidate.name}, run {self.run}>"

    def leaderboard(self) -> pd.DataFrame:
        """All candidates, best validation score first: name, kind, validation, test, seconds, chosen."""
        return pd.DataFrame(self.leaderboard_rows())

    def leaderboard_rows(self) -> list[dict[str, Any]]:
        """The leaderboard as plain data; a score that does not exist is None."""
        return leaderboard_rows(self.manifest)

    def show(self) -> dict[str, Any]:
        """What predicts: its architectures (none for one modality and for late rules), and the modalities it uses."""
        return describe(self.manifest)

    def _read(self, table: Any) -> Table:
        read = read_table(table)
        require_columns(read, [column.name for column in self.schema.named("input")], "input")
        known = {column.name for column in self.schema.columns} | self._unknown
        if extra := [name for name in read.columns if name not in known]:
            LOG.warning(f"{read.name} has columns that the fit did not know; they are not used: {listed(extra)}.")
            self._unknown.update(extra)
        return read

    def _outputs(
        self, table: Table, bad_rows: BadRows, allow_outside: bool, drops: Sequence[Collection[str]] = ((),)
    ) -> tuple[list[dict[str, NDArray[np.float32]]], dict[int, str]]:
        """Outputs by task, [rows, outputs], once for each set of modalities to go without; reasons by bad row."""
        if bad_rows not in BAD_ROWS:
            raise InputError(f"bad_rows is {bad_rows!r}; {did_you_mean(str(bad_rows), BAD_ROWS)}.")
        for name in frozenset.intersection(*map(frozenset, drops)):  # what nothing is asked of need not be readable
            table = table.emptied(self.columns.get(name, ()))
        resolved, bad = resolve_media(table, self._used_schema(), allow_outside)
        empty = {task.name: np.zeros((0, task.outputs), np.float32) for task in self.tasks}
        found: list[list[dict[str, NDArray[np.float32]]]] = [[empty] for _ in drops]
        with single_thread():
            for start, inputs, present, reasons in self._chunks(resolved):
                bad |= {start + row: reason for row, reason in reasons.items() if start + row not in bad}
                rows = Rows(inputs, present, index=np.arange(len(next(iter(present.values())))))
                for pieces, dropped in zip(found, drops, strict=True):
                    answers = self.bag.predict(without(rows, dropped))
                    pieces.append({name: values.numpy() for name, values in answers.items()})
        if bad and bad_rows == "fail":
            told = list_bad_rows(bad, np.arange(len(table)))
            raise InputError(
                f"{len(bad)} row{'s' * (len(bad) != 1)} of {table.name} cannot be read:\n{told}\n"
                "Mend them, or leave their answers empty by --bad-rows skip."
            )
        return [{n: np.concatenate([piece[n] for piece in pieces]) for n in empty} for pieces in found], bad

    def _used_schema(self) -> Schema:
        used = {column for columns in self.columns.values() for column in columns}
        unused = {c.name: "not read" for c in self.schema.named("input") if c.name not in used}
        return self.schema.without(unused)

    def _chunks(
        self, table: Table
    ) -> Iterator[tuple[int, dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]], dict[int, str]]]:
        for start in range(0, len(table), CHUNK):
            piece = replace(table, data=table.data.slice(start, CHUNK))
            inputs: dict[str, NDArray[Any]] = {}
            present: dict[str, NDArray[np.bool_]] = {}
            bad: dict[int, str] = {}
            for name, reader in self.readers.items():
                reading = reader.read(replace(piece, data=piece.data.select(self.columns[name])))
                inputs[name], present[name] = reading.values, reading.present
                bad |= {row: f"{name}: {reason}" for row, reason in reading.bad.items()}
            yield start, inputs, present, bad


def _other_version(run: Path, manifest: Mapping[str, Any], candidate: Candidate) -> list[str]:
    """A warning where a classical model was fitted by another scikit-learn than the one that is to ask it."""
    here, there = version("scikit-learn"), manifest.get("versions", {}).get("scikit-learn")
    if there == here or not any(one.classical for one in (candidate, *candidate.members)):
        return []
    return [
        f"The classical model in {run} was fitted with scikit-learn {there}, and {here} is installed: its answers may "
        "differ. Install that version, or fit again."
    ]
