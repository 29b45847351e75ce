"""Reads text: subword tokens out of a vocabulary learned from the training rows."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plait.data.kinds import can_hold
from plait.data.readers._base import READERS, Reader, Reading
from plait.data.schema import Column
from plait.data.table import Table, sample_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from tokenizers import Tokenizer

MAX_CHARACTERS: Final = 4_000
"""Text is cut here before it is tokenized."""

MAX_TOKENS: Final = 512
MIN_TOKENS: Final = 8
COVERED: Final = 0.97
SAMPLE: Final = 20_000
"""Rows that the vocabulary is learned from."""

BYTES: Final = 256
FEWEST_MERGES: Final = 250
MOST_MERGES: Final = 7_744
CHARACTERS_PER_MERGE: Final = 20
LONGEST_TOKEN: Final = 24
"""Bytes of the longest token that is learned: a sentence that stands in many rows is no word."""

PAIRS: Final = 8_192
"""Columns that pairs of neighbouring tokens are counted in."""

PIECES: Final = r"\p{L}[\p{L}\p{M}]*(?:['\x{2019}]\p{L}[\p{L}\p{M}]*)*|\p{N}+|[^\s\p{L}\p{N}]+"
"""A word with its combining marks, a number, or a run of anything else (punctuation, emoji, control characters)."""

_WORD: Final = re.compile(r"[^\W\d_]+")


@READERS.register("text")
class TextReader(Reader):
    """Ids [tokens] of subwords, from 1; 0 is padding.

    Text is normalised (NFKC), cut into words, numbers and runs of other characters, and these into subwords: byte pair
    encoding over UTF-8 (Sennrich, Haddow & Birch 2016), so that every script works and no character is unknown. The
    merges are learned from up to 20,000 training rows, one for every 20 characters, from 250 to 7,744. Case is kept
    only where the training texts are not prose (formulas, codes). The length covers 97 % of the training rows, at most
    512 tokens; what is beyond it, or beyond 4,000 characters, is cut off.

    Attributes:
        merges: Pairs of subwords in the order of their learning, a line each, in the printable byte alphabet of GPT-2.
        tokens: Length of a row.
        fold: Whether upper and lower case are one.
    """

    kind: Literal["text"] = "text"
    merges: str
    tokens: int
    fold: bool

    @classmethod
    def fit(cls, cells: Table, columns: tuple[Column, ...]) -> Self:
        """Learn the vocabulary, and choose the length."""
        column = _as_text(cells.column(columns[0].name))
        if column is None:
            return cls(merges="", tokens=MIN_TOKENS, fold=True)
        texts = [text for text in column.take(pa.array(sample_rows(column, SAMPLE), pa.int64())).to_pylist() if text]
        fold = _is_prose(texts)
        reader = cls(merges=_learned([_normalised(text, fold) for text in texts]), tokens=MAX_TOKENS, fold=fold)
        lengths = [count for text in texts if (count := len(reader._ids(text)))]
        long = float(np.quantile(lengths, COVERED)) if lengths else 0
        return reader.model_copy(update={"tokens": int(np.clip(np.ceil(long), MIN_TOKENS, MAX_TOKENS))})

    def misfit(self, cells: Table, columns: tuple[Column, ...]) -> str | None:
        """Cells that are no text."""
        kind = cells.column(columns[0].name).type
        return None if can_hold("categorical", kind) else f"the cells here are {kind}, and it reads text"

    @property
    def vocabulary(self) -> int:
        """Ids run from 1 to this number: 256 bytes, and the merged subwords."""
        return len(_vocabulary(self.merges))

    @property
    def shape(self) -> tuple[int, ...]:
        """(tokens,)."""
        return (self.tokens,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """16-bit whole numbers."""
        return np.dtype(np.int16)

    def read(self, cells: Table) -> Reading:
        """Tokenize every row; numbers, truth values and dates are read as they are written."""
        reading = self.empty(len(cells))
        column = _as_text(cells.data.column(0))
        if column is None:
            kind = cells.data.column(0).type
            filled = np.flatnonzero(cells.data.column(0).is_valid().to_numpy())
            reading.bad = {int(row): f"not text but {kind}" for row in filled}
            return reading
        for row, text in enumerate(column.to_pylist()):
            ids = self._ids(text)[: self.tokens] if text else []
            reading.values[row, : len(ids)] = ids
            reading.present[row] = bool(ids)
        return reading

    def _ids(self, text: str) -> list[int]:
        """Ids of all tokens of a text."""
        encoded = _tokenizer(self.merges).encode(_normalised(text, self.fold), add_special_tokens=False)
        return [index + 1 for index in encoded.ids]

    def features(self, values: NDArray[Any]) -> csr_matrix:
        """How often every token, and every pair of neighbouring tokens, stands in a row; pairs share 8,192 columns.

        Args:
            values: Ids [rows, tokens].

        Returns:
            [rows, vocabulary + 8,192], 32-bit floating point.
        """
        from scipy.sparse import csr_matrix

        ids = np.asarray(values).astype(np.int64)
        pairs = np.where((ids[:, :-1] > 0) & (ids[:, 1:] > 0), _mixed(ids[:, :-1], ids[:, 1:]) + self.vocabulary, -1)
        places = np.concatenate([ids - 1, pairs], axis=1)
        rows, at = np.nonzero(places >= 0)
        columns = places[rows, at]
        shape = (len(ids), self.vocabulary + PAIRS)
        return csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def _mixed(one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """The column of a pair of ids: the highest bits of a product with the golden ratio (Knuth 1973, 6.4)."""
    keys = (one * 65_536 + two).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (keys >> np.uint64(64 - PAIRS.bit_length() + 1)).astype(np.int64)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The cells as text; None where they cannot be."""
    if not can_hold("categorical", column.type):
        return None
    return column.cast(pa.string())


def _normalised(text: str, fold: bool) -> str:
    """Text in the normal form NFKC, cut to 4,000 characters, perhaps without case."""
    text = unicodedata.normalize("NFKC", text.strip()[:MAX_CHARACTERS])[:MAX_CHARACTERS]
    return unicodedata.normalize("NFKC", text.casefold()) if fold else text


def _is_prose(texts: list[str]) -> bool:
    """Whether words, with spaces between them, are the most part of texts, as it is not in formulas and codes."""
    texts = texts[:: max(1, len(texts) // 1_000)]
    whole = sum(len(text) for text in texts)
    words = sum(len(found) for text in texts for found in _WORD.findall(text[:MAX_CHARACTERS]))
    spaces = sum(len(text.split()) > 1 for text in texts)
    return whole == 0 or (2 * words > sum(min(len(text), MAX_CHARACTERS) for text in texts) and 2 * spaces > len(texts))


def _learned(texts: list[str]) -> str:
    """The merges that byte pair encoding learns from texts, a line each."""
    import json

    from tokenizers.trainers import BpeTrainer

    wanted = int(np.clip(sum(map(len, texts)) // CHARACTERS_PER_MERGE, FEWEST_MERGES, MOST_MERGES))
    trainer = BpeTrainer(
        vocab_size=BYTES + wanted, min_frequency=2, show_progress=False, initial_alphabet=_alphabet(),
        max_token_length=LONGEST_TOKEN,
    )  # fmt: skip
    tokenizer = _built("")
    with _one_thread():
        tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return "\n".join(pair if isinstance(pair, str) else " ".join(pair) for pair in merges)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Inside, the tokenizers library keeps to one thread, and so forgets nothing when a process forks later."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _alphabet() -> list[str]:
    """The 256 printable characters that stand for bytes."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


@lru_cache(maxsize=8)
def _vocabulary(merges: str) -> dict[str, int]:
    """Numbers of all subwords, from 0."""
    found = {symbol: index for index, symbol in enumerate(_alphabet())}
    for merge in merges.splitlines():
        found.setdefault(merge.replace(" ", ""), len(found))
    return found


@lru_cache(maxsize=8)
def _tokenizer(merges: str) -> Tokenizer:
    """The tokenizer of some merges, built once in a process; nobody changes it."""
    return _built(merges)


def _built(merges: str) -> Tokenizer:
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    pairs = [(one, two) for one, two in (line.split(" ") for line in merges.splitlines())]
    tokenizer = Tokenizer(BPE(vocab=_vocabulary(merges), merges=pairs))
    words = Split(Regex(PIECES), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = Sequence([words, ByteLevel(add_prefix_space=True, use_regex=False)])
    return tokenizer
