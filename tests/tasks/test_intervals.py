"""Bootstrap intervals of metrics: that they cover, that groups widen them, that large tables stay cheap."""

from __future__ import annotations

import time

import numpy as np
import pytest

from plait.tasks import TASK_KIND_REGISTRY, Task
from plait.tasks import intervals as module
from plait.tasks.intervals import with_intervals
from plait.tasks.score import Labels, measure_all

TWO = Task(name="t", kind="binary", label_type="str", classes=("a", "b"), prior=(-0.7, -0.7))
SIZE = Task(name="n", kind="regression", label_type="float", mean=1.0, scale=2.0, prior=(0.0,))


def told(task: Task, outputs: np.ndarray, targets: np.ndarray, labelled=None, groups=None):
    given = {task.name: outputs.astype(np.float32)}
    mask = np.ones(len(targets), bool) if labelled is None else labelled
    labels = Labels({task.name: targets.astype(np.float32)}, {task.name: mask}, groups)
    return with_intervals((task,), given, labels, measure_all((task,), given, labels))[task.name]


def sides(rows: int, right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Outputs that are right in that share of the rows on average."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows)
    side = np.where(rng.random(rows) < right, truth, 1 - truth)
    return (np.eye(2)[side] * 2 + rng.normal(0, 0.1, (rows, 2))), truth


def test_keys_stand_in_order_and_every_metric_has_an_interval_around_it() -> None:
    for task, outputs, targets in (
        (TWO, *sides(80, 0.8, 0)),
        (SIZE, np.random.default_rng(0).normal(size=(80, 1)), np.random.default_rng(1).normal(size=80)),
    ):
        found = told(task, outputs, targets)
        assert list(found) == ["n", "metrics", "intervals"]
        assert list(found["intervals"]) == list(TASK_KIND_REGISTRY[task.kind].metrics)
        for name, (low, high) in found["intervals"].items():
            assert low <= found["metrics"][name] <= high


def test_an_interval_of_accuracy_is_the_binomial_one() -> None:
    outputs, truth = sides(400, 0.8, 1)
    found = told(TWO, outputs, truth)
    share = found["metrics"]["accuracy"]
    half = 1.96 * np.sqrt(share * (1 - share) / 400)
    assert found["intervals"]["accuracy"] == pytest.approx([share - half, share + half], abs=0.008)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(100):
        low, high = told(TWO, *sides(120, 0.75, seed))["intervals"]["accuracy"]
        covered += low <= 0.75 <= high
    assert 88 <= covered <= 99


def test_rows_of_a_group_are_drawn_together() -> None:
    outputs, truth = sides(40, 0.7, 2)
    rows = np.repeat(np.arange(40), 10)
    alone = told(TWO, outputs[rows], truth[rows])["intervals"]["accuracy"]
    together = told(TWO, outputs[rows], truth[rows], groups=rows)["intervals"]["accuracy"]
    once = told(TWO, outputs, truth)["intervals"]["accuracy"]
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    assert together == pytest.approx(once, abs=0.03)


def test_rows_without_a_label_do_not_count() -> None:
    outputs, truth = sides(90, 0.8, 3)
    known = np.arange(90) < 60
    wild = np.where(known[:, None], outputs, np.nan)
    assert told(TWO, wild, truth, known) == told(TWO, outputs[:60], truth[:60])


def test_undefined_figures_have_no_interval() -> None:
    outputs, _ = sides(30, 0.8, 4)
    found = told(TWO, outputs, np.zeros(30))
    assert found["metrics"]["auroc"] is None
    assert found["intervals"]["auroc"] is None
    assert found["intervals"]["accuracy"] is not None
    for rows in (0, 1):
        found = told(TWO, outputs[:rows], np.zeros(rows))
        assert set(found["intervals"].values()) == {None}
    assert set(told(TWO, np.full((30, 2), np.nan), np.arange(30) % 2)["intervals"].values()) == {None}


def test_of_many_rows_some_are_drawn_and_the_intervals_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, truth = sides(20_000, 0.8, 5)
    whole = told(TWO, outputs, truth)
    monkeypatch.setattr(module, "BUDGET", 1_000_000)
    some = told(TWO, outputs, truth)
    assert some["metrics"] == whole["metrics"]
    for name, (low, high) in some["intervals"].items():
        assert low < whole["metrics"][name] < high
        assert high - low == pytest.approx(np.diff(whole["intervals"][name])[0], rel=0.4), name


@pytest.mark.parametrize(("rows", "classes"), [(300_000, 2), (20_000, 40), (20_000, 5_000)])
def test_the_cost_is_bounded(rows: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    names = tuple(map(str, range(classes)))
    kind = "binary" if classes == 2 else "multiclass"
    task = Task(name="t", kind=kind, label_type="int", classes=names, prior=(-1.0,) * classes)
    outputs = {"t": rng.normal(size=(rows, classes)).astype(np.float32)}
    labels = Labels({"t": rng.integers(0, classes, rows).astype(np.float32)}, {"t": np.ones(rows, bool)})
    entry = {"t": {"n": rows, "metrics": dict.fromkeys(TASK_KIND_REGISTRY[kind].metrics, 0.5)}}
    started = time.process_time()
    found = with_intervals((task,), outputs, labels, entry)["t"]["intervals"]
    assert time.process_time() - started < 20
    assert found["accuracy"] is not None
    assert (found["auroc"] is None) == (classes > 50)
