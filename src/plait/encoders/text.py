"""The text encoder: a weighted bag of subwords beside a small transformer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from torch import Tensor, nn

from plait.data.readers._base import Reader
from plait.data.readers.text import TextReader
from plait.encoders._base import ENCODERS, NEAR_RAW, Encoder, HiddenStates

HIDDEN = 64
"""Width of the bag's layer and of the last one."""

SMALL, LARGE = 32, 64
"""Width of the transformer, with a vocabulary under 4,096 subwords (some 80,000 characters to learn from) and above."""

SMALL_VOCABULARY = 4_096
BLOCKS = 2
HEADS = 4
ATTENDED = 128
"""Tokens that the transformer sees; the bag has all of them."""

DROPPED = 0.1
"""Share of tokens left out while training."""

SLOWLY = 0.1
"""The learned part of an embedding stands in units of this, so that it moves slowly from what was fitted."""

SHARE = 0.1
"""The transformer's part in the last layer stands in units of this: the bag is learned first."""

COUNTED = 64
"""Rows whose tokens are counted at once while fitting."""


class Bag(nn.Module):
    """Subwords without their order: tf-idf, (1 + log count) (1 + log((1 + rows) / (1 + rows with it))), of unit length.

    Weights of Salton & Buckley (1988), with the smoothing of scikit-learn's TfidfTransformer.

    Args:
        vocabulary: Ids run from 1 to this number.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.rarity: Tensor
        self.register_buffer("rarity", torch.ones(vocabulary))

    def counts(self, ids: Tensor) -> Tensor:
        """[B, T] of ids, 0 where there is none, to how often each stands in a row, [B, vocabulary]."""
        found = torch.zeros(len(ids), len(self.rarity) + 1, device=ids.device)
        return found.scatter_add_(1, ids, torch.ones_like(ids, dtype=found.dtype))[:, 1:]

    def fit(self, ids: Tensor) -> None:
        """Count in how many training rows, [rows, T], a subword stands."""
        rows = torch.zeros_like(self.rarity)
        for piece in _pieces(ids):
            rows += (self.counts(piece) > 0).sum(0)
        self.rarity.copy_(1 + ((1 + len(ids)) / (1 + rows)).log())

    def forward(self, ids: Tensor) -> Tensor:
        """[B, T] of ids to [B, vocabulary]."""
        counts = self.counts(ids)
        weights = torch.where(counts > 0, 1 + counts.clamp_min(1).log(), 0) * self.rarity
        return F.normalize(weights, dim=1)


def _pieces(ids: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(ids), COUNTED):
        yield ids[start : start + COUNTED]


class Block(nn.Module):
    """A transformer block, normalised before each half (Xiong et al. 2020).

    Args:
        width: Width of the tokens.
        heads: Attention heads.
        dropout: Of both halves' results.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width, bias=False)
        self.told = nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """[B, T, width] and [B, T] of bool, whether a token may be seen, to [B, T, width]."""
        rows, length, width = tokens.shape
        split = self.asked(self.before(tokens)).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # [B, heads, T, width / heads]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None])
        tokens = tokens + self.dropout(self.told(mixed.transpose(1, 2).reshape(rows, length, width)))
        changed: Tensor = self.dense(tokens)
        return tokens + changed


@ENCODERS.register("subwords")
class TextEncoder(Encoder):
    """A bag of subwords and a small transformer, joined in the last layer.

    Layer 0: the tf-idf bag on its (up to) 512 leading singular directions (latent semantic analysis, Deerwester et al.
    1990), turned at random, so that all numbers are of one size and a linear model on them is nearly one on the whole
    bag. Layer 1: a dense layer over that. Layers 2 and 3: the mean token after either block of the transformer, whose
    tokens are known by their leading singular directions beside what is learned. Layer 4: a dense layer over layers 1
    and 3. Where texts are few the bag alone is best (measured: `docs/decisions.md`), so the transformer's part grows
    slowly. While training, a tenth of the tokens is left out.
    """

    kind: ClassVar[str] = "text"
    learning_rate: ClassVar[float] = 1e-3

    def __init__(self, vocabulary: int, length: int) -> None:
        super().__init__()
        self.near_raw, self.length = min(vocabulary, NEAR_RAW), min(length, ATTENDED)
        self.width = SMALL if vocabulary < SMALL_VOCABULARY else LARGE
        self.bag = Bag(vocabulary)
        self.components: Tensor
        self.known: Tensor
        self.register_buffer("components", torch.zeros(vocabulary, self.near_raw))
        self.register_buffer("known", torch.zeros(vocabulary + 1, self.width))
        self.words = _dense(self.near_raw)
        self.embedding = nn.Embedding(vocabulary + 1, self.width, padding_idx=0)
        self.position = nn.Parameter(0.02 * torch.randn(self.length, self.width))
        self.blocks = nn.ModuleList(Block(self.width, HEADS, 0.2) for _ in range(BLOCKS))
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in range(BLOCKS))
        self.branch = nn.Dropout1d(0.5)
        self.joint = _dense(HIDDEN + self.width)

    @classmethod
    def build(cls, reader: Reader) -> Self:
        """An encoder for the reader's vocabulary and length."""
        if not isinstance(reader, TextReader):
            raise TypeError(f"{cls.__name__} reads text, not {reader.kind}")
        return cls(reader.vocabulary, reader.tokens)

    @torch.no_grad()
    def fit_input(self, values: NDArray[Any], seed: int = 0) -> None:
        """Fit the weights of the bag, and the singular directions of its training rows."""
        from sklearn.utils.extmath import randomized_svd

        if len(values) == 0:
            return
        ids = torch.from_numpy(np.asarray(values)).long()
        self.bag.fit(ids)
        bags = vstack([csr_matrix(self.bag(piece).numpy()) for piece in _pieces(ids)])
        rank = min(self.near_raw, *bags.shape)
        _, _, found = randomized_svd(bags, rank, n_iter=4, random_state=seed)
        directions = torch.from_numpy(found.T.astype(np.float64))  # [vocabulary, rank]
        normal = np.random.default_rng(seed).normal(size=(self.near_raw, rank))
        turn = torch.from_numpy(np.linalg.qr(normal)[0].T.copy())  # [rank, near_raw], rows orthonormal
        self.components.copy_(directions @ turn * self.near_raw**0.5)
        leading = directions[:, : self.width] * self.bag.rarity[:, None]
        self.known.zero_()
        self.known[1:, : leading.shape[1]] = leading * (0.5 / leading.std().clamp_min(1e-6))

    def forward(self, values: Tensor) -> HiddenStates:
        """[B, T] of ids, 0 where there is none, to the layers; tokens are the last block's first 128."""
        ids = values.long()
        if self.training:
            ids = torch.where(torch.rand(ids.shape, device=ids.device) < DROPPED, 0, ids)
        near_raw = self.bag(ids) @ self.components
        layers = [near_raw, self.words(near_raw)]
        ids = ids[:, : self.length]
        real = ids > 0  # [B, T]
        share = real[:, :, None] / real.sum(1).clamp_min(1)[:, None, None]
        seen = real.clone()
        seen[:, 0] |= ~real.any(1)  # attention needs something to see, though nobody reads what comes of it
        tokens = self.known[ids] + SLOWLY * self.embedding(ids) + self.position
        for block, norm in zip(self.blocks, self.norms, strict=True):
            tokens = block(tokens, seen)
            layers.append((norm(tokens) * share).sum(1))
        branch = self.branch(layers[-1][:, None])[:, 0]  # the whole of it is dropped, or nothing
        layers.append(self.joint(torch.cat([layers[1], SHARE * branch], dim=1)))
        return HiddenStates(tuple(layers), tokens, real)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of layers 0..L."""
        return (self.near_raw, HIDDEN, *[self.width] * BLOCKS, HIDDEN)


def _dense(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.5), nn.Linear(width, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU())
