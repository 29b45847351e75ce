"""`benchmarks/real_tables.py` runs on made tables, and its tables of real data are split as it says."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DATA = Path(os.environ.get("PLAIT_DATA", "../shared/data"))


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PLAIT_DATA", str(DATA))
    return importlib.import_module("tables")


@pytest.mark.slow
def test_made_tables_from_end_to_end(script):
    figures = script("real_tables.py", "--tables", "made-digits", "made-views", "made-houses", "--trials", "1")

    assert [one["table"] for one in figures["tables"]] == ["made-digits", "made-views", "made-houses"]
    for one in figures["tables"]:
        assert sum(one["rows"]) == 60
        assert sum(row["chosen"] for row in one["leaderboard"]) == 1
        assert all(row["test"] is not None for row in one["leaderboard"])
        assert one["show"]["modalities"]["used"]
        assert one["simple_models"]
    assert figures["tables"][0]["test"]["accuracy"] > 0.5
    assert "r2" in figures["tables"][2]["test"]


def test_missing_data_are_told(tables, monkeypatch, tmp_path):
    monkeypatch.setenv("PLAIT_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"set PLAIT_DATA to the folder that holds mfeat/mfeat\.npz"):
        tables.mfeat()


def test_noise_is_mixed_at_the_ratio(tables):
    rng = np.random.default_rng(0)
    wave, noise = rng.normal(0, 3, 4_000), rng.normal(0, 50, 4_000)

    def ratio(snr: float) -> float:
        mixed = tables.mix(wave, noise, snr)
        of_wave, of_noise = np.linalg.lstsq(np.stack([wave, noise], axis=1), mixed, rcond=None)[0]
        return float(10 * np.log10((of_wave**2 * (wave**2).mean()) / (of_noise**2 * (noise**2).mean())))

    assert ratio(0.0) == pytest.approx(0.0, abs=1e-6)
    assert ratio(-4.0) == pytest.approx(-4.0, abs=1e-6)


def test_principal_components_keep_what_they_should(tables):
    rows = np.random.default_rng(0).integers(0, 256, (40, 9)).astype(np.uint8)

    assert np.array_equal(tables._principal(rows, 9)(rows), rows)
    assert np.abs(tables._principal(rows, 2)(rows).astype(float) - rows).mean() > 5


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="PLAIT_DATA holds no data")
def test_digits_share_no_recording_and_no_image(tables):
    split = tables.digits((300, 100, 100), seed=1)

    parts = split.parts
    assert [len(part) for part in parts] == [300, 100, 100]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not set(parts[one]["recording"]) & set(parts[other]["recording"])
        assert not set(parts[one]["sound"]) & set(parts[other]["sound"])
    for part, plain in zip(parts, split.plain["pixels and log power"], strict=True):
        assert plain.shape == (len(part), 28 * 28 + 8 * 16)


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="PLAIT_DATA holds no data")
@pytest.mark.parametrize("seed", [0, 1])
def test_vector_and_house_tables_are_split_without_overlap(tables, seed):
    split = tables.mfeat(("fou", "mor", "zer"), seed=seed)
    assert [len(part) for part in split.parts] == [1400, 300, 300]
    assert list(split.train.columns) == ["fou", "mor", "zer", "digit"]
    for part in split.parts:
        assert part["digit"].value_counts().nunique() == 1

    split = tables.houses(seed=seed)
    assert sum(len(part) for part in split.parts) == 535
    assert set(split.train.columns) == {*tables.PHOTOS, *tables.ATTRIBUTES, "price"}
    cells = [cell for part in split.parts for cell in part["img_frontal"]]
    assert len(set(cells)) > 500
