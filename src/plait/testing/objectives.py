"""The contract of objectives: each class is one capability, each test one law; a subclass gives `objective`.

The laws are tried on a model in which no row sees another, so that whatever moves a row's share moved through the
objective.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from plait.data.batches import Batch
from plait.encoders._base import HiddenStates
from plait.objectives._base import Objective
from plait.tasks._base import Task
from plait.testing.devices import OnDevices

WIDTHS = {"one": 4, "two": 3}
ROWS = 24


def made_tasks() -> tuple[Task, ...]:
    """A task of three classes and a numeric one."""
    prior = (-1.6094379, -0.9162907, -0.9162907)  # log of 0.2, 0.4, 0.4
    return (
        Task(name="kind", kind="multiclass", label_type="str", classes=("a", "b", "c"), prior=prior),
        Task(name="size", kind="regression", label_type="float", mean=1.0, scale=2.0, prior=(0.0,)),
    )


def made_batch(device: torch.device, seed: int = 0) -> Batch:
    """Rows of two modalities and two tasks; some lack a modality, a label, all labels."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.arange(ROWS)
    batch = Batch(
        {name: torch.randn(ROWS, width, generator=random) for name, width in WIDTHS.items()},
        {"one": rows % 5 != 1, "two": rows % 7 != 2},
        {"kind": (rows % 3).float(), "size": torch.randn(ROWS, generator=random)},
        {"kind": (rows % 4 != 0) & (rows % 6 != 3), "size": rows % 2 == 0},
        torch.rand(ROWS, generator=random) + 0.5,
        rows,
    )
    for name, labelled in batch.labelled.items():
        batch.targets[name][~labelled] = 0
    return batch.to(device)


class RowwiseModel(nn.Module):
    """A small model in which no row sees another: a hidden layer per modality, linear heads over their sum."""

    def __init__(self, tasks: tuple[Task, ...]) -> None:
        super().__init__()
        self.tasks = tasks
        self.layers = nn.ModuleDict({name: nn.Linear(width, 6) for name, width in WIDTHS.items()})
        self.head = nn.Linear(6, sum(task.outputs for task in tasks))

    def hidden(self, batch: Batch) -> dict[str, HiddenStates]:
        """Hidden states by modality: the input, and one layer."""
        inputs = {name: batch.inputs[name] for name in self.layers}
        return {name: HiddenStates((x, torch.tanh(self.layers[name](x)))) for name, x in inputs.items()}

    def outputs(self, states: Mapping[str, HiddenStates], batch: Batch) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs]."""
        parts = [states[name].layers[-1] * batch.present[name][:, None] for name in states]
        pieces = self.head(torch.stack(parts).sum(0)).split([task.outputs for task in self.tasks], dim=1)
        return {task.name: piece for task, piece in zip(self.tasks, pieces, strict=True)}


def _taken(batch: Batch, rows: Tensor) -> Batch:
    """Some rows of a batch."""
    cut = [
        {name: tensor[rows] for name, tensor in part.items()}
        for part in (batch.inputs, batch.present, batch.targets, batch.labelled)
    ]
    return Batch(cut[0], cut[1], cut[2], cut[3], batch.weights[rows], batch.rows[rows.to(batch.rows.device)])


def _changed(part: Mapping[str, Tensor], change: Callable[[str, Tensor], Tensor]) -> dict[str, Tensor]:
    return {name: change(name, tensor) for name, tensor in part.items()}


class ObjectiveSuite(OnDevices):
    """Base of the suites."""

    @pytest.fixture
    def objective(self) -> Objective:
        """The objective under test, a fresh one; a subclass must give it."""
        raise NotImplementedError("give a fixture `objective` that returns an Objective")

    @pytest.fixture
    def model(self, device: torch.device) -> RowwiseModel:
        """The model it is tried on."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            return RowwiseModel(made_tasks()).to(device)

    @pytest.fixture
    def batch(self, device: torch.device) -> Batch:
        """The batch it is tried on."""
        return made_batch(device)


def terms_and_slopes(
    objective: Objective, model: RowwiseModel, batch: Batch
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Terms of a batch, and the gradient of their sum by parameter; dropout and other draws start from one seed."""
    model.zero_grad(set_to_none=True)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        terms = objective.terms(model, objective.before_batch(batch))
    if terms:
        torch.autograd.backward(list(terms.values()))
    slopes = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return {name: float(term.detach()) for name, term in terms.items()}, slopes


def assert_same_learning(objective: Objective, model: RowwiseModel, one: Batch, two: Batch, what: str) -> None:
    """Both batches give the same terms and the same gradients."""
    terms, slopes = terms_and_slopes(objective, model, one)
    others, other_slopes = terms_and_slopes(objective, model, two)
    assert terms.keys() == others.keys(), f"{what} changes which terms there are"
    for name in terms:
        assert terms[name] == pytest.approx(others[name], rel=1e-4, abs=1e-5), f"{what} changes the term {name}"
    for name in slopes:
        close = torch.allclose(slopes[name], other_slopes[name], rtol=1e-4, atol=1e-5)
        assert close, f"{what} changes the gradient of {name}"


class ObjectiveTerms(ObjectiveSuite):
    """Terms are named scalars that can be learned from."""

    def test_terms(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """There is a term; every one is a finite scalar, named, with a gradient that is finite and not 0."""
        terms = objective.terms(model, objective.before_batch(batch))
        assert terms, "no term for a batch that has everything"
        for name, term in terms.items():
            assert name.split("/")[0] == objective.name, f"{name} does not begin with {objective.name}"
            assert term.dim() == 0, f"{name} is no scalar but {tuple(term.shape)}"
            assert bool(term.isfinite()), f"{name} is not finite"
            assert term.requires_grad, f"{name} has no gradient"
        _, slopes = terms_and_slopes(objective, model, batch)
        assert all(bool(slope.isfinite().all()) for slope in slopes.values()), "a gradient is not finite"
        assert any(bool(slope.any()) for slope in slopes.values()), "all gradients are 0"

    def test_gradients_untouched(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """Computing terms leaves the gradients alone: that is the combiner's part."""
        objective.terms(model, objective.before_batch(batch))
        touched = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
        assert not touched, f"terms wrote gradients of {touched}"

    def test_before_batch(self, objective: Objective, batch: Batch) -> None:
        """What `before_batch` returns is a whole batch: all its parts have the same rows."""
        made = objective.before_batch(batch)
        parts = [t for part in (made.inputs, made.present, made.targets, made.labelled) for t in part.values()]
        assert {len(tensor) for tensor in (*parts, made.weights, made.rows)} == {len(made)}

    def test_names(self, objective: Objective) -> None:
        """Name and kind are declared."""
        assert objective.name
        assert objective.supervised in (True, False)


class ObjectiveRows(ObjectiveSuite):
    """An objective uses the rows that it can use, and no other."""

    def test_hidden_labels(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """What stands in the place of a missing label does not matter."""
        targets = _changed(batch.targets, lambda n, t: torch.where(batch.labelled[n], t, torch.full_like(t, 2)))
        assert_same_learning(objective, model, batch, replace(batch, targets=targets), "a hidden label")

    def test_unlabelled_rows(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """A supervised objective learns the same without the rows that carry no label."""
        if not objective.supervised:
            return
        anything = torch.stack(list(batch.labelled.values())).any(dim=0)
        assert not bool(anything.all()), "the made batch has no unlabelled row"
        without = _taken(batch, anything.nonzero().squeeze(1))
        assert_same_learning(objective, model, batch, without, "an unlabelled row")

    def test_absent_inputs(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """What stands in the place of an absent modality does not matter."""
        inputs = _changed(batch.inputs, lambda n, t: torch.where(batch.present[n][:, None], t, torch.full_like(t, 9)))
        assert_same_learning(objective, model, batch, replace(batch, inputs=inputs), "an absent input")

    def test_unusable(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """A batch without labels and without any modality gives no term, and no error."""
        nothing = replace(
            batch,
            present=_changed(batch.present, lambda _, t: torch.zeros_like(t)),
            labelled=_changed(batch.labelled, lambda _, t: torch.zeros_like(t)),
        )
        assert objective.terms(model, objective.before_batch(nothing)) == {}, "a term from nothing"

    def test_one_task_without_labels(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """A task without labels changes nothing for the others."""
        labelled = {**batch.labelled, "kind": torch.zeros_like(batch.labelled["kind"])}
        terms, _ = terms_and_slopes(objective, model, batch)
        others, _ = terms_and_slopes(objective, model, replace(batch, labelled=labelled))
        if objective.supervised:
            assert set(others) == {name for name in terms if not name.endswith("/kind")}
        assert all(others[name] == pytest.approx(terms[name], rel=1e-4) for name in others)


class ObjectiveWeights(ObjectiveSuite):
    """Row weights are respected."""

    def test_weight_zero(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """A row of weight 0 is as good as left out."""
        kept = torch.arange(ROWS, device=batch.weights.device) % 3 != 0
        weighted = replace(batch, weights=torch.where(kept, batch.weights, torch.zeros_like(batch.weights)))
        left = _taken(batch, kept.nonzero().squeeze(1))
        assert_same_learning(objective, model, weighted, left, "a row of weight 0")

    def test_scale(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """Only the proportions of weights count: a term is a mean."""
        twice = replace(batch, weights=3 * batch.weights)
        assert_same_learning(objective, model, batch, twice, "a common factor of all weights")

    def test_repeated_row(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """For a supervised objective, weight 2 is the row given twice."""
        if not objective.supervised:
            return
        even = replace(batch, weights=torch.ones_like(batch.weights))
        rows = torch.arange(ROWS, device=batch.weights.device)
        heavy = replace(even, weights=torch.where(rows < 5, 2.0, 1.0))
        assert_same_learning(objective, model, heavy, _taken(even, torch.cat([rows, rows[:5]])), "a row given twice")

    def test_no_weight(self, objective: Objective, model: RowwiseModel, batch: Batch) -> None:
        """A batch of weight 0 gives no term, and no error."""
        empty = replace(batch, weights=torch.zeros_like(batch.weights))
        assert objective.terms(model, objective.before_batch(empty)) == {}, "a term from rows of weight 0"
