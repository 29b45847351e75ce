"""The model class: unimodal networks, cached states in their place, prediction in order and without company."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_training import KIND, SIZE, model_of, rows_of

from plait.data.readers import VectorReader
from plait.encoders import VectorEncoder
from plait.fusion import SingleModality
from plait.training import CachedStates, Model, Readout, UnimodalNetwork


def test_a_unimodal_network_adds_its_outputs_as_the_last_layer() -> None:
    network = UnimodalNetwork(VectorEncoder.build(VectorReader(width=4)), (KIND, SIZE)).eval()
    values = torch.randn(5, 4)
    states, inner = network(values), network.encoder(values)
    assert network.widths == (*network.encoder.widths, 3)
    assert [layer.shape[1] for layer in states.layers] == list(network.widths)
    torch.testing.assert_close(states.layers[-1], network.head(inner.layers[-1]))


def test_a_frozen_encoder_stays_as_it_is_while_the_heads_learn() -> None:
    network = UnimodalNetwork(VectorEncoder.build(VectorReader(width=4)), (KIND, SIZE), frozen=True)
    before = {name: tensor.clone() for name, tensor in network.encoder.state_dict().items()}
    assert not any(module.training for module in network.encoder.modules())
    network.eval().requires_grad_(False)
    network.train().requires_grad_(True)
    assert network.head.training
    assert not any(module.training for module in network.encoder.modules())
    values = torch.randn(8, 4)
    network(values).layers[-1].sum().backward()
    assert network.head.weight.grad is not None
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.encoder.state_dict().items())
    learning = UnimodalNetwork(VectorEncoder.build(VectorReader(width=4)), (KIND, SIZE)).train()
    assert all(module.training for module in learning.encoder.modules())


def test_heads_alone_stand_for_a_network_whose_last_layer_is_known() -> None:
    network = UnimodalNetwork(VectorEncoder.build(VectorReader(width=4)), (KIND, SIZE), frozen=True)
    states = network(torch.randn(5, 4))
    torch.testing.assert_close(Readout(network.head)(states.layers[-2]).layers[-1], states.layers[-1])


def test_cached_states_stand_for_the_network() -> None:
    model, rows = model_of().eval(), rows_of(20)
    expected = model.predict(rows)
    flat = {}
    with torch.no_grad():
        for name, network in zip(model.names, model.networks, strict=True):
            flat[name] = torch.cat(network(torch.from_numpy(rows.inputs[name])).layers, dim=1).numpy()
    stand_ins = {name: CachedStates(network.widths) for name, network in zip(model.names, model.networks, strict=True)}
    cached = Model(stand_ins, model.decision, model.tasks)
    for name, values in cached.predict(replace(rows, inputs=flat)).items():
        torch.testing.assert_close(values, expected[name])


@pytest.mark.parametrize("size", [1, 3, 20, 256])
def test_predictions_come_in_order_whatever_the_batch(size) -> None:
    model, rows = model_of(), rows_of(20)
    model.train()
    order = np.random.default_rng(0).permutation(20)
    whole = model.predict(rows)
    for name, values in model.predict(rows.at(order), size).items():
        torch.testing.assert_close(values, whole[name][torch.from_numpy(order)], rtol=1e-5, atol=1e-5)
    assert not model.training


def test_no_rows() -> None:
    told = model_of().predict(rows_of(5).at(np.zeros(0, np.int64)))
    assert {name: tuple(values.shape) for name, values in told.items()} == {"kind": (0, 2), "size": (0, 1)}


def test_a_model_without_weights_predicts() -> None:
    states = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    model = Model({"a": CachedStates([3])}, SingleModality("a", (KIND, SIZE)), (KIND, SIZE))
    rows = replace(rows_of(6), inputs={"a": states}, present={"a": np.arange(6) != 2})
    told = model.predict(rows)
    assert told["kind"][2].tolist() == pytest.approx(KIND.prior)
    np.testing.assert_array_equal(told["size"][[0, 5], 0], states[[0, 5], 2])


def test_what_an_absent_row_holds_does_not_matter() -> None:
    model, rows = model_of(), rows_of(30)
    spoilt = {name: np.where(rows.present[name][:, None], v, np.float32(1e6)) for name, v in rows.inputs.items()}
    told = model.predict(replace(rows, inputs=spoilt))
    for name, values in model.predict(rows).items():
        torch.testing.assert_close(told[name], values, rtol=0, atol=0)
