"""`benchmarks/predict_latency.py` runs on a made table and measures predictors that read both modalities."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_latency_of_a_made_table(script):
    figures = script(
        "predict_latency.py", "--made", "--fit-rows", "40", "--side", "16", "--calls", "2", "--rows", "1", "3"
    )  # fmt: skip

    assert set(figures["networks"]) == {"photo", "tabular"}
    found = {(one["predictor"], one["cells"], one["rows"]): one for one in figures["latency"]}
    predictors = {"as returned", "late mean", "early", "concat of last layers"}
    assert set(found) == {(name, cells, rows) for name in predictors for cells in ("bytes", "paths") for rows in (1, 3)}
    for one in found.values():
        assert 0 < one["p50_ms"] <= one["p95_ms"]
        assert set(one["parts_ms"]) == {"table", "resolve", "decode", "model", "answers", "other"}
        assert all(one["parts_ms"][part] > 0 for part in ("table", "decode", "model", "answers"))
