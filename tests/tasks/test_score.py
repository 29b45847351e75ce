"""Losses, the constant predictor and the score of a candidate, against NumPy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plait.tasks import TASK_KIND_REGISTRY, Task
from plait.tasks._base import constant_loss
from plait.tasks.score import LOWER_IS_BETTER, Labels, constant_rows, loss_rows, score, weighted_scores

SHARES = np.array([0.5, 0.3, 0.2])
KIND = Task(
    name="kind", kind="multiclass", label_type="str", classes=("a", "b", "c"), prior=tuple(map(float, np.log(SHARES)))
)
SIZE = Task(name="size", kind="regression", label_type="float", mean=3.0, scale=2.0, prior=(0.0,))


def made(rows: int = 40, seed: int = 0) -> tuple[dict[str, np.ndarray], Labels]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, rows)
    outputs = {
        "kind": (rng.normal(size=(rows, 3)) + np.eye(3)[truth]).astype(np.float32),
        "size": rng.normal(size=(rows, 1)).astype(np.float32),
    }
    labelled = {"kind": rng.random(rows) < 0.8, "size": rng.random(rows) < 0.7}
    targets = {"kind": truth.astype(np.float32), "size": rng.normal(size=rows).astype(np.float32)}
    hidden = {name: np.where(labelled[name], values, 0).astype(np.float32) for name, values in targets.items()}
    return outputs, Labels(hidden, labelled)


def log_losses(outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    logits = outputs.astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(truth)), truth.astype(int)]


def ratio(outputs: dict[str, np.ndarray], labels: Labels, weights: np.ndarray) -> float:
    """1 - loss / loss of the constant predictor, mean over the tasks, written out."""
    found = []
    for task in (KIND, SIZE):
        keep = labels.labelled[task.name]
        truth = labels.targets[task.name][keep].astype(np.float64)
        if task is KIND:
            loss, constant = log_losses(outputs["kind"][keep], truth), -np.log(SHARES)[truth.astype(int)]
        else:
            loss, constant = (outputs["size"][keep, 0].astype(np.float64) - truth) ** 2, truth**2
        found.append(1 - (loss * weights[keep]).sum() / (constant * weights[keep]).sum())
    return float(np.mean(found))


def test_log_loss() -> None:
    outputs, labels = made()
    losses = TASK_KIND_REGISTRY["multiclass"].loss(
        torch.from_numpy(outputs["kind"]), torch.from_numpy(labels.targets["kind"])
    )
    np.testing.assert_allclose(losses.numpy(), log_losses(outputs["kind"], labels.targets["kind"]), rtol=1e-5)


def test_log_loss_of_sure_logits_is_exact() -> None:
    outputs = torch.tensor([[0.0, 80.0], [80.0, 0.0]])
    losses = TASK_KIND_REGISTRY["binary"].loss(outputs, torch.tensor([0.0, 0.0]))
    assert losses.tolist() == [80.0, 0.0]


def test_a_class_that_training_never_saw_has_no_loss() -> None:
    outputs, targets = torch.randn(3, 3), torch.tensor([0.0, -1.0, 2.0])
    losses = TASK_KIND_REGISTRY["multiclass"].loss(outputs, targets)
    assert losses[1] == 0
    assert (losses[[0, 2]] > 0).all()
    assert constant_loss(KIND, targets).tolist() == pytest.approx([-np.log(0.5), 0, -np.log(0.2)])


def test_squared_error() -> None:
    losses = TASK_KIND_REGISTRY["regression"].loss(torch.tensor([[1.0], [-2.0]]), torch.tensor([0.5, 1.0]))
    assert losses.tolist() == pytest.approx([0.25, 9.0])


def test_constant_predictor() -> None:
    _, labels = made()
    truth = labels.targets["kind"].astype(int)
    expected = np.where(labels.labelled["kind"], -np.log(SHARES)[truth], 0)
    np.testing.assert_allclose(constant_rows(KIND, labels), expected, rtol=1e-5)
    np.testing.assert_allclose(constant_rows(SIZE, labels), labels.targets["size"].astype(np.float64) ** 2, rtol=1e-5)


def test_the_constant_predictor_scores_zero_and_the_truth_one() -> None:
    _, labels = made()
    rows = len(labels)
    constant = {task.name: np.tile(np.float32(task.prior), (rows, 1)) for task in (KIND, SIZE)}
    assert score((KIND, SIZE), constant, labels) == pytest.approx(0, abs=1e-6)
    truth = {
        "kind": 60 * np.eye(3, dtype=np.float32)[labels.targets["kind"].astype(int)],
        "size": labels.targets["size"][:, None],
    }
    assert score((KIND, SIZE), truth, labels) == pytest.approx(1, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_score_under_weights(seed) -> None:
    outputs, labels = made(seed=seed)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(labels))).astype(float) + np.eye(3, len(labels))
    found = weighted_scores((KIND, SIZE), outputs, labels, weights)
    assert found == pytest.approx([ratio(outputs, labels, draw) for draw in weights], rel=1e-5, abs=1e-6)
    assert score((KIND, SIZE), outputs, labels) == pytest.approx(
        ratio(outputs, labels, np.ones(40)), rel=1e-5, abs=1e-6
    )


def test_a_weight_of_two_is_the_row_twice() -> None:
    outputs, labels = made()
    weights = np.ones(40)
    weights[:7] = 2
    rows = np.concatenate([np.arange(40), np.arange(7)])
    for metric in (None, "accuracy", "log_loss"):
        twice = score((KIND,), {"kind": outputs["kind"][rows]}, labels.at(rows), metric)
        assert weighted_scores((KIND,), outputs, labels, weights[None], metric)[0] == pytest.approx(twice, rel=1e-9)


def test_unlabelled_rows_do_not_count() -> None:
    outputs, labels = made()
    other = {name: np.where(labels.labelled[name][:, None], values, 77) for name, values in outputs.items()}
    assert score((KIND, SIZE), other, labels) == score((KIND, SIZE), outputs, labels)
    assert score((KIND,), other, labels, "auroc") == score((KIND,), outputs, labels, "auroc")
    assert (loss_rows(KIND, outputs["kind"], labels)[~labels.labelled["kind"]] == 0).all()


def test_a_task_without_labels_leaves_the_mean_to_the_others() -> None:
    outputs, labels = made()
    partly = Labels(labels.targets, {**labels.labelled, "size": np.zeros(40, bool)})
    assert score((KIND, SIZE), outputs, partly) == pytest.approx(score((KIND,), outputs, labels))
    nothing = Labels(labels.targets, {name: np.zeros(40, bool) for name in labels.labelled})
    assert score((KIND, SIZE), outputs, nothing) is None
    assert score((KIND,), outputs, nothing, "accuracy") is None


def test_no_rows_have_no_score() -> None:
    outputs, labels = made()
    none = np.zeros(0, np.int64)
    assert score((KIND, SIZE), {name: values[none] for name, values in outputs.items()}, labels.at(none)) is None


@pytest.mark.parametrize("metric", [None, "accuracy", "auroc", "log_loss"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_lose_against_everything(metric, bad) -> None:
    outputs, labels = made()
    row = int(np.flatnonzero(labels.labelled["kind"])[0])
    outputs["kind"][row] = bad
    weights = np.ones((2, 40))
    weights[1, row] = 0
    assert weighted_scores((KIND,), outputs, labels, weights, metric).tolist() == [-np.inf, -np.inf]
    assert score((KIND,), outputs, labels, metric) is None


def test_one_task_that_is_not_finite_is_not_made_up_for_by_another() -> None:
    outputs, labels = made()
    outputs["size"][:] = np.nan
    assert score((KIND, SIZE), outputs, labels) is None
    assert weighted_scores((KIND, SIZE), outputs, labels, np.ones((1, 40)))[0] == -np.inf


def test_not_finite_on_an_unlabelled_row_is_no_matter() -> None:
    outputs, labels = made()
    row = int(np.flatnonzero(~labels.labelled["kind"])[0])
    expected = [score((KIND,), outputs, labels, metric) for metric in (None, "accuracy")]
    outputs["kind"][row] = np.nan
    assert [score((KIND,), outputs, labels, metric) for metric in (None, "accuracy")] == expected


@pytest.mark.parametrize("task", [KIND, SIZE])
def test_metrics_are_turned_so_that_higher_is_better(task) -> None:
    outputs, labels = made()
    kind = TASK_KIND_REGISTRY[task.kind]
    keep = labels.labelled[task.name]
    answers = kind.probabilities(torch.from_numpy(outputs[task.name][keep])).double().numpy()
    told = kind.measure(task, answers, labels.targets[task.name][keep].astype(float))
    for metric in kind.metrics:
        sign = -1 if metric in LOWER_IS_BETTER else 1
        assert score((task,), outputs, labels, metric) == pytest.approx(sign * told[metric], rel=1e-6)
    assert (
        set(TASK_KIND_REGISTRY["multiclass"].metrics) | set(TASK_KIND_REGISTRY["regression"].metrics) > LOWER_IS_BETTER
    )


def test_answers_that_are_all_the_same_are_worth_nothing_by_rank() -> None:
    """Left out of the mean over tasks, they would be as good as those of the other tasks."""
    tasks = [Task(name=name, kind="regression", label_type="float", prior=(0.0,)) for name in "ab"]
    truth = np.random.default_rng(0).normal(size=50).astype(np.float32)
    labels = Labels(dict.fromkeys("ab", truth), dict.fromkeys("ab", np.ones(50, np.bool_)))
    outputs = {"a": truth[:, None], "b": np.zeros((50, 1), np.float32)}
    assert score(tasks, outputs, labels, "spearman") == pytest.approx(0.5)
    flat = Labels({"a": truth, "b": np.zeros(50, np.float32)}, labels.labelled)
    assert score(tasks, outputs, flat, "spearman") == pytest.approx(1.0), "where the truth is flat, nobody can rank it"
