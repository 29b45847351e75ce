"""Text: subwords of a vocabulary learned from the training rows, in every script."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.decode import read_chunks
from plait.data.readers import TextReader, load_reader
from plait.data.readers.text import FEWEST_MERGES, MAX_CHARACTERS, MAX_TOKENS, MIN_TOKENS, PAIRS
from plait.data.schema import Column
from plait.data.table import Table, read_table

COLUMNS = (Column(name="c", role="input", kind="text"),)
NOUNS, VERBS = ("house", "river", "winter", "table"), ("stands", "flows", "begins", "waits")
PROSE = [f"The {noun} {verb} here, row {row}." for row in range(20) for noun in NOUNS for verb in VERBS]
SCRIPTS = [
    "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "你好世界", "Привет, мир", "ελληνικά",
    "\N{GRINNING FACE}\u200d\N{FIRE}", "e\u0301e\u0301", "a\0b", "\0",
    "Z\u0351\u036b\u0343\u036a", "\u202eabc", "\ufdfa",
]  # fmt: skip


def column(cells: Any, kind: pa.DataType | None = None) -> Table:
    return read_table(pa.table({"c": pa.array(cells, kind)}))


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader.fit(column(PROSE), COLUMNS)


def test_common_words_become_tokens_of_their_own(reader: TextReader) -> None:
    values = reader.read(column(["the river flows", "river", "rivers"])).values
    assert (values > 0).sum(axis=1)[:2].tolist() == [3, 1]
    assert values[1, 0] == values[0, 1] == values[2, 0], "a word is the same token wherever it stands"


def test_the_vocabulary_grows_with_the_text_and_travels_as_json(reader: TextReader) -> None:
    assert 256 < reader.vocabulary <= 256 + FEWEST_MERGES
    assert len(reader.model_dump_json()) < 20 * reader.vocabulary
    assert load_reader(json.loads(reader.model_dump_json())) == reader


def test_training_is_the_same_in_another_process(reader: TextReader) -> None:
    code = (
        "import json, sys, pyarrow as pa\n"
        "from plait.data.readers.text import TextReader\n"
        "from plait.data.schema import Column\n"
        "from plait.data.table import read_table\n"
        "table = read_table(pa.table({'c': json.load(sys.stdin)}))\n"
        "print(TextReader.fit(table, (Column(name='c', role='input', kind='text'),)).model_dump_json())\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(PROSE), capture_output=True, text=True, check=True
    )
    assert TextReader.model_validate_json(done.stdout) == reader == TextReader.fit(column(PROSE), COLUMNS)


def test_importing_plait_loads_no_tokenizers() -> None:
    code = "import sys, plait, plait.data.readers; assert not {'tokenizers', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("text", SCRIPTS)
def test_every_script_is_known(reader: TextReader, text: str) -> None:
    reading = reader.model_copy(update={"tokens": 64}).read(column([text, text + "x"]))
    assert reading.present.all()
    assert reading.values.max() <= reader.vocabulary
    assert (reading.values[0] != reading.values[1]).any()


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u3000", "\xa0", "\x1c", None])
def test_blank_cells_are_absent(reader: TextReader, text: str | None) -> None:
    reading = reader.read(column([text], pa.string()))
    assert not reading.present.any()
    assert not reading.values.any()
    assert reading.bad == {}


def test_composed_and_decomposed_characters_are_one(reader: TextReader) -> None:
    values = reader.read(column(["caf\u00e9", "cafe\u0301", "CAF\u00c9", "\ufb01ne", "fine"])).values
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    np.testing.assert_array_equal(values[3], values[4])


def test_case_is_kept_in_formulas() -> None:
    reader = TextReader.fit(column(["CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1Cl", "CCO"] * 20), COLUMNS)
    assert not reader.fold
    values = reader.read(column(["CCO", "cco"])).values
    assert (values[0] != values[1]).any()


def test_length_covers_nearly_all_rows_and_is_bounded() -> None:
    short = TextReader.fit(column(["one two three"] * 99 + ["word " * 300]), COLUMNS)
    assert short.tokens == MIN_TOKENS
    long = TextReader.fit(column(["word " * 3_000] * 20), COLUMNS)
    assert long.tokens == MAX_TOKENS
    assert long.read(column(["word " * 3_000])).values.all()


def test_endless_text_is_cut_before_it_is_read(reader: TextReader) -> None:
    text = "\ufdfa" * 10_000_000  # each of them becomes 18 characters
    assert reader.read(column([text[: MAX_CHARACTERS + 1], text])).present.all()


def test_numbers_truths_and_dates_are_read_as_written(reader: TextReader) -> None:
    written = reader.read(column(["5", "7"])).values
    np.testing.assert_array_equal(reader.read(column([5, 7])).values, written)
    assert reader.read(column([True, None])).present.tolist() == [True, False]
    assert reader.misfit(column([5]), COLUMNS) is None


@pytest.mark.parametrize("cells", [[b"x", None], [[1.0], None]])
def test_cells_that_are_no_text_are_bad(reader: TextReader, cells: list[Any]) -> None:
    reading = reader.read(column(cells))
    assert list(reading.bad) == [0]
    assert reading.bad[0].startswith("not text but ")
    assert "it reads text" in str(reader.misfit(column(cells), COLUMNS))
    assert TextReader.fit(column(cells), COLUMNS).tokens == MIN_TOKENS


def test_features_count_tokens_and_pairs(reader: TextReader) -> None:
    values = reader.read(column(["river river flows", "flows river", None])).values
    found = reader.features(values)
    assert found.shape == (3, reader.vocabulary + PAIRS)
    counts = found.toarray()[:, : reader.vocabulary]
    for row, ids in enumerate(values.astype(int)):
        np.testing.assert_array_equal(counts[row], np.bincount(ids, minlength=reader.vocabulary + 1)[1:])
    assert found.sum(axis=1).tolist() == [[5], [3], [0]]
    pairs = found.toarray()[:, reader.vocabulary :]
    assert (pairs[0] != pairs[1]).any(), "pairs know the order"
    np.testing.assert_array_equal(reader.features(values[1:2]).toarray()[0], found.toarray()[1])


def test_pieces_in_worker_processes_are_the_same(reader: TextReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.data.decode.WORKERS_FROM", 1)
    monkeypatch.setattr(TextReader, "slow", True)
    table = column(PROSE * 2)
    alone = np.concatenate([reading.values for reading in read_chunks(reader, table)])
    together = np.concatenate([reading.values for reading in read_chunks(reader, table, workers=2)])
    np.testing.assert_array_equal(alone, together)


@settings(deadline=None)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=6))
def test_a_row_is_read_the_same_alone(cells: list[str | None]) -> None:
    reader = TextReader.fit(column(cells, pa.string()), COLUMNS)
    together = reader.read(column(cells, pa.string()))
    assert together.bad == {}
    assert together.values.min() >= 0
    assert together.values.max() <= reader.vocabulary
    for row, cell in enumerate(cells):
        alone = reader.read(column([cell], pa.string()))
        np.testing.assert_array_equal(alone.values[0], together.values[row])
        assert alone.present[0] == together.present[row] == bool(cell and cell.strip())
