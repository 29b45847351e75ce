"""Numbers, words, axes and bars of the report."""

from __future__ import annotations

import doctest
import math

import pytest
from contents import class_task, data, leaderboard, row
from hypothesis import given
from hypothesis import strategies as st

from plait.report import figures, plot, shares, words
from plait.tasks._base import TASK_KIND_REGISTRY
from plait.tasks.score import LOWER_IS_BETTER

finite = st.floats(-1e12, 1e12, allow_nan=False)
known = st.one_of(st.none(), st.floats(-1e6, 1.0), st.sampled_from([0.0, 1.0, -1e9, 1e-9]))


@pytest.mark.parametrize("module", [figures, words, plot], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


def test_metrics_are_those_of_the_task_kinds() -> None:
    metrics = {name for kind in TASK_KIND_REGISTRY for name in TASK_KIND_REGISTRY[kind].metrics}
    assert len(metrics) == 10
    assert set(words.METRICS) == metrics
    assert words.LOWER_IS_BETTER == LOWER_IS_BETTER


@given(finite)
def test_numbers_are_short_and_near(value: float) -> None:
    text = figures.number(value)
    assert len(text) <= 10
    read = float(text.replace(figures.MINUS, "-").replace(",", ""))
    assert math.isclose(read, value, rel_tol=0.05, abs_tol=5.001e-4)
    assert text.startswith(figures.MINUS) == (value < 0)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_does_not_exist_is_a_dash(value: float | None) -> None:
    assert {figures.number(value), figures.signed(value), figures.percent(value), figures.duration(value)} == {
        figures.DASH
    }
    assert figures.interval(0.5, value) == figures.DASH


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "< 1 ms"), (0.0011, "1 ms"), (0.9999, "1.0 s"), (59.99, "1 min 00 s"), (3599.7, "1 h 00 min"),
        (1e6, "277 h 47 min"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        ({"kind": "image", "channels": 3, "height": 32, "width": 24}, "32 \N{MULTIPLICATION SIGN} 24 colour"),
        ({"kind": "audio", "rate": 8000, "samples": 5760}, "8 kHz, 0.72 s"),
        ({"kind": "audio", "rate": 16000, "samples": 160000}, "16 kHz, 10 s"),
        ({"kind": "vector", "width": 1}, "1 number"),
        ({"kind": "tabular", "fields": [{"kind": "numeric"}] * 2 + [{"kind": "date"}]}, "2 numbers, 1 date"),
        ({"kind": "tabular", "fields": []}, "no column"),
        ({"kind": "text", "tokens": 128, "merges": "a b\nab c", "fold": True}, "up to 128 tokens, 258 subwords"),
        ({"kind": "series", "steps": 30, "channels": 1, "every": 1}, "30 steps of 1 channel"),
        ({"kind": "series", "steps": 9, "channels": 2, "every": 4}, "9 steps of 2 channels, each the mean of 4"),
        ({"kind": "smell", "max_parts": 128, "vocabulary": ["a"]}, "max parts 128"),
        ({"kind": "image"}, "as it is"),
        ({"kind": "audio", "rate": 0, "samples": 1}, "rate 0, samples 1"),
    ],
)  # fmt: skip
def test_readers_in_words(reader: dict[str, object], text: str) -> None:
    assert words.reader_words(reader) == text


def test_stages_in_words() -> None:
    told = [words.stage_words(name, ["image"]) for name in ("encode-0", "encode-7", "evaluate", "dream-up")]
    assert told == ["Learning image", "Encode 7", "Comparing ways to combine", "Dream up"]


@given(st.lists(st.tuples(known, known), max_size=12), st.sampled_from([None, "rmse"]))
def test_every_axis_is_in_order_and_holds_its_marks(
    scores: list[tuple[float | None, float | None]], metric: str
) -> None:
    rows = [row(str(place), "late", one, other) for place, (one, other) in enumerate(scores)]
    picture = plot.plot_of(rows, metric)
    assert len(picture.rows) == len(rows)
    if picture.axis is None:
        assert all(one is None for one, _ in scores)
        return
    assert picture.axis.low < picture.axis.high
    ticks = [at for at, _ in picture.axis.labels]
    assert 1 <= len(ticks) <= 8
    assert ticks == sorted(ticks)
    for drawn in picture.rows:
        for mark in (drawn.validation, drawn.test):
            assert mark is None or 0 <= mark.low <= mark.at <= mark.high <= 100


def test_the_best_row_is_never_cut_off() -> None:
    rows = [*leaderboard(), row("early", "early", -1e9)]
    picture = plot.plot_of(rows, None)
    assert picture.axis is not None
    assert picture.axis.low >= plot.WORST_SCORE
    assert [drawn.beyond for drawn in picture.rows] == [False] * 4 + [True]


def test_an_axis_of_one_row_shows_its_interval() -> None:
    axis = plot.axis_of([row("image", "unimodal", 0.5)], None)
    assert axis is not None
    assert axis.low <= 0.45
    assert axis.high >= 0.55


def test_the_best_of_every_kind_is_drawn() -> None:
    rows = [row(f"a{n}", "architecture", 0.9 - n / 1000) for n in range(100)]
    rows += [row("late max", "late", 0.7), row("late vote", "late", 0.6), row("image", "unimodal", 0.5, chosen=True)]
    names = [drawn.name for drawn in plot.plot_of(rows, None).rows]
    assert names[-2:] == ["late max", "image"]
    assert len(names) == plot.MOST_ROWS + 2


def test_bars_of_classes_share_one_scale() -> None:
    task = class_task("ward", ["a", "b"])
    made = data([], [task], {"train": 10, "validation": 4, "test": 0})
    made["classes"]["ward"] = {"train": [9, 1], "validation": [1, 3], "test": [0, 0]}
    told = shares.classes(made, task)
    assert told.parts == (("train", "10"), ("validation", "4"))
    assert [[bar.length for bar in line.bars] for line in told.rows] == [[100.0, 27.78], [11.11, 83.33]]
    assert told.scale == "90 %"


def test_an_axis_of_scores_that_differ_by_rounding_alone() -> None:
    for top in (1.0, 0.9999999999999998, 1e-300, -3.0):
        rows = [row("image", "unimodal", top), row("sound", "unimodal", math.nextafter(top, -math.inf))]
        for one in rows:
            one["interval"] = [one["validation"], one["validation"]]
            one["test"], one["test_interval"] = top, [top, top]
        axis = plot.axis_of(rows, "auroc")
        assert axis is not None
        assert axis.high > axis.low
        assert axis.labels
