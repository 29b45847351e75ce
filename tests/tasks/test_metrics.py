"""Metrics of every task kind, against scikit-learn, SciPy and formulas written out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.preprocessing import label_binarize

from plait.exceptions import InputError
from plait.tasks import TASK_KIND_REGISTRY, Task
from plait.tasks.score import Labels, check_metric, measure_all

BINARY, MULTICLASS, REGRESSION = (TASK_KIND_REGISTRY[name] for name in ("binary", "multiclass", "regression"))


def classes_task(classes: int) -> Task:
    names = tuple(f"c{index}" for index in range(classes))
    kind = "binary" if classes == 2 else "multiclass"
    return Task(name="t", kind=kind, label_type="str", classes=names, prior=(float(-np.log(classes)),) * classes)


NUMBER = Task(name="n", kind="regression", label_type="float", mean=-4.0, scale=2.5, prior=(0.0,))


def made(classes: int, rows: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(rows) % classes)
    logits = rng.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[truth]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), truth


@pytest.mark.parametrize("seed", range(3))
def test_two_classes(seed) -> None:
    chances, truth = made(2, seed=seed)
    told = BINARY.measure(classes_task(2), chances, truth.astype(float))
    guess = chances.argmax(1)
    assert told == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, guess),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, guess),
            "macro_f1": metrics.f1_score(truth, guess, average="macro"),
            "auroc": metrics.roc_auc_score(truth, chances[:, 1]),
            "average_precision": metrics.average_precision_score(truth, chances[:, 1]),
            "log_loss": metrics.log_loss(truth, chances),
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_several_classes(seed) -> None:
    chances, truth = made(4, seed=seed)
    told = MULTICLASS.measure(classes_task(4), chances, truth.astype(float))
    guess = chances.argmax(1)
    assert told == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, guess),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, guess),
            "macro_f1": metrics.f1_score(truth, guess, average="macro"),
            "auroc": metrics.roc_auc_score(truth, chances, multi_class="ovr", average="macro"),
            "average_precision": metrics.average_precision_score(label_binarize(truth, classes=range(4)), chances),
            "log_loss": metrics.log_loss(truth, chances),
        }
    )


def test_a_kind_of_two_classes_called_multiclass_is_measured_as_binary() -> None:
    chances, truth = made(2)
    two = classes_task(2)
    assert MULTICLASS.measure(two, chances, truth.astype(float)) == BINARY.measure(two, chances, truth.astype(float))


def test_a_class_that_is_answered_but_never_true_counts_in_f1_as_in_scikit_learn() -> None:
    chances = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    truth = np.array([0.0, 1.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.f1_score(truth, [0, 1, 2], average="macro")
    assert MULTICLASS.measure(classes_task(3), chances, truth)["macro_f1"] == pytest.approx(expected)


def test_a_class_without_rows_is_left_out_of_one_vs_rest() -> None:
    chances, truth = made(3)
    chances, truth = chances[truth != 2], truth[truth != 2]
    told = MULTICLASS.measure(classes_task(3), chances, truth.astype(float))
    each = [metrics.roc_auc_score(truth == label, chances[:, label]) for label in (0, 1)]
    precise = [metrics.average_precision_score(truth == label, chances[:, label]) for label in (0, 1)]
    assert told["auroc"] == pytest.approx(np.mean(each))
    assert told["average_precision"] == pytest.approx(np.mean(precise))
    assert told["balanced_accuracy"] == pytest.approx(
        np.mean([(chances[truth == label].argmax(1) == label).mean() for label in (0, 1)])
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_one_class_among_the_rows(classes) -> None:
    chances, _ = made(classes, rows=6)
    told = TASK_KIND_REGISTRY["multiclass"].measure(classes_task(classes), chances, np.ones(6))
    assert told["auroc"] is None
    assert told["average_precision"] is None
    assert told["accuracy"] == pytest.approx((chances.argmax(1) == 1).mean())
    assert told["log_loss"] == pytest.approx(-np.log(chances[:, 1]).mean())


def test_no_rows() -> None:
    assert BINARY.measure(classes_task(2), np.zeros((0, 2)), np.zeros(0)) == dict.fromkeys(BINARY.metrics)
    assert REGRESSION.measure(NUMBER, np.zeros((0, 1)), np.zeros(0), ("mae",)) == {"mae": None}


def test_a_class_that_training_never_saw() -> None:
    chances, truth = made(3, rows=30)
    unseen = np.concatenate([truth, [-1, -1]]).astype(float)
    longer = np.concatenate([chances, [[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]]])
    told = MULTICLASS.measure(classes_task(3), longer, unseen)
    guess = longer.argmax(1)
    recalls = [(guess[unseen == label] == label).mean() for label in (-1, 0, 1, 2)]
    assert told["accuracy"] == pytest.approx((guess == unseen).mean())
    assert told["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert told["macro_f1"] == pytest.approx(metrics.f1_score(unseen, guess, average="macro"))
    assert told["log_loss"] is None
    assert told["auroc"] == pytest.approx(metrics.roc_auc_score(truth, chances, multi_class="ovr"))
    only = MULTICLASS.measure(classes_task(3), longer[-2:], unseen[-2:])
    assert only == {
        "accuracy": 0.0, "balanced_accuracy": 0.0, "macro_f1": 0.0,
        "auroc": None, "average_precision": None, "log_loss": None,
    }  # fmt: skip


def test_probability_zero_has_a_finite_log_loss() -> None:
    told = BINARY.measure(classes_task(2), np.array([[1.0, 0.0]]), np.array([1.0]))
    assert told["log_loss"] == pytest.approx(-np.log(1e-12))


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_numbers(seed, rows) -> None:
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(size=rows), 1)
    guess = np.round(truth + rng.normal(size=rows), 1)
    told = REGRESSION.measure(NUMBER, guess[:, None], truth)
    real, answered = truth * NUMBER.scale + NUMBER.mean, guess * NUMBER.scale + NUMBER.mean
    assert told["rmse"] == pytest.approx(metrics.root_mean_squared_error(real, answered))
    assert told["mae"] == pytest.approx(metrics.mean_absolute_error(real, answered))
    if np.ptp(truth) == 0:
        assert told["r2"] is None
        assert told["spearman"] is None
        return
    assert told["r2"] == pytest.approx(metrics.r2_score(real, answered), abs=1e-9)
    if np.ptp(guess) > 0:
        assert told["spearman"] == pytest.approx(np.corrcoef(rankdata(truth), rankdata(guess))[0, 1], abs=1e-9)
    else:
        assert told["spearman"] is None


def test_one_row_of_numbers() -> None:
    told = REGRESSION.measure(NUMBER, np.array([[1.0]]), np.array([2.0]))
    assert told == {"r2": None, "rmse": 2.5, "mae": 2.5, "spearman": None}


def test_answers_have_the_type_of_the_labels() -> None:
    chances = np.array([[0.1, 0.9], [0.7, 0.3]])

    def answers(label_type, classes):
        task = Task(name="t", kind="binary", label_type=label_type, classes=classes, prior=(-0.7, -0.7))
        return BINARY.answers(task, chances)

    assert answers("str", ("no", "yes")) == ["yes", "no"]
    assert answers("int", ("-3", "12")) == [12, -3]
    assert answers("float", ("0.5", "2")) == [2.0, 0.5]
    assert answers("bool", ("False", "True")) == [True, False]
    assert all(isinstance(answer, bool) for answer in answers("bool", ("False", "True")))
    assert REGRESSION.answers(NUMBER, np.array([[0.0], [2.0]])) == [-4.0, 1.0]


def test_measure_all_counts_labelled_rows_only() -> None:
    task = classes_task(2)
    outputs = {"t": np.array([[0, 3], [3, 0], [0, 3]], np.float32), "n": np.array([[1], [5], [2]], np.float32)}
    labels = Labels(
        {"t": np.array([1, 1, 1], np.float32), "n": np.array([1, 0, 3], np.float32)},
        {"t": np.array([True, False, True]), "n": np.array([True, False, True])},
    )
    told = measure_all((task, NUMBER), outputs, labels)
    assert told["t"]["n"] == told["n"]["n"] == 2
    assert told["t"]["metrics"]["accuracy"] == 1.0
    assert told["t"]["metrics"]["log_loss"] == pytest.approx(np.log1p(np.exp(-3.0)))
    assert told["n"]["metrics"]["mae"] == pytest.approx(0.5 * 2.5)
    nothing = Labels(labels.targets, {name: np.zeros(3, bool) for name in labels.labelled})
    told = measure_all((task, NUMBER), outputs, nothing)
    assert told["t"] == {"n": 0, "metrics": dict.fromkeys(BINARY.metrics)}


def test_softmax_against_numpy() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)) * 3
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(MULTICLASS.probabilities(torch.from_numpy(logits)).numpy(), expected, atol=1e-12)


def test_unknown_metrics_are_refused_with_a_hint() -> None:
    check_metric(None, ["binary", "regression"])
    check_metric("auroc", ["binary", "multiclass"])
    with pytest.raises(
        InputError, match=r"--metric acuracy: a binary target has no such metric; did you mean accuracy\?"
    ):
        check_metric("acuracy", ["binary"])
    with pytest.raises(InputError, match="--metric auroc: a regression target has no such metric; known: mae, r2"):
        check_metric("auroc", ["binary", "regression"])
