"""`benchmarks/many_modalities.py` runs, and counts what was kept by role; no time is asserted."""

from __future__ import annotations


def test_what_is_kept_of_each_role(script):
    figures = script(
        "many_modalities.py", "--modalities", "2", "9", "--seeds", "0", "--trials", "1", "--rows", "60", "--no-oracle"
    )  # fmt: skip

    small, large = figures["fits"]
    assert (small["of"], large["of"]) == (
        {"alone": 2, "pair": 0, "copy": 0, "noise": 0}, {"alone": 3, "pair": 4, "copy": 1, "noise": 1}
    )  # fmt: skip
    assert small["signals_only"] == small["all"]
    assert large["signals_only"] is None
    for one in figures["fits"]:
        assert all(one["kept"][role] <= count for role, count in one["of"].items())
        assert sum(one["kept"].values()) == len(one["all"]["used"]) > 0
        assert 0 <= one["all"]["accuracy"] <= 1
        assert one["all"]["search_s"] > 0
        assert 0.4 < one["best_rule"] <= 1
    assert [one["modalities"] for one in figures["means"]] == [2, 9]
