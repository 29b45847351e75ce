"""The supervised objective, against its formula in NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plait.objectives import OBJECTIVES, Supervised
from plait.testing.objectives import RowwiseModel, made_batch, made_tasks

CPU = torch.device("cpu")


def model_of() -> RowwiseModel:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return RowwiseModel(made_tasks())


@given(st.integers(0, 2**32 - 1))
def test_weighted_mean_over_labelled_rows(seed) -> None:
    model, batch = model_of(), made_batch(CPU, seed % 1000)
    terms = Supervised().terms(model, batch)
    outputs = {n: v.detach().double().numpy() for n, v in model.outputs(model.hidden(batch), batch).items()}
    weights = batch.weights.double().numpy()
    truth = batch.targets["kind"].numpy().astype(int)
    chances = np.exp(outputs["kind"]) / np.exp(outputs["kind"]).sum(1, keepdims=True)
    losses = {
        "kind": -np.log(chances[np.arange(len(truth)), truth]),
        "size": (outputs["size"][:, 0] - batch.targets["size"].double().numpy()) ** 2,
    }
    assert set(terms) == {"supervised/kind", "supervised/size"}
    for name, loss in losses.items():
        keep = batch.labelled[name].numpy()
        expected = (loss * weights)[keep].sum() / weights[keep].sum()
        assert float(terms[f"supervised/{name}"].detach()) == pytest.approx(expected, rel=1e-5)


def test_a_task_without_labels_has_no_term() -> None:
    batch = made_batch(CPU)
    labelled = {**batch.labelled, "size": torch.zeros(len(batch), dtype=torch.bool)}
    assert list(Supervised().terms(model_of(), replace(batch, labelled=labelled))) == ["supervised/kind"]


def test_classes_and_shares_weigh() -> None:
    model, batch = model_of(), made_batch(CPU)
    kind, size = model.tasks
    per_class = np.array([0.5, 1.0, 4.0])
    model.tasks = (kind.model_copy(update={"class_weights": tuple(per_class), "share": 0.25}), size)
    term = float(Supervised().terms(model, batch)["supervised/kind"].detach())
    outputs = model.outputs(model.hidden(batch), batch)["kind"].detach().double()
    truth, keep = batch.targets["kind"].long(), batch.labelled["kind"].numpy()
    losses = -outputs.log_softmax(1)[torch.arange(len(truth)), truth].numpy()
    weights = batch.weights.double().numpy() * per_class[truth.numpy()]
    assert term == pytest.approx(0.25 * (losses * weights)[keep].sum() / weights[keep].sum(), rel=1e-5)


def test_registered() -> None:
    assert OBJECTIVES["supervised"] is Supervised
    assert Supervised.supervised
