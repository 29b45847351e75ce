"""The text encoder: its bag against scikit-learn, its attention against the formula, its padding against none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer

from plait.data.readers import TextReader, VectorReader
from plait.encoders import TextEncoder
from plait.encoders.text import ATTENDED, LARGE, SMALL, SMALL_VOCABULARY, Bag, Block
from plait.training.loop import seeded_build


def ids_of(rows: int, tokens: int, vocabulary: int = 256, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ids = rng.zipf(1.3, (rows, tokens)).clip(1, vocabulary)
    ids[np.arange(tokens) >= rng.integers(1, tokens + 1, (rows, 1))] = 0
    return ids.astype(np.int16)


def encoder_of(tokens: int = 12, seed: int = 0) -> TextEncoder:
    with seeded_build(seed, "encoder"):
        return TextEncoder.build(TextReader(merges="", tokens=tokens, fold=True))


def test_the_bag_is_tf_idf() -> None:
    ids = ids_of(150, 12)
    bag = Bag(256)
    bag.fit(torch.from_numpy(ids).long())
    counts = np.stack([np.bincount(row, minlength=257)[1:] for row in ids])
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(counts).toarray()
    np.testing.assert_allclose(bag(torch.from_numpy(ids).long()), expected, atol=1e-6)


def test_layer_0_keeps_the_geometry_of_the_bag() -> None:
    ids = ids_of(40, 12)
    encoder = encoder_of().eval()
    encoder.fit_input(ids)
    near_raw = encoder(torch.from_numpy(ids)).layers[0].detach().double()
    bag = encoder.bag(torch.from_numpy(ids).long()).double()
    # 40 rows have 40 directions: none is lost, and turning them leaves products as they are.
    torch.testing.assert_close(near_raw @ near_raw.T / encoder.near_raw, bag @ bag.T, atol=1e-4, rtol=1e-4)


def test_the_input_is_fitted_the_same_again() -> None:
    one, two = encoder_of(), encoder_of()
    for encoder in (one, two):
        encoder.fit_input(ids_of(40, 12), seed=3)
    assert torch.equal(one.components, two.components)
    assert torch.equal(one.known, two.known)


def test_a_block_is_attention_over_what_is_seen() -> None:
    block = Block(8, 2, 0.0).eval()
    tokens, seen = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([[5], [3], [1]])
    found = block(tokens, seen)
    for row in range(3):
        x = block.before(tokens[row])
        query, key, value = block.asked(x).split(8, dim=1)
        heads = []
        for half in (slice(0, 4), slice(4, 8)):
            weights = (query[:, half] @ key[:, half].T / 2).masked_fill(~seen[row], -torch.inf).softmax(1)
            heads.append(weights @ value[:, half])
        middle = tokens[row] + block.told(torch.cat(heads, dim=1))
        torch.testing.assert_close(found[row], middle + block.dense(middle), atol=1e-5, rtol=1e-5)


def test_padding_does_not_matter() -> None:
    ids = torch.from_numpy(ids_of(6, 12))
    padded = torch.cat([ids, torch.zeros(6, 30, dtype=torch.int16)], dim=1)
    short, long = encoder_of(12), encoder_of(42)
    short.fit_input(ids.numpy())
    state = short.state_dict()
    state["position"] = torch.cat([state["position"], torch.randn(30, SMALL)])
    long.load_state_dict(state)
    for one, two in zip(short.eval()(ids).layers, long.eval()(padded).layers, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_the_transformer_sees_the_beginning_and_the_bag_all() -> None:
    ids = torch.from_numpy(ids_of(4, 400)).clamp_min(1)
    encoder = encoder_of(400).eval()
    encoder.fit_input(ids.numpy())
    other = ids.clone()
    other[:, -1] = 200
    one, two = encoder(ids), encoder(other)
    assert one.tokens is not None
    assert one.tokens.shape == (4, ATTENDED, SMALL)
    assert (one.layers[0] != two.layers[0]).any()
    torch.testing.assert_close(one.layers[2], two.layers[2])


def test_order_matters_beyond_the_bag() -> None:
    encoder = encoder_of().eval()
    encoder.fit_input(ids_of(40, 12))
    one = encoder(torch.tensor([[1, 2, 3] + [0] * 9], dtype=torch.int16)).layers
    two = encoder(torch.tensor([[3, 2, 1] + [0] * 9], dtype=torch.int16)).layers
    torch.testing.assert_close(one[0], two[0])
    assert (one[2] - two[2]).abs().max() > 1e-4


@pytest.mark.parametrize(("vocabulary", "width"), [(SMALL_VOCABULARY - 1, SMALL), (SMALL_VOCABULARY, LARGE)])
def test_width(vocabulary: int, width: int) -> None:
    assert TextEncoder(vocabulary, 8).widths == (512, 64, width, width, 64)


def test_only_text_is_read() -> None:
    with pytest.raises(TypeError, match="TextEncoder reads text, not vector"):
        TextEncoder.build(VectorReader(width=3))
