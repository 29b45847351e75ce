"""Fits of targets that are neither plain classes nor numbers: from the table to answers and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plait
from plait.exceptions import InputError


def rated(rows: int = 150, seed: int = 0) -> dict[str, list[Any]]:
    """Two modalities, and a target of five stars that grows with both."""
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(rows, 3))
    size = rng.normal(size=rows)
    stars = np.digitize(views[:, 0] + size + 0.3 * rng.normal(size=rows), [-1.5, -0.5, 0.5, 1.5])
    return {
        "view": [list(map(float, row)) for row in views],
        "size": size.tolist(),
        "stars": [None if row % 15 == 4 else int(10 * star) for row, star in enumerate(stars)],
    }


def test_an_ordinal_target(tmp_path: Path) -> None:
    table = rated()
    predictor = plait.fit(table, "stars", kinds={"stars": "ordinal"}, out=tmp_path / "run", trials=2)
    assert predictor.tasks[0].classes == ("0", "10", "20", "30", "40")
    answers, chances = predictor.predict(table)["stars"], predictor.predict_proba(table)
    assert answers.dtype == "int64"
    assert set(answers) <= {0, 10, 20, 30, 40}
    assert list(chances) == [f"stars__{star}" for star in (0, 10, 20, 30, 40)]
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    told = predictor.evaluate(table)["tasks"]["stars"]
    known = [row for row, star in enumerate(table["stars"]) if star is not None]
    truth = np.array([table["stars"][row] for row in known])
    assert told["n"] == len(known) == 140
    assert told["metrics"]["mae"] == pytest.approx(np.abs(answers.to_numpy()[known] - truth).mean())
    assert told["metrics"]["mae"] < np.abs(np.median(truth) - truth).mean()
    assert "log loss of each cut in the order" in (tmp_path / "run" / "report.html").read_text()
    json.dumps(predictor.manifest, allow_nan=False)


def test_an_ordinal_target_is_never_guessed() -> None:
    assert plait.schema(rated(), "stars").kind_of("stars") == "multiclass"


def test_an_ordinal_target_of_text_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    table = rated() | {"mood": ["low", "high"] * 75}
    with pytest.raises(InputError, match=r"holds 'high', 'low': text says nothing of its order\. Give numbers"):
        plait.fit(table, "mood", kinds={"mood": "ordinal"}, out=tmp_path / "run", trials=1)
    assert not (tmp_path / "run").exists()
