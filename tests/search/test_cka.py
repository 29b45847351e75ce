"""Linear CKA against Gram matrices written out, its invariances, and similarities of layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.search import cka
from plait.search.cka import layer_similarities, linear_cka

SHAPES = [(30, 4, 6), (30, 1, 3), (30, 29, 30), (30, 31, 4), (10, 40, 50), (10, 3, 50), (2, 1, 1), (2, 5, 5)]
"""Rows, and two widths: narrower and wider than there are rows."""


def pair(rows: int, one: int, other: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two layers that share a part."""
    rng = np.random.default_rng([seed, rows, one, other])
    shared = rng.normal(size=(rows, 2))
    x = shared @ rng.normal(size=(2, one)) + 0.5 * rng.normal(size=(rows, one)) + 3
    y = shared @ rng.normal(size=(2, other)) + 0.5 * rng.normal(size=(rows, other)) - 1
    return x, y


def by_gram_matrices(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al. 2019, eq. 1-3: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), the centring matrix written out."""
    rows = len(x)
    centring = np.eye(rows) - np.ones((rows, rows)) / rows

    def hsic(k: np.ndarray, other: np.ndarray) -> float:
        return float(np.trace(k @ centring @ other @ centring)) / (rows - 1) ** 2

    k, gram = x @ x.T, y @ y.T
    return hsic(k, gram) / np.sqrt(hsic(k, k) * hsic(gram, gram))


def rotation(size: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng([seed, size]).normal(size=(size, size)))[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_formula(shape) -> None:
    x, y = pair(*shape)
    assert linear_cka(x, y) == pytest.approx(by_gram_matrices(x, y), rel=1e-9)
    assert 0 < linear_cka(x, y) <= 1 + 1e-12


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rotation_scale_shift_and_order_do_not_matter(shape) -> None:
    x, y = pair(*shape)
    expected = linear_cka(x, y)
    assert linear_cka(x @ rotation(x.shape[1]), y @ rotation(y.shape[1], 1)) == pytest.approx(expected, rel=1e-9)
    assert linear_cka(-7 * x, 1e-3 * y) == pytest.approx(expected, rel=1e-9)
    assert linear_cka(x + 5, y - np.arange(y.shape[1])) == pytest.approx(expected, rel=1e-8)
    assert linear_cka(y, x) == pytest.approx(expected, rel=1e-12)
    rows = np.random.default_rng(0).permutation(len(x))
    assert linear_cka(x[rows], y[rows]) == pytest.approx(expected, rel=1e-9)


def test_what_is_not_invariant() -> None:
    """Any other linear map changes it, and so does another order of rows in one of the two."""
    x, y = pair(30, 4, 6)
    assert linear_cka(x * [1, 5, 1, 1], y) != pytest.approx(linear_cka(x, y), rel=1e-2)
    assert linear_cka(x[::-1], y) < 0.7 * linear_cka(x, y)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer_is_like_itself_however_it_is_turned(shape) -> None:
    x, _ = pair(*shape)
    assert linear_cka(x, x) == pytest.approx(1, rel=1e-12)
    assert linear_cka(x, 2 * x @ rotation(x.shape[1]) + 1) == pytest.approx(1, rel=1e-9)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_wide_and_narrow_layers_go_by_the_same_number(one, other, seed) -> None:
    """Columns of zeros change nothing but the way it is computed."""
    x, y = pair(8, one, other, seed)
    wide = np.concatenate([x, np.zeros((8, 20))], axis=1)
    assert linear_cka(wide, y) == pytest.approx(linear_cka(x, y), rel=1e-9)
    assert linear_cka(y, wide) == pytest.approx(linear_cka(x, y), rel=1e-9)


def test_unlike_layers() -> None:
    x, y = np.zeros((40, 3)), np.zeros((40, 3))
    x[:20] = np.random.default_rng(0).normal(size=(20, 3))
    x[:20] -= x[:20].mean(0)
    y[20:] = np.random.default_rng(1).normal(size=(20, 3))
    y[20:] -= y[20:].mean(0)
    assert linear_cka(x, y) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("width", [3, 50])
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e6 / 3, 1e-9])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_constant_layer_is_like_nothing(width, value, kind) -> None:
    """Also where its mean is no exact number."""
    constant, (x, _) = np.full((23, width), value, kind), pair(23, 5, 5)
    assert linear_cka(constant, x) == 0
    assert linear_cka(x, constant) == 0
    assert linear_cka(constant, constant) == 0


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_small_and_large_numbers(scale) -> None:
    x, y = pair(30, 4, 6)
    small = (scale * x).astype(np.float32)
    assert linear_cka(small, y.astype(np.float32)) == pytest.approx(linear_cka(x, y), rel=1e-4)


# Similarities of layers

WIDTHS = {"b": (3, 2), "a": (4, 5, 2), "c": (6,)}
ROWS = 50


def made(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    states = {name: rng.normal(size=(ROWS, sum(widths))).astype(np.float32) for name, widths in WIDTHS.items()}
    return states, {name: rng.random(ROWS) < 0.7 for name in WIDTHS}


def test_all_pairs_of_layers_of_different_modalities() -> None:
    states, present = made()
    rows = np.arange(10, 40)
    told = layer_similarities(states, present, WIDTHS, rows)
    expected = {
        (one, i, other, j)
        for one in WIDTHS
        for other in WIDTHS
        if one < other
        for i in range(len(WIDTHS[one]))
        for j in range(len(WIDTHS[other]))
    }
    assert set(told) == expected
    assert len(expected) == 3 * 2 + 3 * 1 + 2 * 1
    both = rows[present["a"][rows] & present["b"][rows]]
    second, last = states["a"][both, 4:9], states["b"][both, 3:]
    assert told["a", 1, "b", 1] == pytest.approx(by_gram_matrices(second.astype(float), last.astype(float)), rel=1e-6)
    assert len(set(told.values())) == len(told)


def test_only_the_given_rows_that_have_both_count() -> None:
    states, present = made()
    rows = np.arange(10, 40)
    expected = layer_similarities(states, present, WIDTHS, rows)
    spoilt = {name: values.copy() for name, values in states.items()}
    for name, values in spoilt.items():
        values[:10] = values[40:] = 1e6
        values[~present[name]] = np.nan
    assert layer_similarities(spoilt, present, WIDTHS, rows) == expected
    assert layer_similarities(states, present, WIDTHS, np.arange(0, 30)) != expected
    everywhere = {name: np.ones(ROWS, bool) for name in WIDTHS}
    assert layer_similarities(states, everywhere, WIDTHS, rows) != expected


@pytest.mark.parametrize("both", [0, 1])
def test_modalities_that_hardly_meet_are_unlike(both) -> None:
    states, _ = made()
    present = {"a": np.arange(ROWS) < 25, "b": np.arange(ROWS) >= 25 - both, "c": np.ones(ROWS, bool)}
    told = layer_similarities(states, present, WIDTHS, np.arange(ROWS))
    assert {value for (one, _, other, _), value in told.items() if (one, other) == ("a", "b")} == {0.0}
    assert all(value > 0 for (_, _, other, _), value in told.items() if other == "c")
    nothing = layer_similarities(states, present, WIDTHS, np.arange(0))
    assert set(nothing.values()) == {0.0}
    assert set(nothing) == set(told)


def test_of_many_rows_some_are_drawn_by_the_seed(monkeypatch) -> None:
    monkeypatch.setattr(cka, "MOST_ROWS", 20)
    states, present = made()
    told = [layer_similarities(states, present, WIDTHS, np.arange(ROWS), seed) for seed in (0, 0, 1)]
    assert told[0] == told[1]
    assert told[0] != told[2]
    few = np.arange(15)
    whole = layer_similarities(states, present, WIDTHS, few, 0)
    assert whole == layer_similarities(states, present, WIDTHS, few[::-1], 1)  # all are used, in one order
