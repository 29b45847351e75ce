"""Fits classical models on training rows, sharing among them what several need."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from plait.classical._base import FAMILIES, STACK, ClassicalSpec, Family, Judge, Shape
from plait.classical.choosing import worth_weighing
from plait.classical.features import columns_of, numbers_in, preparation, prepared
from plait.classical.model import decisions_of, head_outputs, matrix_of
from plait.data.readers._base import Features
from plait.data.splits import fold_rows
from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.classification import Multiclass
from plait.tasks.score import LOWER_IS_BETTER, Labels

FOLDS: Final = 5
FEWEST: Final = 200
"""Rows that no limit goes below: what costs too much with so few is left out."""

MOST_BYTES: Final = 1 << 30
"""Features of so many bytes are copied by one task at a time, fewer by several."""

STACKED_SECONDS: Final = 0.15
STACKED_ROWS: Final = 500
"""Boosting is stacked where a fold costs less, and rows are no fewer."""


@dataclass(frozen=True)
class Limits:
    """Seconds that one fit may cost, by `Family.cost`: what costs more is fitted on fewer rows.

    Attributes:
        single: An estimator that learns from all rows.
        fold: One of those that a stack fits again, without the rows of a fold.
    """

    single: float = math.inf
    fold: float = math.inf


UNLIMITED: Final = Limits()


class Fitting:
    """Models of one table.

    Args:
        features: By modality, [rows, n], of training rows.
        present: By modality, [rows] of bool.
        tasks: The tasks.
        labels: Targets of the same rows.
        seed: Decides folds, samples of rows, and what is random in a model.
        metric: What candidates are compared by; None for the default score.
        threads: How many tasks are fitted at once; results do not depend on it.
    """

    def __init__(
        self, features: Mapping[str, Features], present: Mapping[str, NDArray[np.bool_]], tasks: Sequence[Task],
        labels: Labels, seed: int, metric: str | None = None, threads: int = 1,
    ) -> None:  # fmt: skip
        self.metric, self.threads = metric, threads
        self.features, self.present, self.tasks, self.seed = features, present, tasks, seed
        self.labels = _known(tasks, labels)
        self._steps: dict[tuple[str, bool, bool], Any] = {}
        self._matrices: dict[tuple[tuple[str, ...], bool, bool], Features] = {}
        self._models: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        self._rare: dict[str, bool] = {}

    def costs(self, spec: ClassicalSpec) -> list[float]:
        """About how many seconds each of the spec's own fits takes with all rows; see `Family.cost`."""
        if spec.family != STACK:
            family = FAMILIES[spec.family]
            return [family.cost(shape) for shape in self._shapes(spec.modalities, family)]
        found = []
        for task in self.tasks:
            bases = [
                FAMILIES[name].cost(self._shape((modality,), task, FAMILIES[name]), again=True)
                for modality, name in self._bases(spec.modalities)
            ]
            decisions = Shape(len(self.labels), len(bases) * task.outputs, task.outputs)
            found += [*bases * FOLDS, FAMILIES["logistic"].cost(decisions)]
        return found

    def fit(self, spec: ClassicalSpec, limits: Limits = UNLIMITED) -> dict[str, Any] | None:
        """A model as `plait.classical.model` has them.

        Args:
            spec: What to fit.
            limits: What each fit may cost.

        Returns:
            None where it costs more even with few rows.
        """
        if spec.family == STACK:
            return self._stack(spec, limits)
        limit = limits.single
        key = (spec.family, spec.modalities)
        family = FAMILIES[spec.family]
        if key not in self._models:
            if any(self._affordable(family, shape, limit) is None for shape in self._shapes(spec.modalities, family)):
                return None
            matrix = self._matrix(spec.modalities, family)
            self._models[key] = {
                "family": spec.family,
                "steps": {name: self._step(name, family) for name in spec.modalities},
                "heads": self._by_task(lambda task: self._head(family, spec.modalities, matrix, task, limit)),
            }
        return self._models[key]

    def _head(
        self, family: Family, modalities: tuple[str, ...], matrix: Features, task: Task, limit: float
    ) -> Any:  # fmt: skip
        """One task's estimator; None for the constant predictor, where its labelled rows show no difference."""
        rows = self._drawn(family, modalities, task, limit)
        targets = self._targets(task)[rows]
        if len(rows) < 2 or len(np.unique(targets)) < 2:
            return None
        return family.fit(
            _learned(family, matrix, rows), targets, task.outputs, self.folds(task)[rows], self.seed,
            _weights(task, targets), self._judge(task), limit,
        )  # fmt: skip

    def _by_task(self, work: Callable[[Task], Any]) -> dict[str, Any]:
        """What some work gives of every task; several at once."""
        from joblib import Parallel, delayed
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        def alone(task: Task) -> Any:
            with threadpool_limits(1):  # OpenMP's threads are counted anew in every thread
                return work(task)

        size = 8 * sum(numbers_in(one) for one in self.features.values())
        threads = min(self.threads, len(self.tasks), max(1, MOST_BYTES // max(1, size)))
        with warnings.catch_warnings():  # outside of the threads: filters are the process's
            warnings.simplefilter("ignore", ConvergenceWarning)  # a linear model is judged as it is
            found = Parallel(threads, backend="threading")(map(delayed(alone), self.tasks))
        return {task.name: one for task, one in zip(self.tasks, found, strict=True)}

    def _stack(self, spec: ClassicalSpec, limits: Limits) -> dict[str, Any] | None:
        """Base models fitted on all training rows; above them, a linear one fitted on what they say of rows that
        they were not fitted on (Wolpert 1992). What depends on no label, like means, and the strength of
        regularisation are found once, by all rows."""
        bases: list[dict[str, Any]] = []
        for modality, name in self._bases(spec.modalities):
            family = FAMILIES[name]
            shapes = self._shapes((modality,), family)
            if any(self._affordable(family, shape, limits.fold, again=True) is None for shape in shapes):
                continue
            model = self.fit(ClassicalSpec(family=name, modalities=(modality,)), limits)
            if model is not None:
                bases.append({"modality": modality, "model": model})
        if len(bases) < 2:
            return None
        names = sorted({base["modality"] for base in bases})
        masks = np.stack([self.present[name] for name in names], axis=1)
        heads = self._by_task(lambda task: self._stack_head(bases, masks, task, limits.fold))
        return {
            "bases": bases, "steps": {name: steps for name, (steps, _) in heads.items()},
            "heads": {name: head for name, (_, head) in heads.items()},
        }  # fmt: skip

    def _stack_head(
        self, bases: Sequence[Mapping[str, Any]], masks: NDArray[np.bool_], task: Task, limit: float
    ) -> tuple[Any, Any]:
        """What a stack does of one task with what its base models say: preparation, and a linear model."""
        linear = FAMILIES["logistic"]
        told = [self._held_out(base["modality"], base["model"], task, limit) for base in bases]
        rows = np.flatnonzero(self.labels.labelled[task.name] & masks.any(axis=1))
        decisions, targets = decisions_of(task, told, masks)[rows], self._targets(task)[rows]
        if len(rows) < 2 or len(np.unique(targets)) < 2:
            return None, None
        steps = preparation(decisions, linear, self.seed)
        matrix = prepared(decisions, np.ones(len(rows), np.bool_), steps, linear)
        folds = self.folds(task)[rows]
        return steps, linear.fit(
            matrix, targets, task.outputs, folds, self.seed, _weights(task, targets), self._judge(task)
        )

    def _held_out(self, modality: str, model: Mapping[str, Any], task: Task, limit: float) -> NDArray[np.float64]:
        """Outputs [rows, outputs] of a base model on training rows, each by one that was fitted without its fold."""
        family, estimator = FAMILIES[model["family"]], model["heads"][task.name]
        matrix, present, folds = self._matrix((modality,), family), self.present[modality], self.folds(task)
        told = np.tile(np.asarray(task.prior, np.float64), (len(folds), 1))
        rows, targets = self._drawn(family, (modality,), task, limit, again=True), self._targets(task)
        for fold in range(FOLDS if estimator is not None else 0):
            inside, outside = np.flatnonzero(folds == fold), rows[folds[rows] != fold]
            if len(inside) and len(outside) > 1 and len(np.unique(targets[outside])) > 1:
                weights = _weights(task, targets[outside])
                learned = _learned(family, matrix, outside)
                again = family.again(estimator, Shape(len(outside), learned.shape[1], task.outputs), limit)
                fitted = again.fit(learned, targets[outside], sample_weight=weights)
                told[inside] = head_outputs(task, fitted, matrix[inside], present[inside], family)
        return told

    def _bases(self, modalities: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(Modality, family) of a stack's base models."""
        for modality in modalities:
            for name in FAMILIES:
                family = FAMILIES[name]
                shapes = self._shapes((modality,), family)
                cheap = all(s.rows >= STACKED_ROWS and family.cost(s, again=True) < STACKED_SECONDS for s in shapes)
                if name in ("logistic", "forest") or cheap:
                    yield modality, name

    def _drawn(
        self, family: Family, modalities: tuple[str, ...], task: Task, limit: float, again: bool = False
    ) -> NDArray[np.int64]:  # fmt: skip
        """Positions of the labelled rows, with any of the modalities, that an estimator is fitted on."""
        some = np.logical_or.reduce([self.present[name] for name in modalities])
        rows = np.flatnonzero(self.labels.labelled[task.name] & some)
        most = self._affordable(family, self._shape(modalities, task, family), limit, again) or FEWEST
        if most >= len(rows):
            return rows
        return np.sort(np.random.default_rng([self.seed, 0xC1A5]).permutation(rows)[:most])

    def _affordable(self, family: Family, shape: Shape, limit: float, again: bool = False) -> int | None:
        """How many rows a limit pays for; None where it does not pay for the fewest."""

        def cost(rows: int) -> float:
            return family.cost(replace(shape, rows=rows), again=again, least=True)

        rows = shape.rows
        while rows > FEWEST and cost(rows) > limit:
            rows = max(FEWEST, int(0.8 * rows))
        return rows if cost(rows) <= max(2 * limit, 0.05) else None

    def _shapes(self, modalities: Sequence[str], family: Family) -> list[Shape]:
        return [self._shape(modalities, task, family) for task in self.tasks]

    def _shape(self, modalities: Sequence[str], task: Task, family: Family) -> Shape:
        several = len(modalities) if len(modalities) > 1 else 0
        columns = columns_of([self.features[name] for name in modalities], family) + several
        rows = self.labels.labelled[task.name]
        if task.name not in self._rare:
            weighed = bool(task.class_weights)
            self._rare[task.name] = worth_weighing(self._targets(task)[rows], task.outputs, self._judge(task), weighed)
        return Shape(int(rows.sum()), columns, task.outputs, self._rare[task.name])

    def _step(self, modality: str, family: Family) -> Any:
        key = (modality, family.plain and not sparse.issparse(self.features[modality]), family.wide)
        if key not in self._steps:
            known = self.features[modality][np.flatnonzero(self.present[modality])]
            self._steps[key] = preparation(known, family, self.seed) if known.shape[0] else None
        return self._steps[key]

    def _matrix(self, modalities: tuple[str, ...], family: Family) -> Features:
        key = (modalities, family.plain, family.wide)
        if key not in self._matrices:
            steps = {name: self._step(name, family) for name in modalities}
            self._matrices[key] = matrix_of(steps, family, self.features, self.present)
        return self._matrices[key]

    def _judge(self, task: Task) -> Judge | None:
        """The metric of a task's class probabilities; None where it is a loss, or of something else."""
        kind, metric = TASK_KIND_REGISTRY[task.kind], self.metric
        if (
            metric is None
            or metric in LOWER_IS_BETTER
            or metric not in kind.metrics
            or not isinstance(kind, Multiclass)
        ):
            return None

        def judge(chances: NDArray[np.float64], truth: NDArray[np.int64]) -> float | None:
            once = np.ones((1, len(truth)))
            value = float(kind.measure_under(task, chances, truth.astype(np.float64), once, (metric,))[metric][0])
            return None if np.isnan(value) else value

        return judge

    def _targets(self, task: Task) -> NDArray[Any]:
        targets = self.labels.targets[task.name]
        return targets.astype(np.int64) if TASK_KIND_REGISTRY[task.kind].classification else targets.astype(np.float64)

    def folds(self, task: Task) -> NDArray[np.int64]:
        """Fold of every row, [rows]; groups stay together; without groups, classes are spread evenly."""
        rng = np.random.default_rng([self.seed, 0xF01D, 0xC1A5])
        classes = self.labels.targets[task.name] if TASK_KIND_REGISTRY[task.kind].classification else None
        return fold_rows(
            len(self.labels), FOLDS, rng, None if classes is None else classes.astype(np.int64), self.labels.groups
        )


def _known(tasks: Sequence[Task], labels: Labels) -> Labels:
    """The labels without those of classes that are none of the tasks' (-1): they would be taken for one more class.

    Rows have such labels where they judged when the tasks were fitted, and are learned from in their turn.
    """
    classes = [task.name for task in tasks if TASK_KIND_REGISTRY[task.kind].classification]
    known = {name: labels.labelled[name] & (labels.targets[name] >= 0) for name in classes}
    return replace(labels, labelled={**labels.labelled, **known})


def _weights(task: Task, targets: NDArray[Any]) -> NDArray[np.float64] | None:
    """How much each row counts, [rows], by its class; None where all count the same."""
    return np.asarray(task.class_weights, np.float64)[targets] if task.class_weights else None


def _learned(family: Family, matrix: Features, rows: NDArray[np.int64]) -> Features:
    """Rows to be fitted on. A column that is empty in all of them is 0 there: scikit-learn's histograms need a value,
    and no tree cuts a constant."""
    found = matrix[rows]
    return np.where(np.isnan(found).all(axis=0), 0.0, found) if family.plain else found
