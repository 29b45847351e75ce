"""`benchmarks/strategies.py` runs on made states, and its figures hang together; no time is asserted."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_strategies_beside_random_search(script):
    figures = script("strategies.py", "--sets", "made", "--trials", "4", "--seeds", "2", "--strategies", "greedy")

    (one,) = figures["sets"]
    assert one["rows"] == [200, 50, 50]
    assert [run["strategy"] for run in one["searches"]] == ["random", "random", "greedy", "greedy"]
    for run in one["searches"]:
        assert run["trials"] == 4
        assert run["area"] <= run["claimed"]
        assert 0 <= run["own_seconds"] <= run["seconds"]
        assert 0 <= run["accuracy"] <= 1
    random, greedy = one["strategies"]
    assert (random["difference"], random["interval"]) == (0, [0, 0])
    pairs = [
        greedy["held_out"] - random["held_out"]
        for random, greedy in zip(one["searches"][:2], one["searches"][2:], strict=True)
    ]
    assert greedy["difference"] == pytest.approx(sum(pairs) / 2)
    assert greedy["interval"][0] <= greedy["difference"] <= greedy["interval"][1]


def test_the_interval_of_a_mean(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    strategies = importlib.import_module("strategies")
    assert strategies.interval([1.0]) is None
    # t of 4 degrees of freedom is 2.776; the deviation of 1..5 is 1.581.
    assert strategies.interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx([3 - 1.963, 3 + 1.963], abs=1e-3)
