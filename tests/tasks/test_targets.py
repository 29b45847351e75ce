"""Fitting tasks on training labels, and encoding target columns."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
import torch

from plait.data.infer import Wishes, infer_schema
from plait.data.schema import Column
from plait.data.splits import TRAIN, Shares, split_rows
from plait.data.table import Table, concat
from plait.exceptions import InputError
from plait.tasks import TASK_KIND_REGISTRY, Task
from plait.tasks._base import row_weights
from plait.tasks.targets import MAX_CLASSES, balanced, check_classes, distinct_labels, encode_targets, fit_tasks, strata


def table_of(**columns) -> Table:
    return Table(pa.table({name: pa.chunked_array([pa.array(cells)]) for name, cells in columns.items()}))


def target(name: str, kind: str) -> tuple[Column, ...]:
    return (Column(name=name, role="target", kind=kind),)


def fitted(cells, kind: str, train=None) -> Task:
    rows = np.arange(len(cells)) if train is None else np.array(train)
    return fit_tasks(table_of(y=cells), target("y", kind), rows)[0]


def test_classes_and_their_frequencies() -> None:
    task = fitted(["b", "a", None, "b", " b ", ""], "binary")
    assert task.classes == ("a", "b")
    assert np.exp(task.prior) == pytest.approx([0.25, 0.75])
    assert task.outputs == 2
    assert task.labels == ["a", "b"]


def test_numbers_as_classes_are_sorted_as_numbers() -> None:
    task = fitted([10, 9, 10, 2, 9, 2], "multiclass")
    assert task.labels == [2, 9, 10]
    halves = fitted([0.5, 10.0, 2.0], "multiclass")
    assert halves.labels == [0.5, 2.0, 10.0]
    assert all(isinstance(label, float) for label in halves.labels)
    assert fitted([True, False, None], "binary").labels == [False, True]


def test_only_training_rows_are_looked_at() -> None:
    task = fitted(["a", "b", "a", "zebra"], "multiclass", train=[0, 1, 2])
    assert task.classes == ("a", "b")
    codes, labelled = encode_targets(task, table_of(y=["b", "zebra", None, "a"]))
    assert codes.tolist() == [1, -1, 0, 0]
    assert labelled.tolist() == [True, True, False, True]
    assert codes.dtype == np.float32
    number = fitted([1.0, 3.0, 500.0], "regression", train=[0, 1])
    assert (number.mean, number.scale) == (2.0, 1.0)


def test_a_label_is_the_same_whatever_its_type() -> None:
    names, codes = distinct_labels(table_of(y=[3.0, 2.5, float("nan"), None]).column("y"))
    assert (names, codes.tolist()) == (["2.5", "3"], [1, 0, -1, -1])
    names, codes = distinct_labels(pa.chunked_array([pa.nulls(2)]))
    assert (names, codes.tolist()) == ([], [-1, -1])
    task = fitted([3, 4, 3], "binary")
    for cells in ([3, 4], [3.0, 4.0], ["3", " 4"]):
        assert encode_targets(task, table_of(y=cells))[0].tolist() == [0, 1]


def test_numbers_are_standardised_by_the_population_deviation() -> None:
    cells = [1.0, None, 2.0, 6.0, float("nan")]
    task = fitted(cells, "regression")
    values = np.array([1.0, 2.0, 6.0])
    assert task.mean == pytest.approx(values.mean())
    assert task.scale == pytest.approx(values.std())
    assert task.prior == (0.0,)
    targets, labelled = encode_targets(task, table_of(y=cells))
    assert labelled.tolist() == [True, False, True, True, False]
    np.testing.assert_allclose(targets[labelled], (values - values.mean()) / values.std(), rtol=1e-6)
    assert (targets[~labelled] == 0).all()
    kind = TASK_KIND_REGISTRY["regression"]
    np.testing.assert_allclose(kind.answers(task, targets[labelled][:, None].astype(float)), values, rtol=1e-6)


def test_small_and_large_numbers_survive_standardising() -> None:
    for scale in (1e-12, 1e12):
        values = np.array([1.0, 2.0, 4.0]) * scale
        task = fitted(list(values), "regression")
        targets, _ = encode_targets(task, table_of(y=list(values)))
        assert targets.std() == pytest.approx(1, rel=1e-5)


def test_tasks_survive_json() -> None:
    task = fitted(["b", "a", "b"], "binary")
    assert Task.model_validate_json(task.model_dump_json()) == task
    with pytest.raises(ValueError, match="frozen"):
        task.name = "other"


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        ([None, None], "binary", r"Target 'y' has no label in any training row; at least two classes are needed\."),
        (
            ["a", "a", None],
            "binary",
            r"Target 'y' has one class only, 'a', in the 3 training rows: there is",
        ),
        (["a", "b", "c"], "binary", r"Target 'y' has 3 classes, not two: use --kind y=multiclass\."),
        ([None, None], "regression", r"Target 'y' has no label in any training row; numbers are needed\."),
        ([2.0, 2.0, None], "regression", r"Target 'y' is 2 in every training row: there is nothing to learn\."),
        ([1.0, float("inf")], "regression", r"Target 'y' holds infinite numbers; give finite ones"),
        (["1", "tall"], "regression", r"Target 'y' is to be a number, but .*tall"),
        (["a", "b"], "image", r"Target 'y' holds .*--kind y=KIND says which: binary, multiclass, .*regression\."),
        (
            [str(index) for index in range(MAX_CLASSES + 1)],
            "multiclass",
            r"Target 'y' has 1,001 classes; at most 1,000 are learned\. Merge rare ones, or, if it is a quantity: --",
        ),
    ],
)
def test_targets_that_cannot_be_learned(cells, kind, message) -> None:
    with pytest.raises(InputError, match=message):
        fitted(pa.array(cells, pa.string()) if cells == [None, None] and kind == "binary" else cells, kind)


def test_all_mistakes_are_told_together() -> None:
    table = table_of(y=["a", "a"], z=[1.0, 1.0])
    with pytest.raises(InputError) as caught:
        fit_tasks(table, (*target("y", "binary"), *target("z", "regression")), np.arange(2))
    assert len(caught.value.problems) == 2


def test_a_class_with_one_row() -> None:
    with pytest.raises(InputError, match="Target 'y': class 'b' has one row only; two are needed"):
        check_classes(table_of(y=["a", "a", "b", None]), target("y", "binary"))
    check_classes(table_of(y=["a", "a", "b", "b"]), target("y", "binary"))
    check_classes(table_of(y=[1.0, 2.0, 2.0]), target("y", "regression"))


def test_classes_with_one_row_of_a_quantity_say_how_to_learn_it_as_one() -> None:
    with pytest.raises(InputError, match=r"and 3 more has one row only.*--kind y=regression") as told:
        check_classes(table_of(y=[*range(8), 9, 9]), target("y", "multiclass"))
    assert "'0', '1', '2', '3', '4' and 3 more" in str(told.value)


def test_a_label_written_otherwise_is_the_same_label_unless_it_is_a_class_of_its_own() -> None:
    task = fitted(["1.0", "x", "1.0", "x"], "binary")
    assert encode_targets(task, table_of(y=[1, 1, None]))[0].tolist() == [0, 0, 0]
    assert encode_targets(task, table_of(y=["x", "1", "1.0", "y"]))[0].tolist() == [1, 0, 0, -1]
    apart = fitted(["1.0", "1", "1.0", "1"], "binary")
    assert encode_targets(apart, table_of(y=["1", "1.0"]))[0].tolist() == [0, 1]


def test_a_numeric_target_that_is_not_numeric_here() -> None:
    task = fitted([1.0, 2.0], "regression")
    with pytest.raises(InputError, match="Target 'y' is to be a number"):
        encode_targets(task, table_of(y=["1", "two"]))
    assert encode_targets(task, table_of(y=["1", None]))[1].tolist() == [True, False]


def test_dates_as_classes_are_text() -> None:
    days = [datetime.date(2020, 1, day) for day in (2, 1, 2)]
    assert fitted(days, "binary").labels == ["2020-01-01", "2020-01-02"]


def test_balanced_weights_are_rows_by_classes_and_rows_of_the_class() -> None:
    task = balanced(fitted(["a", "b", "b", "b", None, "c", "c", "c"], "multiclass"))
    assert task.class_weights == pytest.approx([7 / (3 * 1), 7 / (3 * 3), 7 / (3 * 3)])
    assert row_weights(task, torch.tensor([0.0, 2.0, 1.0])).tolist() == pytest.approx([7 / 3, 7 / 9, 7 / 9])
    assert row_weights(fitted(["a", "b"], "binary"), torch.tensor([0.0, 1.0])).tolist() == [1, 1]
    numbers = fitted([1.0, 2.0], "regression")
    assert balanced(numbers) == numbers


def test_rare_classes_of_every_target_have_strata_of_their_own() -> None:
    cells = {"y": ["a", "b"] * 30, "z": [*"ppppppppqq", *[None] * 48, "r", "r"], "n": list(map(float, range(60)))}
    table, kinds = table_of(**cells), {"y": "binary", "z": "multiclass", "n": "regression"}
    targets = tuple(target(name, kind)[0] for name, kind in kinds.items())
    codes = strata(table, targets)
    assert [len(set(codes[place])) for place in (slice(0, 8), slice(8, 10), slice(58, 60))] == [1, 1, 1]
    assert len(set(codes)) == 5
    np.testing.assert_array_equal(strata(table, targets[:1]), np.arange(60) % 2)
    for seed in range(20):
        parts = split_rows(60, Shares(), seed, codes)
        assert (parts[58:] == TRAIN).any()


def test_the_first_of_two_targets_stays_stratified_where_both_are_rare() -> None:
    table = table_of(y=["a", "b"] * 10, z=["p"] * 10 + ["q"] * 10)
    codes = strata(table, (*target("y", "binary"), *target("z", "binary")))
    assert len(set(codes)) == 2
    assert all(len(set(codes[start::2])) == 1 for start in (0, 1))


@pytest.mark.parametrize("cells", [["2024-02-01", "x"], [datetime.date(2024, 2, 1), datetime.date(2024, 2, 2)]])
def test_points_in_time_that_others_write_as_text_are_the_same_classes(cells) -> None:
    moments = [datetime.datetime(2024, 1, day, 12) for day in (1, 1, 2, 2)]
    train = table_of(y=moments)
    both = concat([train, table_of(y=cells)])
    (task,) = fit_tasks(both, target("y", "binary"), np.arange(4), types={"y": train.column("y").type})
    assert encode_targets(task, both)[0].tolist() == [0, 0, 1, 1, -1, -1]


def test_labels_keep_the_type_of_the_training_rows() -> None:
    whole, truth = (pa.int64(), [1.0, 2.0, None], "int"), (pa.bool_(), ["true", "false", "?"], "bool")
    for kind, cells, label_type in (whole, truth):
        (task,) = fit_tasks(table_of(y=cells), target("y", "binary"), np.arange(2), types={"y": kind})
        assert task.label_type == label_type
        assert encode_targets(task, table_of(y=cells))[0].tolist() in ([0, 1, 0], [1, 0, -1])


@pytest.mark.parametrize(
    ("columns", "kinds"),
    [
        ({"y": ["p", "q"], "y__p": ["a", "b"]}, ("binary", "binary")),
        ({"y": ["x__1", "q"], "y__x": ["1", "2"]}, ("binary", "binary")),
        ({"y": ["p", "q"], "y__q": [1.0, 2.0]}, ("binary", "regression")),
    ],
)
def test_columns_of_answers_and_probabilities_do_not_share_a_name(columns, kinds) -> None:
    targets = tuple(target(name, kind)[0] for name, kind in zip(columns, kinds, strict=True))
    with pytest.raises(InputError, match="would be a column of answers and of probabilities, or of two targets"):
        fit_tasks(table_of(**columns), targets, np.arange(2))


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_numbers_whose_spread_is_no_number_are_refused(unit: float) -> None:
    with pytest.raises(InputError, match=r"Target 'y' holds numbers from .* give it in another unit"):
        fitted([unit * value for value in (1.0, 2.0, 3.0)], "regression")


@pytest.mark.parametrize("cells", [[["a"], ["b"]], [b"a", b"b"]])
def test_cells_that_can_be_no_class_are_refused(cells) -> None:
    with pytest.raises(InputError, match=r"Target 'y' holds cells of type .*; expected text, numbers"):
        encode_targets(fitted(["a", "b"], "binary"), table_of(y=cells))


def test_numbers_spoilt_by_their_writing_are_told() -> None:
    table = table_of(y=[f"1,{number:03d}" for number in range(30)])
    with pytest.raises(InputError, match=r"--kind y=regression, once its cells are numbers \(they look like num"):
        check_classes(table, infer_schema(table, Wishes(targets=["y"])).targets)
