"""Recipes read what is published, tell what is missing, and print figures beside simpler models."""

import json

import numpy as np
import pandas as pd
import pytest

from plait.cli.main import main
from plait.exceptions import InputError
from plait.recipes import RECIPES, make_recipe
from plait.recipes.sentiment import NEAR, VIEWS, neighbours, within
from plait.recipes.toxicity import BITS, FINGERPRINT, TASKS, auroc, mean_auroc


def molecules(count: int = 90) -> pd.DataFrame:
    """Bit 0 and the weight decide every assay; a quarter of the labels is missing, and one molecule is not parsed."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (count, BITS), dtype=np.uint8)
    weight = rng.normal(size=count).astype(np.float32)
    table = pd.DataFrame(
        {
            "smiles": ["C" * int(rng.integers(1, 9)) + "O" for _ in range(count)],
            "set": np.where(np.arange(count) < 66, "train", "leaderboard"), "parsed": np.arange(count) != 3,
            FINGERPRINT: [np.packbits(row).tobytes() for row in bits], "d_MolWt": weight,
        }
    )  # fmt: skip
    for task in TASKS:
        label = ((weight + bits[:, 0] + 0.3 * rng.normal(size=count)) > 0.5).astype(np.float32)
        table[task] = np.where(rng.random(count) < 0.25, np.nan, label)
    return table


def utterances(videos: int = 24) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for video in range(videos):
        mood = video % 2
        for segment in range(1, int(rng.integers(3, 9))):
            label = int(rng.random() < 0.2 + 0.6 * mood)
            views = {view: (rng.normal(size=6) + label).tolist() for view in VIEWS}
            split = "train" if video < 16 else "test"
            rows.append({"video_id": f"v{video}", "segment": segment, "split": split, "label": label, **views})
    return pd.DataFrame(rows)


def test_the_table_of_molecules() -> None:
    made = make_recipe("toxicity").prepare(molecules())
    assert (len(made.train), len(made.test)) == (66, 24)
    assert made.targets == TASKS
    assert set(made.options["inputs"]) == {"smiles", "fingerprint", "d_MolWt"}
    first = np.unpackbits(np.frombuffer(molecules()[FINGERPRINT][0], np.uint8))
    np.testing.assert_array_equal(made.train["fingerprint"][0], first)
    assert made.train["fingerprint"][3] is None
    assert np.isnan(made.train["d_MolWt"][3])
    assert made.train["SR-p53"].isna().sum() > 0


def test_auroc_goes_by_labelled_rows_and_by_assays_with_both_classes() -> None:
    truth = np.array([[1.0, np.nan, 1.0], [0.0, 1.0, 1.0], [np.nan, 0.0, np.nan]])
    chances = np.array([[0.9, 0.0, 0.5], [0.1, 0.2, 0.5], [0.5, 0.8, 0.5]])
    assert auroc(truth[:, 0], chances[:, 0]) == 1.0
    assert auroc(truth[:, 1], chances[:, 1]) == 0.0
    assert auroc(truth[:, 2], chances[:, 2]) is None
    assert mean_auroc(truth, chances) == 0.5


def test_neighbours_stay_in_their_video_the_nearest_first() -> None:
    table = pd.DataFrame({"video_id": ["a"] * 3 + ["b"], "text": [[1.0], [2.0], [3.0], [4.0]]})
    before, after = neighbours(table, "text")
    assert before == [None, [[1.0]], [[2.0], [1.0]], None]
    assert after == [[[2.0], [3.0]], [[3.0]], None, None]
    long = pd.DataFrame({"video_id": ["a"] * 30, "text": [[float(i)] for i in range(30)]})
    before, after = neighbours(long, "text")
    assert len(before[29]) == len(after[0]) == NEAR
    assert before[29][0] == [28.0]


def test_switches_choose_the_inputs() -> None:
    assert make_recipe("sentiment").prepare(utterances()).options["inputs"] == list(VIEWS)
    assert make_recipe("sentiment", ["audio"]).prepare(utterances()).options["inputs"] == ["audio"]
    both = make_recipe("sentiment", ["text", "series"]).prepare(utterances())
    assert both.options["inputs"] == ["text", "text_before", "text_after"]
    assert both.options["kinds"] == {"text_before": "series", "text_after": "series"}
    assert not set(both.train["video_id"]) & set(both.test["video_id"])


def test_context_is_what_stands_around_an_utterance() -> None:
    table = pd.DataFrame({"video_id": ["a", "a", "a", "b"], "text": [[1.0], [2.0], [6.0], [9.0]]})
    found = within(table["text"].tolist(), *neighbours(table, "text"))
    assert found == [[1, 0, 2, 0, 4], [2, 1, 6, 1, 6], [6, 2, 0, 1.5, 0], [9, 0, 0, 0, 0]]
    made = make_recipe("sentiment", ["text", "context"]).prepare(utterances())
    assert made.options["inputs"] == ["text"]
    own = make_recipe("sentiment", ["text"]).prepare(utterances())
    assert {len(cell) for cell in made.train["text"]} == {5 * len(own.train["text"][0])}


def test_mistakes_are_told(tmp_path) -> None:
    with pytest.raises(InputError, match="no recipe 'sentimnt'; did you mean sentiment"):
        make_recipe("sentimnt")
    with pytest.raises(InputError, match="has no switch 'txt'; did you mean text"):
        make_recipe("sentiment", ["txt"])
    with pytest.raises(InputError, match=r"reads tox21/tox21.parquet, and there is none in .*; give its folder by"):
        make_recipe("toxicity").read(tmp_path)
    bad = tmp_path / "x.parquet"
    bad.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        make_recipe("toxicity").read(bad)
    with pytest.raises(InputError, match="needs the columns video_id"):
        make_recipe("sentiment").prepare(molecules())


def test_all_recipes_are_listed(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["recipe", "list", "--json"])
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == sorted(RECIPES)


def test_a_recipe_from_end_to_end(tmp_path, capsys) -> None:
    path = tmp_path / "mosi.parquet"
    utterances().to_parquet(path)
    asked = ["recipe", "run", "sentiment", "--data", str(path), "--out", str(tmp_path / "run"), "--trials", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*asked, "--json"])
    assert ended.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == int((utterances()["split"] == "test").sum())
    assert set(told["logistic regression"]) == {*VIEWS, "all"}
    assert 0.5 < told["accuracy"] <= 1
    with pytest.raises(SystemExit):
        main([*asked, "--resume"])
    assert "plait                     accuracy" in capsys.readouterr().out
