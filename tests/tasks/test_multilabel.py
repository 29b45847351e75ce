"""Multilabel targets: reading lists, one task per label, figures against scikit-learn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics

from plait.data.schema import Column
from plait.data.table import Table
from plait.exceptions import InputError
from plait.tasks._base import by_target
from plait.tasks.multilabel import MOST_LABELS, as_lists, label_lists, rarest
from plait.tasks.score import Labels, mean_score, measure_all, score
from plait.tasks.targets import encode_all, fit_tasks, strata

GENRES = [["rock", "pop"], [], None, ["pop"], ["rock", "rock"], ["jazz", "pop"], ["pop"]]
TARGET = (Column(name="genre", role="target", kind="multilabel"),)


def table_of(cells, kind: pa.DataType | None = None) -> Table:
    return Table(pa.table({"genre": pa.chunked_array([pa.array(cells, kind)])}))


def fitted(cells, train=None):
    told: list[str] = []
    table = table_of(cells)
    return fit_tasks(table, TARGET, np.arange(len(cells)) if train is None else np.array(train), told.append), told


def test_an_empty_list_says_that_no_label_applies_and_a_null_says_nothing() -> None:
    lists = label_lists(table_of(GENRES).column("genre"))
    assert lists.names == ("jazz", "pop", "rock")
    assert lists.labelled.tolist() == [True, True, False, True, True, True, True]
    assert lists.has("rock").tolist() == [1, 0, 0, 0, 1, 0, 0]
    assert lists.has("blues").tolist() == [0] * 7
    assert lists.counts(np.ones(7, bool)).tolist() == [1, 4, 2]


def test_text_has_labels_between_semicolons() -> None:
    texts = ["rock; pop", ";", None, "pop", "rock;rock", "jazz;pop;", " pop "]
    text, lists = (label_lists(table_of(cells).column("genre")) for cells in (texts, GENRES))
    assert text.names == lists.names
    assert text.labelled.tolist() == lists.labelled.tolist()
    assert all((text.has(name) == lists.has(name)).all() for name in lists.names)
    assert label_lists(table_of(["", " "]).column("genre")).labelled.tolist() == [False, False]


def test_whole_numbers_are_labels_in_the_order_of_their_values() -> None:
    tasks, _ = fitted([[10, 9], [9, 10], [9, None], [10, 2], [2], []])
    assert [task.label for task in tasks] == [2, 9, 10]
    assert [task.name for task in tasks] == ["genre__2", "genre__9", "genre__10"]
    assert as_lists(list(tasks), [[True, False], [False, False], [True, True]]) == [[2, 10], [10]]


def test_a_task_for_each_label_that_some_training_rows_have_and_some_lack() -> None:
    tasks, told = fitted(GENRES)
    assert [task.label for task in tasks] == ["pop", "rock"]
    assert told == ["Target 'genre': label 'jazz' stands in fewer than 2 training rows; it is left out."]
    assert tasks[0].prior == pytest.approx(np.log([2 / 6, 4 / 6]))
    assert [task.share for task in tasks] == [0.5, 0.5]
    assert list(by_target(tasks)) == ["genre"]
    _, told = fitted([["all", "a"], ["all", "a"], ["all", "b"], ["all", "b"]])
    assert told == ["Target 'genre': label 'all' stands in every training row; it is left out."]


def test_only_training_rows_are_looked_at() -> None:
    tasks, _ = fitted([["a"], ["a"], ["b"], ["b"], ["c"], ["c"]], train=[0, 1, 2, 3])
    assert [task.label for task in tasks] == ["a", "b"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([None, None, ["a"]], r"'genre' has no labels in any training row"),
        ([["a"], ["b"]], r"'genre' has no label that at least 2 training rows have and another lacks"),
        (
            [[str(label)] for label in range(MOST_LABELS + 1)] * 2,
            r"'genre' has 101 labels; at most 100 are learned\. Keep the most frequent, or merge some\.",
        ),
    ],
)
def test_columns_that_cannot_be_learned(cells, message) -> None:
    with pytest.raises(InputError, match=message):
        fitted(cells, train=[0, 1] if len(cells) == 3 else None)


def test_columns_of_answers_and_probabilities_have_names_of_their_own() -> None:
    table = Table(pa.table({"genre": [["a"], ["a"], ["b"], ["b"]], "genre__a": ["x", "y", "x", "y"]}))
    with pytest.raises(InputError, match="'genre__a' would be a column of answers and of probabilities"):
        fit_tasks(table, (*TARGET, Column(name="genre__a", role="target", kind="binary")), np.arange(4))


def test_encoding() -> None:
    tasks, _ = fitted(GENRES)
    found = encode_all(tasks, table_of([["pop", "blues"], None, [], ["rock"]]))
    assert found["genre__pop"][0].tolist() == [1, 0, 0, 0]
    assert found["genre__rock"][0].tolist() == [0, 0, 0, 1]
    assert all(labelled.tolist() == [True, False, True, True] for _, labelled in found.values())
    assert encode_all(tasks, table_of([None, None]))["genre__pop"][1].tolist() == [False, False]


def test_rows_are_stratified_by_their_rarest_label() -> None:
    assert rarest(table_of(GENRES).column("genre")).tolist() == [2, -1, -2, 1, 2, 0, 1]
    assert strata(table_of(GENRES), TARGET).tolist() == [2, -1, -2, 1, 2, 0, 1]


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((60, 4)) < [0.5, 0.3, 0.2, 0.6]
    chances = np.clip(0.5 * truth + 0.6 * rng.random((60, 4)), 0.01, 0.99)
    lists = [[f"l{label}" for label in np.flatnonzero(row)] for row in truth]
    tasks, _ = fitted(lists)
    labels = _labels(tasks, lists)
    outputs = {task.name: _logits(chances[:, number]) for number, task in enumerate(tasks)}
    told = measure_all(tasks, outputs, labels)
    guess = chances > 0.5
    assert list(told) == ["genre"]
    assert told["genre"]["n"] == 60
    assert told["genre"]["metrics"] == pytest.approx(
        {
            "accuracy": (guess == truth).mean(),
            "macro_f1": metrics.f1_score(truth, guess, average="macro"),
            "auroc": metrics.roc_auc_score(truth, chances, average="macro"),
            "average_precision": metrics.average_precision_score(truth, chances, average="macro"),
            "log_loss": np.mean([metrics.log_loss(truth[:, k], chances[:, k]) for k in range(4)]),
        },
        rel=1e-5,
    )
    assert score(tasks, outputs, labels, "macro_f1") == pytest.approx(told["genre"]["metrics"]["macro_f1"])


def test_a_label_without_any_row_or_answer_is_left_out_of_f1() -> None:
    lists = [["a"], ["a", "b"], ["b"], []]
    tasks, _ = fitted(lists)
    outputs = {"genre__a": _logits(np.array([0.9, 0.1])), "genre__b": _logits(np.array([0.1, 0.2]))}
    told = measure_all(tasks, outputs, _labels(tasks, [["a"], []]))
    assert told["genre"]["metrics"]["macro_f1"] == 1.0


def test_every_column_counts_the_same_whatever_its_number_of_labels() -> None:
    tasks, _ = fitted(GENRES)
    other = tasks[0].model_copy(update={"name": "mood", "column": "", "label": None})
    assert mean_score((*tasks, other), np.array([0.2, 0.4, 0.9])) == pytest.approx((0.3 + 0.9) / 2)
    assert mean_score((*tasks, other), np.array([np.nan, 0.4, 0.8])) == pytest.approx(0.6)
    assert mean_score((*tasks, other), np.array([np.nan, np.nan, 0.8])) == pytest.approx(0.8)
    assert mean_score((*tasks, other), np.array([-np.inf, 0.4, 0.8])) == -np.inf


def _labels(tasks, lists) -> Labels:
    pairs = encode_all(tasks, table_of(lists, pa.list_(pa.string())))
    return Labels({name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()})


def _logits(chance: np.ndarray) -> np.ndarray:
    return np.log(np.stack([1 - chance, chance], axis=1)).astype(np.float32)


def test_a_file_whose_cells_have_one_label_each_reads_as_numbers() -> None:
    expected = label_lists(pa.chunked_array([["1", "3", None]]))
    for cells in (pa.array([1, 3, None]), pa.array([1.0, 3.0, None])):
        found = label_lists(pa.chunked_array([cells]))
        assert (found.names, found.labelled.tolist()) == (expected.names, expected.labelled.tolist())
        assert found.has("3").tolist() == [0, 1, 0]
    assert not label_lists(pa.chunked_array([pa.nulls(2, pa.float64())])).labelled.any()
    for cells in ([True, False], [1.5, 2.0], [1e300, 2.0]):
        with pytest.raises(InputError, match=r"Target 'z' holds cells of type .*; give lists of text or whole"):
            label_lists(pa.chunked_array([cells]), "z")
