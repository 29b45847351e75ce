"""Every registered family, and the stack of them, keeps the contract of classical models."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from made_classical import FLAG, KIND, SIZE, TASKS, fitting_of, made
from scipy import sparse

from plait.classical import FAMILIES, ClassicalSpec
from plait.classical._base import Shape
from plait.classical.fitting import FEWEST, FOLDS, Limits
from plait.classical.model import outputs_of
from plait.classical.storage import dumps
from plait.tasks.score import Labels, score

EVERY = [*FAMILIES, "stack"]
READ = [("numbers",), ("words",), ("numbers", "words")]


def model_of(family: str, modalities: tuple[str, ...] = ("numbers", "words"), **options):
    return fitting_of(**options).fit(ClassicalSpec(family=family, modalities=modalities))


def some_rows(part, rows):
    return {name: values[rows] for name, values in part.items()}


def test_every_family_is_tried() -> None:
    assert len(FAMILIES) >= 3


@pytest.mark.parametrize("modalities", READ, ids="+".join)
@pytest.mark.parametrize("family", EVERY)
def test_it_learns_every_kind_of_task(family: str, modalities: tuple[str, ...]) -> None:
    model = model_of(family, modalities)
    features, present, labels = made(seed=1)
    told = outputs_of(model, features, present, TASKS)
    for task in TASKS:
        assert told[task.name].shape == (120, task.outputs)
        assert np.isfinite(told[task.name]).all()
        rows = labels.labelled[task.name] & np.logical_or.reduce([present[name] for name in modalities])
        seen = Labels({task.name: labels.targets[task.name]}, {task.name: rows})
        assert (score((task,), told, seen) or 0) > 0.15, task.name
    chances = np.exp(told["kind"])
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-9)
    assert (chances > 0).all(), "a class that no training row has is improbable, not impossible"
    there = np.logical_or.reduce([present[name] for name in modalities])
    assert (chances[there, 3] < 0.02).all()


@pytest.mark.parametrize("family", EVERY)
def test_a_row_is_answered_alone_as_among_others(family: str) -> None:
    model, (features, present, _) = model_of(family), made(seed=1)
    together = outputs_of(model, features, present, TASKS)
    for row in range(0, 120, 17):
        alone = outputs_of(model, some_rows(features, [row]), some_rows(present, [row]), TASKS)
        for task in TASKS:
            np.testing.assert_allclose(alone[task.name][0], together[task.name][row], atol=1e-12)


@pytest.mark.parametrize("family", EVERY)
def test_what_stands_in_an_absent_place_does_not_matter(family: str) -> None:
    """In rows that are asked about and in rows that are learned from; without anything, the constant predictor."""
    model, (features, present, _) = model_of(family), made(seed=1)
    rng = np.random.default_rng(9)
    noise = {"numbers": features["numbers"].copy(), "words": features["words"].toarray()}
    for name, values in noise.items():
        values[~present[name]] = 1e6 * rng.normal(size=values.shape)[~present[name]]
    noise["words"] = sparse.csr_array(np.abs(noise["words"]))
    before, after = (outputs_of(model, one, present, TASKS) for one in (features, noise))
    nothing = ~present["numbers"] & ~present["words"]
    assert nothing.any()
    for task in TASKS:
        np.testing.assert_array_equal(before[task.name], after[task.name])
        np.testing.assert_allclose(before[task.name][nothing], np.tile(task.prior, (nothing.sum(), 1)))
    fitting = fitting_of(seed=1)
    spec = ClassicalSpec(family=family, modalities=("numbers", "words"))
    clean = outputs_of(fitting.fit(spec), features, present, TASKS)
    fitting = fitting_of(seed=1)
    fitting.features = noise
    spoilt = outputs_of(fitting.fit(spec), features, present, TASKS)
    for task in TASKS:
        np.testing.assert_array_equal(clean[task.name], spoilt[task.name])


@pytest.mark.parametrize("family", EVERY)
def test_labels_that_are_missing_do_not_matter(family: str) -> None:
    told = []
    for filler in (0, 1):
        fitting = fitting_of(groups=True)  # folds by group: otherwise they are spread evenly over classes
        targets = {name: values.copy() for name, values in fitting.labels.targets.items()}
        for name in targets:
            targets[name][~fitting.labels.labelled[name]] = filler
        fitting.labels = dataclasses.replace(fitting.labels, targets=targets)
        model = fitting.fit(ClassicalSpec(family=family, modalities=("numbers", "words")))
        told.append(outputs_of(model, *made(seed=1)[:2], TASKS))
    for task in TASKS:
        np.testing.assert_array_equal(told[0][task.name], told[1][task.name])


@pytest.mark.parametrize("family", EVERY)
def test_a_single_class_among_the_labelled_rows_is_the_constant_predictor(family: str) -> None:
    fitting = fitting_of()
    labelled = fitting.labels.labelled | {
        "kind": fitting.labels.labelled["kind"] & (fitting.labels.targets["kind"] == 1)
    }
    labelled["size"] = np.zeros(120, np.bool_)
    fitting.labels = dataclasses.replace(fitting.labels, labelled=labelled)
    model = fitting.fit(ClassicalSpec(family=family, modalities=("numbers", "words")))
    told = outputs_of(model, *made(seed=1)[:2], TASKS)
    np.testing.assert_allclose(told["kind"], np.tile(KIND.prior, (120, 1)))
    np.testing.assert_allclose(told["size"], 0)
    assert np.ptp(told["flag"]) > 0


@pytest.mark.parametrize("family", EVERY)
def test_same_seed_same_model(family: str) -> None:
    told = [outputs_of(model_of(family, seed=seed), *made(seed=1)[:2], TASKS) for seed in (3, 3, 4)]
    for task in TASKS:
        np.testing.assert_array_equal(told[0][task.name], told[1][task.name])
    assert any((told[0][task.name] != told[2][task.name]).any() for task in TASKS)


def test_folds_keep_groups_together_and_spread_classes() -> None:
    fitting = fitting_of(groups=True)
    folds = fitting.folds(KIND)
    assert all(len(set(folds[fitting.labels.groups == group])) == 1 for group in set(fitting.labels.groups))
    fitting = fitting_of()
    counts = [np.bincount(fitting.folds(FLAG)[fitting.labels.targets["flag"] == one]) for one in (0, 1)]
    assert all(len(one) == FOLDS and np.ptp(one) <= 1 for one in counts)


def test_a_stack_is_fitted_on_what_base_models_say_of_rows_they_did_not_see() -> None:
    """Labels that are pure chance: a forest knows those of its own rows by heart, the stack must not believe it."""
    fitting = fitting_of(rows=200, tasks=(FLAG,))
    rng = np.random.default_rng(77)
    chance = rng.integers(0, 2, 200).astype(np.float32)
    fitting.labels = Labels({"flag": chance}, {"flag": np.ones(200, np.bool_)})
    forest = fitting.fit(ClassicalSpec(family="forest", modalities=("numbers",)))
    known = np.exp(outputs_of(forest, fitting.features, fitting.present, (FLAG,))["flag"])
    there = fitting.present["numbers"]
    assert known[there, chance[there].astype(int)].mean() > 0.65
    held = np.exp(fitting._held_out("numbers", forest, FLAG, math.inf))
    assert held[there, chance[there].astype(int)].mean() < 0.55


@pytest.mark.parametrize("family", FAMILIES)
def test_a_limit_draws_rows_by_counts_alone(family: str) -> None:
    assert FAMILIES[family].cost(Shape(10_000, 50, 3)) > FAMILIES[family].cost(Shape(1_000, 50, 3))
    assert FAMILIES[family].cost(Shape(10_000, 50, 3)) > FAMILIES[family].cost(Shape(10_000, 50, 3), again=True) / 2
    fitting = fitting_of(rows=2_000, tasks=(SIZE,))
    spec = ClassicalSpec(family=family, modalities=("numbers",))
    (whole,) = fitting.costs(spec)
    limit = FAMILIES[family].cost(Shape(600, 4, 1))
    assert limit < whole
    drawn = fitting._drawn(FAMILIES[family], ("numbers",), SIZE, limit, again=True)
    assert FEWEST <= len(drawn) <= 2_000
    assert FEWEST <= len(fitting._drawn(FAMILIES[family], ("numbers",), SIZE, limit)) < 2_000
    assert fitting.fit(spec, Limits(limit)) is not None
    assert fitting_of(rows=2_000).fit(spec, Limits(0.0)) is None or FAMILIES[family].cost(Shape(FEWEST, 4, 4)) <= 0.05


def test_a_limit_costs_a_forest_trees_before_rows() -> None:
    fitting, spec = fitting_of(rows=2_000, tasks=(SIZE,)), ClassicalSpec(family="forest", modalities=("numbers",))
    trees = len(fitting.fit(spec)["heads"]["size"].estimators_)
    half = FAMILIES["forest"].cost(Shape(2_000, 4, 1), again=True) / 2
    few = fitting_of(rows=2_000, tasks=(SIZE,)).fit(spec, Limits(half))["heads"]["size"]
    assert 0.4 * trees < len(few.estimators_) < 0.7 * trees
    assert len(fitting._drawn(FAMILIES["forest"], ("numbers",), SIZE, half)) == len(
        fitting._drawn(FAMILIES["forest"], ("numbers",), SIZE, math.inf)
    )


@pytest.mark.parametrize("family", EVERY)
def test_several_threads_learn_the_same(family: str) -> None:
    one, several = fitting_of(rows=300), fitting_of(rows=300)
    several.threads = 3
    spec = ClassicalSpec(family=family, modalities=("numbers", "words"))
    assert dumps(one.fit(spec)) == dumps(several.fit(spec))


def test_a_limit_costs_boosting_rounds_before_rows() -> None:
    fitting, spec = fitting_of(rows=2_000, tasks=(SIZE,)), ClassicalSpec(family="boosting", modalities=("numbers",))
    (whole,) = fitting.costs(spec)
    full = fitting.fit(spec)["heads"]["size"]
    few = fitting_of(rows=2_000, tasks=(SIZE,)).fit(spec, Limits(whole / 2))["heads"]["size"]
    assert (full.max_iter, full.learning_rate) == (100, 0.1)
    assert 45 <= few.max_iter <= 65
    assert few.learning_rate == pytest.approx(10 / few.max_iter)
    again = FAMILIES["boosting"].again(full, Shape(2_000, 4, 1), whole / 1_000)
    assert (again.max_iter, again.learning_rate) == (25, 0.3)


def test_copies_of_a_forest_have_the_trees_that_their_limit_pays_for() -> None:
    family, fitting = FAMILIES["forest"], fitting_of(rows=2_000, tasks=(SIZE,))
    forest = fitting.fit(ClassicalSpec(family="forest", modalities=("numbers",)))["heads"]["size"]
    shape = Shape(1_000, 4, 1)
    whole = family.cost(shape, again=True)
    counts = [family.again(forest, shape, whole * share).n_estimators for share in (1.0, 0.5, 0.001)]
    assert counts == [200, 100, 50]
    assert len(forest.estimators_) == 200


def test_a_stack_leaves_out_what_no_few_rows_make_cheap_enough() -> None:
    spec = ClassicalSpec(family="stack", modalities=("numbers", "words"))
    for limits, left in ((Limits(), {"logistic", "forest"}), (Limits(fold=0.0), {"logistic"})):
        stack = fitting_of(rows=2_000, tasks=(SIZE,)).fit(spec, limits)
        assert {base["model"]["family"] for base in stack["bases"]} == left
