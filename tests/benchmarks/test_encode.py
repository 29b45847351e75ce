"""`benchmarks/encode.py` runs and its figures hang together; no time is asserted."""

from __future__ import annotations

import sys

import pytest

SPEEDS = ("cached_pass", "naked_batches", "row_by_row", "decoding")


def test_speed_and_memory(script):
    figures = script("encode.py", "--rows", "20", "--repeats", "1", "--memory-rows", "30", "--encoders", "28x28")

    names = [one["encoder"] for one in figures["speed"]]
    assert len(names) == 1
    assert names[0].startswith("image 28x28")
    for one in figures["speed"]:
        assert one["rows"] == 20
        assert all(one["rows_per_s"][way] > 0 for way in SPEEDS)
        assert one["flop_per_row"] > 1e6
        assert 0 < one["of_peak"] < 2
    # LeNet on 28 x 28: 2 x (28^2 x 25 x 16 + 14^2 x 9 x 16 x 32 + 7^2 x 9 x 32 x 64 + 256 x 64 + 64 x 10)
    assert figures["speed"][0]["flop_per_row"] == pytest.approx(2 * (313_600 + 903_168 + 903_168 + 16_384 + 640))
    assert [one["rows"] for one in figures["memory"]] == [30]
    if sys.platform == "linux":
        for one in figures["memory"]:
            assert 0 < one["anonymous_before_mb"] <= one["anonymous_peak_mb"] < one["anonymous_before_mb"] + 100
