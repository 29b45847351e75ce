"""Fits of targets that are neither plain classes nor numbers: from the table to answers and figures."""

from __future__ import annotations

import json
import time
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
    with pytest.raises(InputError, match=r"holds 'high', 'low': text says nothing of its order\. Say it"):
        plait.fit(table, "mood", kinds={"mood": "ordinal"}, out=tmp_path / "run", trials=1)
    assert not (tmp_path / "run").exists()


def test_an_ordered_categorical_says_its_order(tmp_path: Path) -> None:
    import pandas as pd

    order = ["low", "mid", "high"]
    moods = pd.Categorical(["high", "mid", "low"] * 50, order, ordered=True)
    frame = pd.DataFrame(rated()).assign(mood=moods, ward=np.arange(150) // 3).drop(columns="stars")
    schema = plait.schema(frame, "mood", kinds={"mood": "ordinal"})
    assert schema.targets[0].order == ("low", "mid", "high")
    assert type(schema).model_validate_json(schema.model_dump_json()) == schema
    frame.to_parquet(tmp_path / "table.parquet", use_dictionary=False)  # its categories: as they first stand there
    assert plait.schema(tmp_path / "table.parquet", "mood", kinds={"mood": "ordinal"}).targets[0].order == ()
    assert plait.schema(frame, "mood").targets[0].order == ()
    edited = schema.model_dump() | {"columns": [one | {"order": ()} for one in schema.model_dump()["columns"]]}
    given = type(schema).model_validate(edited)
    predictor = plait.fit(frame, schema=given, group="ward", out=tmp_path / "run", trials=1)
    assert predictor.manifest["tasks"][0]["classes"] == order


def tagged(rows: int = 150, seed: int = 0) -> dict[str, list[Any]]:
    """Two modalities, each of which says whether one of two labels applies."""
    rng = np.random.default_rng(seed)
    views, size = rng.normal(size=(rows, 3)), rng.normal(size=rows)
    wrong = rng.random((2, rows)) < 0.05
    tags: list[list[str] | None] = [
        [name for name, one in (("bright", bright), ("large", large)) if one]
        for bright, large in zip((views[:, 0] > 0) ^ wrong[0], (size > 0.3) ^ wrong[1], strict=True)
    ]
    tags[3], tags[7] = None, [*(tags[7] or []), "odd"]
    return {"view": [list(map(float, row)) for row in views], "size": size.tolist(), "tags": tags}


def test_a_target_of_lists(tmp_path: Path) -> None:
    table = tagged() | {"mood": ["a", "b", "b"] * 50}
    predictor = plait.fit(table, ["tags", "mood"], out=tmp_path / "run", trials=2)
    assert [task.name for task in predictor.tasks] == ["tags__bright", "tags__large", "mood"]
    assert any("label 'odd' stands in fewer than 2 training rows" in note for note in predictor.notes)
    answers, chances = predictor.predict(table), predictor.predict_proba(table)
    assert list(answers) == ["tags", "mood"]
    assert list(chances) == ["tags__bright", "tags__large", "mood__a", "mood__b"]
    for row, told in enumerate(answers["tags"]):
        assert told == [name for name in ("bright", "large") if chances[f"tags__{name}"][row] > 0.5]
    told = predictor.evaluate(table)["tasks"]
    assert list(told) == ["tags", "mood"]
    assert told["tags"]["n"] == 149
    assert told["tags"]["metrics"]["accuracy"] > 0.8
    right = [
        np.mean([(name in one) == (name in truth) for name in ("bright", "large")])
        for one, truth in zip(answers["tags"], table["tags"], strict=True)
        if truth is not None
    ]
    assert told["tags"]["metrics"]["accuracy"] == pytest.approx(np.mean(right))
    assert predictor.manifest["data"]["labelled"]["tags"]["train"] in (103, 104, 105)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "tags and mood" in page
    assert "tags__bright" not in page


def test_lists_as_text_in_csv_and_back(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from plait.cli.main import app

    columns = tagged()
    lines = ["a,b,size,tags"]
    for view, size, tags in zip(columns["view"], columns["size"], columns["tags"], strict=True):
        lines.append(f"{view[0]},{view[1]},{size},{'' if tags is None else ';'.join(tags) or ';'}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    run = CliRunner().invoke
    call = ["fit", str(tmp_path / "table.csv"), "--target", "tags", "--kind", "tags=multilabel", "--trials", "1"]
    assert run(app, [*call, "--out", str(tmp_path / "run")]).exit_code == 0
    found = run(app, ["predict", str(tmp_path / "run"), str(tmp_path / "table.csv"), "--proba"]).stdout.splitlines()
    assert found[0] == "tags,tags__bright,tags__large"
    assert {line.split(",")[0] for line in found[1:]} == {";", "bright", "large", "bright;large"}
    call = ["evaluate", str(tmp_path / "run"), str(tmp_path / "table.csv")]
    tags = json.loads(run(app, [*call, "--json"]).stdout)["tasks"]["tags"]
    assert list(tags["labels"]) == ["bright", "large"]
    each = [one["accuracy"] for one in tags["labels"].values()]
    assert sum(each) / 2 == pytest.approx(tags["metrics"]["accuracy"])
    printed = [line.split() for line in run(app, call).stdout.splitlines()]
    assert ["label", *tags["metrics"]] in printed
    assert [words[0] for words in printed[-2:]] == ["bright", "large"]
    (tmp_path / "answers.csv").write_text("\n".join(found) + "\n")
    answered = plait.fit(
        tmp_path / "answers.csv", "tags", kinds={"tags": "multilabel"}, out=tmp_path / "again", trials=1
    )
    assert [task.label for task in answered.tasks] == ["bright", "large"]


def test_bad_rows_have_no_list(tmp_path: Path) -> None:
    table = tagged(80)
    predictor = plait.fit(table, "tags", out=tmp_path / "run", trials=1)
    table["size"] = [1e300, *table["size"][1:]]
    answers = predictor.predict(table, bad_rows="skip")["tags"]
    assert (answers[0] is None) == ("tabular" in predictor.candidate.used)
    assert isinstance(answers[1], list)


def test_evaluate_tells_intervals_over_rows_or_groups(tmp_path: Path) -> None:
    table = rated() | {"who": [row // 10 for row in range(150)]}
    predictor = plait.fit(table, "stars", group="who", out=tmp_path / "run", trials=1)
    by_group = predictor.evaluate(table)["tasks"]["stars"]
    by_row = predictor.evaluate({name: cells for name, cells in table.items() if name != "who"})["tasks"]["stars"]
    assert list(by_group) == ["n", "metrics", "intervals"]
    assert by_group["metrics"] == by_row["metrics"]
    assert by_group["intervals"] != by_row["intervals"]
    assert predictor.evaluate(table)["tasks"]["stars"] == by_group
    for part in ("validation", "test"):
        assert list(predictor.manifest["metrics"][part]["stars"]) == ["n", "metrics", "intervals"]
    low, high = predictor.manifest["metrics"]["test"]["stars"]["intervals"]["accuracy"]
    assert f"{low:.3f} to {high:.3f}" in (tmp_path / "run" / "report.html").read_text()


def rare(rows: int = 400, seed: int = 0) -> dict[str, list[Any]]:
    """Two classes that overlap, one of them in a tenth of the rows."""
    rng = np.random.default_rng(seed)
    label = rng.random(rows) < 0.1
    views = rng.normal(size=(rows, 3)) + np.outer(label, [1.2, 0, 0])
    size = rng.normal(size=rows) + 0.8 * label
    names = np.where(label, "rare", "usual").tolist()
    return {"view": [list(map(float, row)) for row in views], "size": size.tolist(), "label": names}


def test_class_weights_let_rare_classes_weigh_as_much_as_others(tmp_path: Path) -> None:
    table = {name: cells for name, cells in rare().items() if name != "size"}  # late rules go by the score, unweighed
    plain = plait.fit(table, "label", out=tmp_path / "plain", trials=1)
    weighed = plait.fit(table, "label", out=tmp_path / "weighed", trials=1, class_weights="balanced")
    train = plain.manifest["data"]["classes"]["label"]["train"]
    assert weighed.manifest["class_weights"] == "balanced"
    assert weighed.tasks[0].class_weights == pytest.approx([sum(train) / (2 * count) for count in train])
    assert plain.manifest["class_weights"] is None
    assert plain.tasks[0].class_weights == ()
    chances = [one.predict_proba(table)["label__rare"].mean() for one in (plain, weighed)]
    assert chances[0] < chances[1]
    logged = [json.loads(line) for line in (tmp_path / "weighed" / "log.jsonl").read_text().splitlines()]
    assert any(entry.get("class_weights") == "balanced" for entry in logged)


def test_class_weights_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    table = rare()
    with pytest.raises(InputError, match=r"--class-weights is 'balance'; did you mean balanced\?"):
        plait.fit(table, "label", out=tmp_path / "run", trials=1, class_weights="balance")
    with pytest.raises(InputError, match=r"--class-weights balanced: no target holds classes that could weigh"):
        plait.fit(table, "size", out=tmp_path / "run", trials=1, class_weights="balanced")
    assert not (tmp_path / "run").exists()


def test_thresholds_for_a_metric_of_answers(tmp_path: Path) -> None:
    table = rare(800)
    predictor = plait.fit(table, "label", out=tmp_path / "run", trials=1, metric="balanced_accuracy")
    told = predictor.manifest["thresholds"]["label"]
    assert told["kept"]
    assert told["after"] > told["before"] + told["standard_error"]
    offset = predictor.tasks[0].offsets[0] - predictor.tasks[0].offsets[1]
    assert offset > 0.5  # classes stand in sorted order: rare, usual
    assert any("Answers of 'label' go by thresholds" in note for note in predictor.notes)
    answers, chances = predictor.predict(table)["label"], predictor.predict_proba(table)
    expected = np.log(chances["label__rare"]) + offset > np.log(chances["label__usual"])
    assert (answers == np.where(expected, "rare", "usual")).all()
    assert (answers == "rare").sum() > (chances["label__rare"] > 0.5).sum()
    found = predictor.evaluate(table)["tasks"]["label"]
    truth = np.array(table["label"])
    assert found["metrics"]["accuracy"] == pytest.approx((answers == truth).mean())
    low, high = found["intervals"]["accuracy"]
    assert low <= found["metrics"]["accuracy"] <= high


def test_no_thresholds_for_a_score_of_probabilities(tmp_path: Path) -> None:
    predictor = plait.fit(rare(), "label", out=tmp_path / "run", trials=1)
    assert predictor.manifest["thresholds"] is None
    assert predictor.tasks[0].offsets == ()


def test_a_likely_leak_is_told_and_stays(tmp_path: Path) -> None:
    table = rare(200)
    table["code"] = [{"rare": 7, "usual": 3}[label] for label in table["label"]]
    predictor = plait.fit(table, "label", out=tmp_path / "run", trials=1)
    assert any(
        note.startswith(
            "Column 'code' (numeric) holds numbers, though each of their values stands for one value of the"
        )
        for note in predictor.notes
    )
    assert "code" in predictor.columns.get("tabular", ["code"])


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_modality_that_a_whole_part_lacks(part: str, tmp_path: Path) -> None:
    table = rated(120)
    table["part"] = ["train"] * 80 + ["validation"] * 20 + ["test"] * 20
    table["view"] = [None if name == part else cell for name, cell in zip(table["part"], table["view"], strict=True)]
    predictor = plait.fit(table, "stars", split_column="part", out=tmp_path / "run", trials=1)
    left_out = "Modality 'view' is absent in every training row: it is left out." in predictor.notes
    assert left_out == (part == "train")
    assert predictor.manifest["metrics"]["test"]["stars"]["metrics"]["accuracy"] is not None


def test_categories_and_classes_that_training_never_saw(tmp_path: Path) -> None:
    table = rare(200) | {"ward": ["east", "west"] * 100}
    predictor = plait.fit(table, "label", out=tmp_path / "run", trials=1)
    new = {**table, "ward": ["moon"] * 200, "label": ["odd" if row % 4 == 0 else "usual" for row in range(200)]}
    assert set(predictor.predict(new)["label"]) <= {"rare", "usual"}
    told = predictor.evaluate(new)["tasks"]["label"]
    assert told["metrics"]["log_loss"] is None
    assert told["intervals"]["log_loss"] is None
    assert told["metrics"]["accuracy"] <= 0.75


def test_ten_thousand_classes_are_refused_at_once(tmp_path: Path) -> None:
    label = np.tile(np.arange(10_000), 4)
    table = {"x": np.random.default_rng(0).normal(size=len(label)), "label": [f"c{code}" for code in label]}
    started = time.process_time()
    with pytest.raises(InputError, match=r"'label' has 10,000 classes; at most 1,000 are learned\. Merge rare ones"):
        plait.fit(table, "label", out=tmp_path / "run", trials=1)
    assert time.process_time() - started < 10
    assert not (tmp_path / "run").exists()
