"""Features as real tables have them: empty columns, constants, outliers, hardly a row; and those of a table."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from made_classical import FLAG, SIZE
from scipy import sparse

from plait.classical import FAMILIES, ClassicalSpec
from plait.classical._base import Shape
from plait.classical.features import REDUCED, SPARSE, preparation, prepared
from plait.classical.fitting import Fitting
from plait.classical.model import outputs_of
from plait.data.readers import TabularReader
from plait.data.schema import Column
from plait.data.table import Table
from plait.search import classical as search
from plait.tasks.score import Labels

EVERY = [*FAMILIES, "stack"]


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("rows", [4, 60])
def test_nothing_odd_breaks_a_fit(family: str, rows: int) -> None:
    rng = np.random.default_rng(5)
    odd = rng.normal(size=(rows, 6)).astype(np.float32)
    odd[:, 0], odd[:, 1], odd[1, 2], odd[:, 3] = np.nan, 7, 3e38, np.arange(rows) % 2
    features = {"odd": odd, "words": sparse.csr_array(np.zeros((rows, 3), np.float32)), "gone": odd[:, :2]}
    present = {name: np.full(rows, name != "gone") for name in features}
    targets = {"flag": (np.arange(rows) % 2).astype(np.float32), "size": np.arange(rows, dtype=np.float32) / rows}
    labels = Labels(targets, {name: np.ones(rows, np.bool_) for name in targets})
    fitting = Fitting(features, present, (FLAG, SIZE), labels, 0)
    model = fitting.fit(ClassicalSpec(family=family, modalities=("gone", "odd", "words")))
    told = outputs_of(model, features, present, (FLAG, SIZE))
    assert all(np.isfinite(values).all() for values in told.values())


def test_columns_of_a_table_as_features() -> None:
    table = Table(
        pa.table({"a": [1.5, None, 3.0], "c": ["x", "y", None], "d": ["2024-01-31", None, "2024-02-01"]}), "t"
    )  # fmt: skip
    kinds = {"a": "numeric", "c": "categorical", "d": "date"}
    reader = TabularReader.fit(table, tuple(Column(name=n, role="input", kind=k) for n, k in kinds.items()))
    found = reader.features(reader.read(table).values)
    nan = np.nan
    np.testing.assert_array_equal(found[:, :6], [[1.5, 0, 0, 1, 0, 0], [nan, 1, 0, 0, 1, 0], [3, 0, 0, 0, 0, 1]])
    assert found.shape == (3, 6 + 4 + 1)
    assert np.isnan(found[1, 6:10]).all()
    assert found[:, 10].tolist() == [0, 1, 0]
    unseen = Table(pa.table({"a": [1.0], "c": ["z"], "d": ["2024-01-31"]}), "t")
    assert reader.features(reader.read(unseen).values)[0, 2:6].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("family", FAMILIES)
def test_terms_that_do_not_occur_cost_nothing(family: str) -> None:
    rows = 400
    labels = Labels({"size": np.arange(rows) / rows}, {"size": np.ones(rows, np.bool_)})
    present = {"words": np.ones(rows, np.bool_)}
    few = sparse.random_array((rows, 100), density=0.1, rng=np.random.default_rng(0), format="csr")
    many = sparse.csr_array((few.data, few.indices, few.indptr), shape=(rows, 20_000))
    spec = ClassicalSpec(family=family, modalities=("words",))
    costs = [Fitting({"words": words}, present, (SIZE,), labels, 0).costs(spec) for words in (few, many)]
    assert costs[0] == costs[1]
    width = SPARSE * 10 if FAMILIES[family].wide else REDUCED
    assert costs[0] == [FAMILIES[family].cost(Shape(rows, width, 1))]


def test_choosing_costs_where_something_is_chosen() -> None:
    rows = 400
    numbers = {"numbers": np.zeros((rows, 4), np.float32)}
    present, known = {"numbers": np.ones(rows, np.bool_)}, {"flag": np.ones(rows, np.bool_)}
    spec = ClassicalSpec(family="forest", modalities=("numbers",))

    def cost(positive: int, metric: str | None = "auroc", weights: tuple[float, ...] | None = None) -> float:
        labels = Labels({"flag": (np.arange(rows) < positive).astype(np.float32)}, known)
        task = FLAG.model_copy(update={"class_weights": weights})
        return sum(Fitting(numbers, present, (task,), labels, 0, metric).costs(spec))

    assert cost(40) > cost(200) == cost(40, None) == cost(40, "log_loss") == cost(40, weights=(0.6, 5.0))


@pytest.mark.parametrize("there", [0, 1, 2, 100])
@pytest.mark.parametrize("family", FAMILIES)
def test_terms_of_hardly_a_row_are_no_wide_matrix(family: str, there: int) -> None:
    words = sparse.csr_array(np.eye(100, 2_000))
    present = np.arange(100) < there
    steps = preparation(words[:there], FAMILIES[family], 0) if there else None
    found = prepared(words, present, steps, FAMILIES[family])
    assert found.shape[1] <= (2_000 if FAMILIES[family].wide else REDUCED)
    alone = prepared(words[:1], np.ones(1, np.bool_), steps, FAMILIES[family])
    assert alone.shape[1] == found.shape[1]


def test_rows_are_left_out_for_numbers_that_there_are_not_for_terms_that_might_be(monkeypatch) -> None:
    monkeypatch.setattr(search, "MOST_NUMBERS", 2_000)
    rows = 400
    kept = {}
    for name, values in {"dense": np.ones((rows, 50)), "terms": sparse.csr_array(np.eye(rows, 3_000))}.items():
        train = SimpleNamespace(
            index=np.arange(rows), present={"words": np.ones(rows, np.bool_)}, targets={"size": np.zeros(rows)},
            labelled={"size": np.ones(rows, np.bool_)},
        )  # fmt: skip
        evaluator = SimpleNamespace(
            train=train, widths={"words": (1, 1)}, tasks=(SIZE,), groups=None, plan=SimpleNamespace(seed=0), metric=None
        )
        reader = SimpleNamespace(features=lambda values: values)
        made = search.ClassicalEvaluator(evaluator, {"words": values}, {"words": reader})
        kept[name] = made.fitting.features["words"].shape[0]
    assert kept == {"dense": 2_000 // 50, "terms": rows}


@pytest.mark.parametrize("family", EVERY)
def test_a_class_that_tasks_do_not_know_is_no_label(family: str) -> None:
    """Rows that judged when the tasks were fitted may have one (-1), and are learned from in their turn."""
    rng = np.random.default_rng(0)
    features, present = {"x": rng.normal(size=(90, 3)).astype(np.float32)}, {"x": np.ones(90, np.bool_)}
    features["x"][:, 0] += 4 * (np.arange(90) % 3 - 1)
    truth = (np.arange(90) % 3 - 1).astype(np.float32)
    told = []
    for labelled in (np.ones(90, np.bool_), truth >= 0):
        fitting = Fitting(features, present, (FLAG,), Labels({"flag": truth}, {"flag": labelled}), 0)
        spec = ClassicalSpec(family=family, modalities=("x",) if family != "stack" else ("x", "y"))
        if family == "stack":
            fitting.features["y"], fitting.present["y"] = features["x"], present["x"]
        told.append(outputs_of(fitting.fit(spec), fitting.features, fitting.present, (FLAG,))["flag"])
    np.testing.assert_array_equal(*told)
    np.testing.assert_allclose(np.exp(told[0]).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("kind", ["numbers", "terms"])
def test_what_no_training_row_had_is_absent_wherever_it_comes_up(family: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    late: np.ndarray | sparse.csr_array = rng.normal(size=(60, 2))
    late = sparse.csr_array(np.abs(late)) if kind == "terms" else np.where(rng.random((60, 2)) < 0.3, np.nan, late)
    features = {"x": rng.normal(size=(60, 3)).astype(np.float32), "late": late}
    nowhere = {"x": np.ones(60, np.bool_), "late": np.zeros(60, np.bool_)}
    labels = Labels({"flag": (np.arange(60) % 2).astype(np.float32)}, {"flag": np.ones(60, np.bool_)})
    model = Fitting(features, nowhere, (FLAG,), labels, 0).fit(ClassicalSpec(family=family, modalities=("late", "x")))
    told = [outputs_of(model, features, {**nowhere, "late": np.arange(60) < rows}, (FLAG,))["flag"] for rows in (0, 30)]
    np.testing.assert_allclose(told[1], told[0], atol=1e-9)
