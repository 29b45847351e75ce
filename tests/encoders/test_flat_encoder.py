"""Standardising, principal components and piecewise linear encoding of flat inputs, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import one_hot

from plait.data.readers import TabularReader, VectorReader
from plait.data.readers.tabular import Field
from plait.encoders import TabularEncoder, VectorEncoder
from plait.encoders._base import Mlp, Reduce


def vectors(rows: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(rows, 5)) @ rng.normal(size=(5, width)) + 0.1 * rng.normal(size=(rows, width))
    return (mixed * rng.uniform(0.1, 9, width) + rng.normal(0, 5, width)).astype(np.float32)


def vector_encoder(values: np.ndarray) -> VectorEncoder:
    encoder = VectorEncoder.build(VectorReader(width=values.shape[1]))
    encoder.fit_input(values)
    return encoder.eval()


def tabular_encoder(values: np.ndarray, categories: tuple[int, ...] = ()) -> TabularEncoder:
    """Numbers first, then one column per number of categories."""
    plain = values.shape[1] - len(categories)
    fields = [Field(name=f"n{i}", kind="numeric", start=i, width=1) for i in range(plain)]
    fields += [
        Field(name=f"c{i}", kind="categorical", start=plain + i, width=1, categories=tuple(map(str, range(count))))
        for i, count in enumerate(categories)
    ]
    encoder = TabularEncoder.build(TabularReader(fields=tuple(fields)))
    encoder.fit_input(values.astype(np.float32))
    return encoder.eval()


def piecewise(numbers: np.ndarray, edges: np.ndarray, limited: bool) -> np.ndarray:
    """Gorishniy et al. 2022, eq. 1, written out; `limited`: outer bins end 2 widths beyond the edges.

    e_t = 0 if x < b_{t-1} and t > 1;  1 if x >= b_t and t < T;  (x - b_{t-1}) / (b_t - b_{t-1}) otherwise.
    """
    bins = len(edges) - 1
    found = np.zeros((len(numbers), bins))
    for row, x in enumerate(numbers):
        for t in range(1, bins + 1):
            low, high = edges[t - 1], edges[t]
            if x < low and t > 1:
                value = 0.0
            elif x >= high and t < bins:
                value = 1.0
            elif high == low:
                value = float(x >= high)
            else:
                value = (x - low) / (high - low)
            found[row, t - 1] = np.clip(value, -2, 3) if limited else value
    return found


def encoded(encoder: TabularEncoder, values: np.ndarray) -> np.ndarray:
    numbers, _, empty = encoder._standardised(torch.from_numpy(values.astype(np.float32)))
    return encoder._piecewise(numbers, empty).numpy()


def test_vectors_are_standardised_by_training_rows() -> None:
    train, new = vectors(50, 6), vectors(20, 6, seed=1)
    train[:, 3] = 7.0
    found = vector_encoder(train)(torch.from_numpy(new)).layers[0].numpy()
    deviation = np.where(train.astype(float).std(0) > 0, train.astype(float).std(0), 1)
    expected = ((new - train.astype(float).mean(0)) / deviation).clip(-20, 20)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-20, 1e-9, 1.0, 1e9, 1e20])
def test_the_unit_of_a_number_does_not_matter(scale) -> None:
    values = vectors(50, 4)
    plain = vector_encoder(values)(torch.from_numpy(values)).layers[0]
    scaled = (values.astype(np.float64) * scale).astype(np.float32)
    torch.testing.assert_close(vector_encoder(scaled)(torch.from_numpy(scaled)).layers[0], plain, rtol=1e-4, atol=1e-4)
    table = tabular_encoder(scaled)(torch.from_numpy(scaled)).layers[0][:, :4]
    torch.testing.assert_close(table, plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        encoded(tabular_encoder(scaled), scaled), encoded(tabular_encoder(values), values), atol=1e-4
    )


def test_rounding_is_not_blown_up() -> None:
    values = np.full((40, 1), 1e6, np.float32)
    values[::2] += 0.0625  # the next number that 32 bits hold
    found = vector_encoder(values)(torch.from_numpy(values)).layers[0]
    assert float(found.abs().max()) <= 0.0625


def test_outliers_are_clipped() -> None:
    values = vectors(50, 3)
    new = np.array([[1e30, -1e30, 0]], np.float32)
    assert vector_encoder(values)(torch.from_numpy(new)).layers[0][0, :2].tolist() == [20, -20]


def test_wide_vectors_are_reduced_to_principal_components() -> None:
    rows, width = 40, 700
    values = vectors(rows, width)
    encoder = vector_encoder(values)
    assert encoder.widths[0] == 512
    found = encoder(torch.from_numpy(values)).layers[0].numpy()
    scaled = (values.astype(np.float64) - values.astype(np.float64).mean(0)) / values.astype(np.float64).std(0)
    left, singular, _ = np.linalg.svd(scaled - scaled.mean(0), full_matrices=False)
    leading = 20  # past those, singular values are too near each other to tell components apart
    np.testing.assert_allclose(np.abs(found[:, :leading]), np.abs(left * singular)[:, :leading], atol=2e-2)
    np.testing.assert_allclose(found @ found.T, scaled @ scaled.T, rtol=1e-3, atol=0.5)  # nothing is lost
    assert (found[:, rows:] == 0).all()


@pytest.mark.parametrize(("rows", "out"), [(0, 1), (40, 40), (511, 511), (512, 512), (9_999, 512), (None, 512)])
def test_no_more_components_than_training_rows(rows: int | None, out: int) -> None:
    encoder = VectorEncoder.build(VectorReader(width=600, rows=rows))
    assert encoder.widths[0] == out
    assert VectorEncoder.build(VectorReader(width=100, rows=rows)).widths[0] == 100  # as it is


def test_leaving_out_components_that_are_0_changes_nothing() -> None:
    values = vectors(40, 600)
    whole = vector_encoder(values)
    few = VectorEncoder.build(VectorReader(width=600, rows=40))
    few.fit_input(values)
    assert torch.equal(few.reduce.components, whole.reduce.components[:, :40])


def test_components_are_fitted_on_what_is_encoded() -> None:
    values = vectors(40, 600)
    values[0] = 1e6  # clipped before it is encoded, so it must not rule the components either
    encoder = vector_encoder(values)
    clipped = encoder._scaled(torch.from_numpy(values))
    other = Reduce(600)
    other.fit(clipped)
    torch.testing.assert_close(encoder.reduce.components, other.components)


def test_components_are_those_of_centred_rows() -> None:
    values = vectors(40, 600) + 100  # far from 0: uncentred, the first component would be the mean
    reduce = Reduce(600)
    reduce.fit(torch.from_numpy(values))
    centred = values.astype(np.float64) - values.astype(np.float64).mean(0)
    right = np.linalg.svd(centred, full_matrices=False)[2][:5]
    np.testing.assert_allclose(np.abs(right @ reduce.components[:, :5].numpy()), np.eye(5), atol=1e-2)


def test_components_of_many_rows_are_fitted_on_evenly_spaced_ones() -> None:
    values = torch.from_numpy(vectors(2000, 520))
    whole, half = Reduce(520), Reduce(520)
    whole.fit(values)
    half.fit(values[::2].clone())
    assert torch.equal(whole.components, half.components)
    torch.testing.assert_close(whole.components.T @ whole.components, torch.eye(512), rtol=0, atol=1e-5)


def test_rows_that_do_not_differ_have_no_components() -> None:
    reduce = Reduce(600)
    reduce.fit(torch.ones(30, 600))
    assert not bool(reduce.components.any())
    reduce.fit(torch.zeros(0, 600))
    assert not bool(reduce.components.any())


def test_narrow_inputs_are_not_reduced() -> None:
    reduce = Reduce(512)
    values = torch.randn(3, 512)
    reduce.fit(values)
    assert reduce(values) is values
    assert reduce.state_dict() == {}


def test_hidden_layers_of_the_perceptron_are_the_states() -> None:
    mlp = Mlp(3, (5, 4)).eval()
    values = torch.randn(6, 3)
    first = torch.relu(mlp.layers[0][1](values) / (1 + 1e-5) ** 0.5)
    second = torch.relu(mlp.layers[1][1](first) / (1 + 1e-5) ** 0.5)
    for found, expected in zip(mlp(values), (first, second), strict=True):
        torch.testing.assert_close(found, expected)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_piecewise_linear_encoding(seed, rounded) -> None:
    rng = np.random.default_rng(seed)
    train = rng.normal(5, 2, 60) if not rounded else rng.integers(0, 9, 60)  # equal quantiles
    train = train.astype(np.float32).astype(np.float64)
    edges = np.quantile(train, np.linspace(0, 1, TabularEncoder.BINS + 1)).astype(np.float32).astype(np.float64)
    encoder = tabular_encoder(train[:, None])
    inside = rng.uniform(train.min(), train.max(), 30).astype(np.float32).astype(np.float64)
    inside = np.concatenate([inside, train[:10]])
    np.testing.assert_allclose(encoded(encoder, inside[:, None]), piecewise(inside, edges, False), atol=1e-3)
    outside = rng.normal(5, 200, 30).astype(np.float32).astype(np.float64)
    found = encoded(encoder, outside[:, None])
    expected = piecewise(outside, edges, True)
    if edges[0] == edges[1]:  # eq. 1 has nothing to say on a first bin without width
        expected[:, 0] = outside >= edges[0]
    if edges[-2] == edges[-1]:
        expected[:, -1] = outside >= edges[-1]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_piecewise_encoding_is_a_staircase_of_its_number() -> None:
    values = np.linspace(0, 16, 161)[:, None]
    encoder = tabular_encoder(values)
    np.testing.assert_allclose(encoded(encoder, values).sum(1), values[:, 0], atol=1e-4)  # bins of width 1
    beyond = encoded(encoder, np.array([[-1.0], [-50.0], [17.0], [50.0]]))
    assert beyond.sum(1).tolist() == pytest.approx([-1, -2, 17, 18])


@pytest.mark.parametrize("constant", [0.0, 3.0, 1e12, -1e-12])
def test_constant_columns(constant) -> None:
    encoder = tabular_encoder(np.full((20, 1), constant))
    states = encoder(torch.tensor([[constant], [constant + 1], [float("nan")]]))
    assert all(bool(layer.isfinite().all()) for layer in states.layers)
    assert states.layers[0][0].tolist() == [0, 0]
    below, at = encoded(encoder, np.array([[constant - abs(constant) - 1], [constant]]))
    assert below.tolist() == [0] * 16
    assert at.tolist() == [1] * 16


def test_empty_cells() -> None:
    values = np.array([[1.0, np.nan], [3.0, 4.0], [np.nan, 8.0]])
    encoder = tabular_encoder(values)
    near = encoder(torch.from_numpy(values).float()).layers[0]
    expected = torch.tensor([[-1.0, 0, 0, 1], [1, -1, 0, 0], [0, 1, 1, 0]])  # standardised, then marks
    torch.testing.assert_close(near, expected)
    assert (encoded(encoder, values)[0, 16:] == 0).all()
    assert (encoded(encoder, values)[2, :16] == 0).all()


def test_a_column_that_training_never_filled() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan]])
    encoder = tabular_encoder(values)
    states = encoder(torch.tensor([[2.0, 500.0], [2.0, float("nan")]]))
    assert all(bool(layer.isfinite().all()) for layer in states.layers)


def test_categories() -> None:
    values = np.array([[1.0], [2.0], [3.0], [np.nan], [0.0]])
    encoder = tabular_encoder(values, (3,))
    tensor = torch.from_numpy(values).float()
    assert encoder._category_codes(tensor)[:, 0].tolist() == [1, 2, 3, 4, 0]  # unseen 0, empty last
    near = encoder(tensor).layers[0]
    assert torch.equal(near, one_hot(torch.tensor([1, 2, 3, 0, 0]), 32).float())
    hidden = encoder(tensor).layers[1]
    assert len({tuple(row.tolist()) for row in hidden}) == 5  # unseen and empty are told apart further on


def test_columns_of_categories_do_not_share_vectors() -> None:
    encoder = tabular_encoder(np.array([[1.0, 1.0], [2.0, 2.0]]), (2, 2))
    codes = encoder._category_codes(torch.tensor([[1.0, 1.0]])) + encoder.offsets
    assert codes.tolist() == [[1, 5]]
    assert encoder.embedding is not None
    assert encoder.embedding.num_embeddings == 8
    encoder(torch.tensor([[1.0, 1.0]])).layers[-1].square().sum().backward()
    assert encoder.embedding.weight.grad.any(dim=1).nonzero().flatten().tolist() == [1, 5]


def test_categories_beyond_the_first_31_have_no_column_of_their_own() -> None:
    encoder = tabular_encoder(np.arange(1, 41.0)[:, None], (40,))
    near = encoder(torch.tensor([[31.0], [32.0], [40.0]])).layers[0]
    assert near.argmax(1).tolist() == [31, 0, 0]


def test_only_table_columns_are_read() -> None:
    with pytest.raises(TypeError, match="TabularEncoder reads tabular, not vector"):
        TabularEncoder.build(VectorReader(width=3))
