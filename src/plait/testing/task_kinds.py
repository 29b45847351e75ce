"""The contract of task kinds: each class is one capability, each test one law; a subclass gives the fixture `case`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.tasks._base import Task, TaskKind

ROWS = 40


@dataclass(frozen=True)
class TaskKindCase:
    """A task kind and a task of it, with made outputs and targets."""

    kind: TaskKind
    task: Task

    def __str__(self) -> str:
        return f"{self.kind.name}-{self.task.outputs}"

    def outputs(self, seed: int = 0) -> Tensor:
        """Made outputs [rows, outputs]."""
        return torch.randn(ROWS, self.task.outputs, generator=torch.Generator().manual_seed(seed))

    def targets(self) -> Tensor:
        """Made targets [rows]; every class occurs."""
        if self.kind.classification:
            return torch.arange(ROWS).remainder(self.task.outputs).float()
        return torch.randn(ROWS, generator=torch.Generator().manual_seed(9))

    def answers(self, outputs: Tensor) -> NDArray[np.float64]:
        """Probabilities or numbers, as metrics take them."""
        return np.asarray(self.kind.probabilities(outputs).double().numpy())


def task_kind_case(kind: TaskKind, outputs: int = 2) -> TaskKindCase:
    """A case of a kind; `outputs` is the number of classes, where the kind has any."""
    if not kind.classification:
        task = Task(name="t", kind=kind.name, label_type="float", mean=3.0, scale=2.0, prior=(0.0,))
        return TaskKindCase(kind, task)
    shares = np.arange(1, outputs + 1) / np.arange(1, outputs + 1).sum()
    prior = tuple(float(value) for value in np.log(shares))
    names = tuple(f"class {index}" for index in range(outputs))
    return TaskKindCase(kind, Task(name="t", kind=kind.name, label_type="str", classes=names, prior=prior))


class TaskKindSuite:
    """Base of the suites."""

    @pytest.fixture
    def case(self) -> TaskKindCase:
        """The task kind under test; a subclass must give it."""
        raise NotImplementedError("give a fixture `case` that returns a TaskKindCase")


class TaskKindLosses(TaskKindSuite):
    """The loss is one number per row, from that row alone."""

    def test_rows(self, case: TaskKindCase) -> None:
        """One finite number of at least 0 per row."""
        losses = case.kind.loss(case.outputs(), case.targets())
        assert losses.shape == (ROWS,), f"losses are {tuple(losses.shape)}, not one per row"
        assert bool(losses.isfinite().all())
        assert bool((losses >= 0).all())

    def test_alone(self, case: TaskKindCase) -> None:
        """A row has the same loss alone and among others."""
        outputs, targets = case.outputs(), case.targets()
        alone = torch.cat([case.kind.loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(ROWS)])
        torch.testing.assert_close(alone, case.kind.loss(outputs, targets))

    def test_many_predictors(self, case: TaskKindCase) -> None:
        """Losses of many predictors are those of each, gradients those of a graph; large outputs stay finite."""
        outputs = torch.stack([case.outputs(seed) * 10.0**seed for seed in range(3)])  # [predictors, rows, outputs]
        leaf = outputs.clone().requires_grad_()
        expected = torch.stack([case.kind.loss(one, case.targets()) for one in leaf])
        (gradients,) = torch.autograd.grad(expected.sum(), leaf)
        losses, found = case.kind.losses(outputs.transpose(1, 2).contiguous(), case.targets())
        assert losses.shape == (3, ROWS)
        assert bool(losses.isfinite().all()), "a loss is not finite"
        torch.testing.assert_close(losses, expected.detach(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found, gradients.transpose(1, 2), rtol=1e-5, atol=1e-5)

    def test_surprise(self, case: TaskKindCase) -> None:
        """Losses from probabilities are those of the outputs that have them; a probability of 0 costs a finite loss."""
        outputs = torch.stack([case.outputs(seed) for seed in range(3)])
        found = case.kind.surprise(case.kind.probabilities(outputs).double(), case.targets())
        expected = torch.stack([case.kind.loss(one, case.targets()) for one in outputs])
        torch.testing.assert_close(found.float(), expected, rtol=1e-5, atol=1e-5)
        if case.kind.classification:
            sure = torch.nn.functional.one_hot((case.targets().long() + 1) % case.task.outputs, case.task.outputs)
            assert bool(case.kind.surprise(sure[None].double(), case.targets()).isfinite().all())

    def test_truth(self, case: TaskKindCase) -> None:
        """In every row the right answer has a smaller loss than a wrong one."""
        targets = case.targets()
        right, wrong = targets[:, None], targets[:, None] + 2
        if case.kind.classification:
            true = torch.nn.functional.one_hot(targets.long(), case.task.outputs).float()
            right, wrong = 5 * true, -5 * true
        assert bool((case.kind.loss(right, targets) < case.kind.loss(wrong, targets)).all())

    def test_gradient(self, case: TaskKindCase) -> None:
        """A small step down the gradient makes the loss smaller."""
        outputs = case.outputs().requires_grad_()
        loss = case.kind.loss(outputs, case.targets()).mean()
        torch.autograd.backward(loss)
        assert outputs.grad is not None
        with torch.no_grad():
            lower = case.kind.loss(outputs - 0.1 * outputs.grad, case.targets()).mean()
        assert float(lower) < float(loss.detach())


class TaskKindAnswers(TaskKindSuite):
    """Answers have the labels' type; probabilities are probabilities."""

    def test_probabilities(self, case: TaskKindCase) -> None:
        """Shape [rows, outputs]; for classes at least 0 and of sum 1, whatever is added to a row's logits."""
        outputs = case.outputs()
        found = case.kind.probabilities(outputs)
        assert found.shape == outputs.shape
        if case.kind.classification:
            assert bool((found >= 0).all())
            torch.testing.assert_close(found.sum(1), torch.ones(ROWS))
            torch.testing.assert_close(case.kind.probabilities(outputs + 7), found)

    def test_answers(self, case: TaskKindCase) -> None:
        """One per row; classes by their labels, numbers in the column's unit."""
        answers = case.kind.answers(case.task, case.answers(case.outputs()))
        assert len(answers) == ROWS
        if case.kind.classification:
            assert set(answers) <= set(case.task.labels)
        else:
            expected = case.answers(case.outputs())[:, 0] * case.task.scale + case.task.mean
            np.testing.assert_allclose(answers, expected)


class TaskKindMetrics(TaskKindSuite):
    """Every metric is a number or None, never NaN, never an error."""

    def test_all(self, case: TaskKindCase) -> None:
        """Every declared metric is told, as a finite number; a chosen one is the same alone."""
        answers, targets = case.answers(case.outputs()), case.targets().double().numpy()
        told = case.kind.measure(case.task, answers, targets)
        assert tuple(told) == case.kind.metrics
        assert all(value is not None and np.isfinite(value) for value in told.values()), told
        for name in case.kind.metrics:
            assert case.kind.measure(case.task, answers, targets, (name,)) == {name: told[name]}

    @pytest.mark.parametrize("rows", [0, 1, 2])
    def test_few_rows(self, case: TaskKindCase, rows: int) -> None:
        """With few rows a metric is a finite number or None; without rows all are None."""
        answers, targets = case.answers(case.outputs())[:rows], case.targets().double().numpy()[:rows]
        told = case.kind.measure(case.task, answers, targets)
        assert all(value is None or np.isfinite(value) for value in told.values()), told
        if rows == 0:
            assert set(told.values()) == {None}

    def test_not_finite(self, case: TaskKindCase) -> None:
        """An answer that is no number leaves all metrics undefined."""
        answers = case.answers(case.outputs())
        answers[0] = np.nan
        assert set(case.kind.measure(case.task, answers, case.targets().double().numpy()).values()) == {None}

    @pytest.mark.parametrize("rows", [0, 1, 3, ROWS])
    def test_weights(self, case: TaskKindCase, rows: int) -> None:
        """A row of weight 2 counts as if it stood there twice, one of weight 0 as if it did not."""
        answers = case.answers(case.outputs()).round(1)[:rows] + 0.05  # with ties
        targets = case.targets().double().numpy()[:rows]
        weights = np.random.default_rng(rows).integers(0, 3, (6, rows)).astype(np.float64)
        weights[0] = 1
        found = case.kind.measure_under(case.task, answers, targets, weights)
        assert tuple(found) == case.kind.metrics
        for name, values in found.items():
            one = case.kind.measure_under(case.task, answers, targets, weights, (name,))
            np.testing.assert_array_equal(one.pop(name), values)
            assert not one
        for number, draw in enumerate(weights):
            taken = np.repeat(np.arange(rows), draw.astype(np.int64))
            for name, value in case.kind.measure(case.task, answers[taken], targets[taken]).items():
                expected = np.nan if value is None else value
                assert found[name][number] == pytest.approx(expected, abs=1e-9, nan_ok=True), name

    def test_order(self, case: TaskKindCase) -> None:
        """The order of rows does not matter."""
        answers, targets = case.answers(case.outputs()), case.targets().double().numpy()
        order = np.random.default_rng(0).permutation(ROWS)
        one, two = (case.kind.measure(case.task, answers[rows], targets[rows]) for rows in (np.arange(ROWS), order))
        for name in one:
            assert one[name] == pytest.approx(two[name], abs=1e-12)
