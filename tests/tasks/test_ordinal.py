"""Ordinal targets: the loss cut by cut against NumPy, its laws, the median answer, metrics, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from plait.data.schema import Column
from plait.data.table import Table
from plait.exceptions import InputError
from plait.tasks import TASK_KIND_REGISTRY, Task
from plait.tasks.ordinal import class_values
from plait.tasks.targets import check_classes, encode_targets, fit_tasks

ORDINAL, MULTICLASS = TASK_KIND_REGISTRY["ordinal"], TASK_KIND_REGISTRY["multiclass"]


def stars(*values: str, label_type: str = "int") -> Task:
    return Task(name="stars", kind="ordinal", label_type=label_type, classes=values, prior=(0.0,) * len(values))


def cut_by_cut(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Frank and Hall's questions, one after another, in double precision."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = shifted / shifted.sum(axis=1, keepdims=True)
    cuts = logits.shape[1] - 1
    found = np.zeros(len(truth))
    for cut in range(cuts):
        above = chances[:, cut + 1 :].sum(axis=1)
        below = chances[:, : cut + 1].sum(axis=1)
        found -= np.log(np.where(truth > cut, above, below)) / cuts
    return found


def table_of(cells, kind: str = "ordinal", order: tuple[str, ...] = ()) -> tuple[Table, tuple[Column, ...]]:
    table = Table(pa.table({"y": pa.chunked_array([pa.array(cells)])}))
    return table, (Column(name="y", role="target", kind=kind, order=order),)


@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_the_loss_is_the_mean_log_loss_over_the_cuts(seed, classes) -> None:
    rng = np.random.default_rng(seed)
    logits, truth = rng.normal(size=(12, classes)) * 3, rng.integers(0, classes, 12)
    found = ORDINAL.loss(torch.from_numpy(logits), torch.from_numpy(truth).float())
    np.testing.assert_allclose(found.numpy(), cut_by_cut(logits, truth), rtol=1e-9, atol=1e-12)


def test_two_classes_have_the_log_loss() -> None:
    logits, truth = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20).remainder(2)
    torch.testing.assert_close(ORDINAL.loss(logits, truth.float()), MULTICLASS.loss(logits, truth.float()))


@given(st.integers(0, 2**32 - 1), st.integers(3, 8))
def test_the_nearer_of_two_wrong_classes_costs_less(seed, classes) -> None:
    truth = int(np.random.default_rng(seed).integers(0, classes))
    sure = 6 * torch.eye(classes)
    losses = ORDINAL.loss(sure, torch.full((classes,), float(truth)))
    for side in (range(truth, classes), range(truth, -1, -1)):
        assert (np.diff(losses[list(side)].numpy()) > 0).all()


def test_the_true_distribution_has_the_smallest_expected_loss() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        chances = rng.dirichlet(np.ones(4))

        def expected(logits, chances=chances) -> float:
            losses = ORDINAL.loss(torch.from_numpy(np.tile(logits, (4, 1))), torch.arange(4).float())
            return float(losses.numpy() @ chances)

        best = expected(np.log(chances))
        assert all(expected(np.log(rng.dirichlet(np.ones(4)))) > best for _ in range(20))


def test_a_class_that_training_never_saw_has_neither_loss_nor_gradient() -> None:
    outputs, targets = torch.randn(2, 4, 3), torch.tensor([0.0, -1.0, 3.0])
    losses, gradients = ORDINAL.losses(outputs, targets)
    assert (losses[:, 1] == 0).all()
    assert (gradients[:, :, 1] == 0).all()
    assert (losses[:, [0, 2]] > 0).all()


def test_the_answer_is_the_median_class() -> None:
    chances = np.array([[0.4, 0.15, 0.25, 0.2], [0.5, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 1.0], [0.1, 0.2, 0.3, 0.4]])
    task = stars("1", "2", "4", "5")
    assert ORDINAL.answers(task, chances) == [2, 1, 5, 4]
    for row, answer in zip(chances, ORDINAL.guess(task, chances), strict=True):
        distances = np.abs(np.arange(4)[:, None] - np.arange(4)) @ row
        assert distances[answer] == pytest.approx(distances.min())


def test_metrics_are_in_the_unit_of_the_labels() -> None:
    rng = np.random.default_rng(3)
    chances, truth = rng.dirichlet(np.ones(3), 30), rng.integers(0, 3, 30)
    values = np.array([0.5, 2.0, 10.0])
    task = stars("0.5", "2", "10", label_type="float")
    told = ORDINAL.measure(task, chances, truth.astype(float))
    answers = np.array(ORDINAL.answers(task, chances))
    assert told["mae"] == pytest.approx(np.abs(answers - values[truth]).mean())
    assert told["rmse"] == pytest.approx(np.sqrt(((answers - values[truth]) ** 2).mean()))
    assert told["spearman"] == pytest.approx(spearmanr(answers, truth).statistic)
    assert told["accuracy"] == pytest.approx((answers == values[truth]).mean())
    assert told["log_loss"] == pytest.approx(-np.log(chances[np.arange(30), truth]).mean())
    assert tuple(told) == ("accuracy", "balanced_accuracy", "macro_f1", "mae", "rmse", "spearman", "log_loss")


def test_a_class_that_training_never_saw_leaves_the_distances_undefined() -> None:
    told = ORDINAL.measure(stars("1", "2"), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.0, -1.0]))
    assert (told["mae"], told["rmse"], told["spearman"], told["log_loss"]) == (None, None, None, None)
    assert told["accuracy"] == 0.5


@pytest.mark.parametrize("cells", [[10, 9, 2, 10, 9, 2], ["10", "9", "2", "10", "9", "2"], [10.0, 9.0, 2.0] * 2])
def test_classes_stand_in_the_order_of_their_values(cells) -> None:
    table, targets = table_of(cells)
    check_classes(table, targets)
    (task,) = fit_tasks(table, targets, np.arange(6))
    assert task.classes == ("2", "9", "10")
    assert encode_targets(task, table)[0].tolist() == [2, 1, 0] * 2


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["low", "high"] * 2, r"'y' is to be ordinal, but holds 'high', 'low': text says nothing of its order\. Say"),
        ([True, False] * 2, r"'y' holds truth values, which have no order to learn: --kind y=binary\."),
        (["1", "1.0", "2"] * 2, r"'y' writes the number 1 in several ways"),
    ],
)
def test_labels_without_an_order_are_refused(cells, message) -> None:
    table, targets = table_of(cells)
    for refuses in (lambda: check_classes(table, targets), lambda: fit_tasks(table, targets, np.arange(len(cells)))):
        with pytest.raises(InputError, match=message):
            refuses()


def test_text_is_learned_in_the_order_that_is_said() -> None:
    table, targets = table_of(["much", "some", "little"] * 2, order=("none", "little", "some", "much"))
    check_classes(table, targets)
    (task,) = fit_tasks(table, targets, np.arange(6))
    assert task.classes == ("little", "some", "much")
    assert encode_targets(task, table)[0].tolist() == [2, 1, 0] * 2
    assert class_values(task).tolist() == [0, 1, 2]


def test_numbers_in_an_order_of_their_own_are_places() -> None:
    table, targets = table_of(["3", "1", "2"] * 2, order=("3", "1", "2"))
    (task,) = fit_tasks(table, targets, np.arange(6))
    assert task.classes == ("3", "1", "2")
    assert class_values(task).tolist() == [0, 1, 2]


def test_a_class_outside_the_order_is_refused() -> None:
    table, targets = table_of(["low", "high", "hihg"] * 2, order=("low", "high"))
    with pytest.raises(InputError, match="'y' holds 'hihg', which its order does not name: 'low', 'high'"):
        check_classes(table, targets)
