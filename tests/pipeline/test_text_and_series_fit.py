"""Whole fits on text and series: they are learned, predicted alone as among others, and travel without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import plait
from plait.data.readers import load_reader

GOOD, POOR = ("splendid", "lovely", "wonderful"), ("dreadful", "boring", "awful")


def told_rows(rows: int = 120, seed: int = 0) -> dict[str, list[Any]]:
    """A class that words, a rising or falling series of two channels, and a number tell; some cells are empty."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(rows) % 2)
    words = [rng.choice(GOOD if value else POOR) for value in label]
    told = [f"I thought it was {word}, {rng.choice(['really', 'honestly'])}!" for word in words]
    lengths = rng.integers(3, 12, rows)
    tracks = [
        (np.linspace(0, 4 * value - 2, length)[:, None] + rng.normal(0, 0.5, (length, 2))).tolist()
        for value, length in zip(label, lengths, strict=True)
    ]
    for row in range(0, rows, 11):
        tracks[row][0][1] = float("nan")
        told[row] = ["", " "][row % 2]
    for row in range(5, rows, 13):
        tracks[row] = []
    sizes = [float(value + rng.normal()) for value in label]
    return {"told": told, "track": tracks, "size": sizes, "label": ["up" if v else "down" for v in label]}


def test_text_and_table_columns(tmp_path: Path) -> None:
    columns = {name: cells for name, cells in told_rows().items() if name != "track"}
    predictor = plait.fit(columns, "label", out=tmp_path / "run", trials=1, kinds={"told": "text"})
    scores = predictor.leaderboard().set_index("name")["validation"]
    assert scores["told"] > 0.3
    proba = predictor.predict_proba(columns)
    some = [3, 0, 11]
    alone = predictor.predict_proba({name: [cells[row] for row in some] for name, cells in columns.items()})
    pd.testing.assert_frame_equal(alone, proba.iloc[some].reset_index(drop=True), atol=1e-5)
    strange = ["\0", "\N{GRINNING FACE}", "שלום", "word " * 9_000, "   ", "x"]
    answers = predictor.predict({"told": strange, "size": [0.0] * len(strange)})
    assert answers["label"].isin(["up", "down"]).all()
    assert answers["label"].notna().all()
    manifest = json.loads((tmp_path / "run" / "plait.json").read_text(encoding="utf-8"))
    (state,) = [entry["reader"] for entry in manifest["modalities"] if entry["name"] == "told"]
    assert load_reader(state).kind == "text"


def test_series(tmp_path: Path) -> None:
    columns = {name: cells for name, cells in told_rows().items() if name in ("track", "label")}
    predictor = plait.fit(columns, "label", out=tmp_path / "run", trials=1)
    scores = predictor.leaderboard().set_index("name")["validation"]
    assert scores["track"] > 0.3
    proba = predictor.predict_proba(columns)
    some = [3, 0, 5]
    alone = predictor.predict_proba({name: [cells[row] for row in some] for name, cells in columns.items()})
    pd.testing.assert_frame_equal(alone, proba.iloc[some].reset_index(drop=True), atol=1e-5)


def test_formulas_are_read_as_text_if_said_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rings = rng.integers(0, 2, 60)
    formulas = ["C" * int(rng.integers(1, 9)) + ("c1ccccc1" if ring else "C(=O)N") for ring in rings]
    columns = {"smiles": formulas, "label": rings.tolist()}
    predictor = plait.fit(columns, "label", out=tmp_path / "run", trials=1, kinds={"smiles": "text"})
    assert predictor.predict({"smiles": ["CCCCCCc1ccccc1", "CCCC(=O)N"]})["label"].tolist() == [1, 0]
