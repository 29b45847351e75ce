"""Validation and test tables beside the training table: other types, empty columns, other rows when a run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import plait
from made import made_rows, write_table
from plait.exceptions import InputError
from plait.pipeline.narrator import Narrator
from plait.search.screening import Screening


class Listener(Narrator):
    """Remembers what a fit says."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.told: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def tell(self, sentence: str) -> None:
        self.told.append(sentence)


def rows(count: int = 90, seed: int = 0) -> pd.DataFrame:
    """A vectorless table: a number, a ward, a class as 0 or 1, a number to learn."""
    columns = made_rows(count, seed)
    frame = pd.DataFrame({name: columns[name] for name in ("size", "ward", "price", "patient")})
    return frame.assign(label=[int(name == "up") for name in columns["label"]])


def test_a_target_may_be_empty_in_a_file_beside_the_training_table(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.csv" for name in ("train", "validation", "test")]
    for path, seed in zip(paths, range(3), strict=True):
        frame = rows(40, seed).drop(columns="patient")
        (frame.assign(price=np.nan) if path.stem == "validation" else frame).to_csv(path, index=False)
    run = tmp_path / "run"
    predictor = plait.fit(paths[0], ["label", "price"], validation=paths[1], test=paths[2], out=run, trials=1)
    assert predictor.manifest["metrics"]["test"]["price"]["n"] == 40


def test_a_group_may_be_empty_in_a_file_beside_the_training_table(tmp_path: Path) -> None:
    for name, seed in (("train", 0), ("validation", 1)):
        frame = rows(60, seed).drop(columns="price")
        (frame.assign(patient=None) if seed else frame).to_csv(tmp_path / f"{name}.csv", index=False)
    paths = [tmp_path / f"{name}.csv" for name in ("train", "validation")]
    predictor = plait.fit(paths[0], "label", validation=paths[1], group="patient", out=tmp_path / "run", trials=1)
    assert predictor.manifest["data"]["rows"] == {"train": 60, "validation": 60, "test": 0}


def test_labels_are_told_in_the_type_of_the_training_table(tmp_path: Path) -> None:
    test = rows(40, 1)
    test["label"] = test["label"].astype(float)
    test.loc[3, "label"] = np.nan
    named = rows(40, 2)
    named["label"] = named["label"].astype(object)
    named.loc[5, "label"] = "unknown"
    for number, given in enumerate((test, named.astype({"label": str}))):
        run = tmp_path / f"run{number}"
        predictor = plait.fit(
            rows(), "label", validation=rows(30, 3), test=given, ignore=["price", "patient"], out=run, trials=1
        )
        assert predictor.tasks[0].classes == ("0", "1")
        assert predictor.predict(given)["label"].dtype == np.int64
        known = predictor.manifest["metrics"]["test"]["label"]
        assert known == predictor.evaluate(given)["tasks"]["label"]
        assert known["metrics"]["accuracy"] > 0.6


@pytest.mark.parametrize("part", ["validation", "test"])
def test_split_roles_of_the_table_itself_are_not_passed_over(part: str, tmp_path: Path) -> None:
    table = rows().assign(part=["train"] * 60 + ["val"] * 15 + ["test"] * 15)
    metadata = {b"plait": b'{"roles": {"part": "split", "label": "target"}}'}
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.Table.from_pandas(table).replace_schema_metadata(metadata), path)
    with pytest.raises(InputError, match=r"'part' says which rows are for what .* leave that out, or let the column"):
        plait.fit(path, out=tmp_path / "run", trials=1, **{part: rows(30, 1).assign(part="test")})
    assert not (tmp_path / "run").exists()
    plait.fit(path, out=tmp_path / "run", trials=1, ignore=["part"], **{part: rows(30, 1)})


def test_groups_shared_by_training_and_given_test_rows_are_told(tmp_path: Path) -> None:
    listener = Listener()
    plait.fit(
        rows(), "label", test=rows(30, 1), group="patient", ignore=["price"], out=tmp_path / "run", trials=1,
        narrator=listener,
    )  # fmt: skip
    assert any("groups stand in the training rows and in others as well" in note for note in listener.notes)


@pytest.mark.parametrize("change", [lambda frame: frame.assign(label=1 - frame["label"]), lambda frame: frame[:20]])
def test_other_test_rows_have_other_figures_when_a_run_goes_on(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    given: dict[str, Any] = {"validation": rows(30, 3), "ignore": ["price", "patient"], "trials": 1}
    test = rows(40, 1)
    plait.fit(rows(), "label", test=test, out=tmp_path / "run", **given)
    for now in (change(test), test):
        again = plait.fit(rows(), "label", test=now, out=tmp_path / "run", resume=True, **given)
        assert again.manifest["metrics"]["test"]["label"] == again.evaluate(now)["tasks"]["label"]


def test_corrected_labels_are_learned_when_a_run_goes_on(tmp_path: Path) -> None:
    """Without labels that judge, all figures are as before: only the weights tell that something was learned anew."""
    given: dict[str, Any] = {"validation": rows(30, 3).assign(label=None), "ignore": ["price", "patient"], "trials": 1}
    table = rows()
    wrong = table.assign(label=1 - table["label"])
    plait.fit(wrong, "label", out=tmp_path / "run", **given)
    again = plait.fit(table, "label", out=tmp_path / "run", resume=True, **given)
    fresh = plait.fit(table, "label", out=tmp_path / "fresh", **given)
    assert again.manifest["weights"] == fresh.manifest["weights"]
    assert (again.predict(table) == fresh.predict(table)).all(axis=None)


def test_corrected_groups_are_drawn_together_when_a_run_goes_on(tmp_path: Path) -> None:
    """Nothing is learned otherwise, and no test row is read: the intervals alone tell."""
    table = rows().assign(part=["train"] * 60 + ["validation"] * 30)
    given: dict[str, Any] = {"group": "patient", "split_column": "part", "ignore": ["price"], "trials": 1}
    alone = table.assign(patient=range(90))
    first = plait.fit(alone, "label", out=tmp_path / "run", **given)
    again = plait.fit(table, "label", out=tmp_path / "run", resume=True, **given)
    fresh = plait.fit(table, "label", out=tmp_path / "fresh", **given)
    ends = [[row["interval"] for row in one.manifest["leaderboard"]] for one in (first, again, fresh)]
    assert ends[0] != ends[1] == ends[2]


def test_a_file_of_another_call_is_not_taken(tmp_path: Path) -> None:
    """As a kill between a stage's file and its result leaves it."""
    given: dict[str, Any] = {"ignore": ["price", "patient"], "trials": 1}
    first = plait.fit(rows(), "label", out=tmp_path / "run", **given)
    plait.fit(rows().assign(label=1 - rows()["label"]), "label", out=tmp_path / "other", **given)
    for name in ("encode-0.safetensors", "evaluate.safetensors"):
        path = tmp_path / "run" / "stages" / name
        path.write_bytes((tmp_path / "other" / "stages" / name).read_bytes())
    again = plait.fit(rows(), "label", out=tmp_path / "run", resume=True, **given)
    assert again.manifest["weights"] == first.manifest["weights"]
    assert (again.predict(rows()) == first.predict(rows())).all(axis=None)


def test_a_finished_run_says_that_there_is_nothing_to_do(tmp_path: Path) -> None:
    listener = Listener()
    for resume in (False, True):
        assert not any("nothing to do" in sentence for sentence in listener.told)
        plait.fit(
            rows(), "label", ignore=["price"], out=tmp_path / "run", trials=1, resume=resume, narrator=listener
        )  # fmt: skip
    assert any("is finished: there was nothing to do" in sentence for sentence in listener.told)


def test_columns_that_a_schema_does_not_name_are_told(tmp_path: Path) -> None:
    listener, table = Listener(), rows()
    schema = plait.schema(table[["size", "ward", "label"]], "label")
    plait.fit(table, schema=schema, out=tmp_path / "run", trials=1, narrator=listener)
    assert any("columns that the schema lacks; they are not used: price, patient." in note for note in listener.notes)


def test_a_fit_without_a_readable_row_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    columns = {name: made_rows(30)[name] for name in ("image", "label")}
    columns["part"] = ["train"] * 20 + ["validation"] * 10
    for part, place in (("training", slice(0, 20)), ("validation", slice(20, 30))):
        images = list(columns["image"])
        images[place] = [b"\x89PNG\r\n\x1a\n broken"] * len(images[place])
        table = write_table(tmp_path, columns | {"image": images}, f"{part}.parquet")
        message = f"None of the {len(images[place])} {part.removesuffix('ing')} rows can be read"
        with pytest.raises(InputError, match=message):
            plait.fit(
                table, "label", split_column="part", kinds={"image": "image"}, out=tmp_path / "run", trials=1,
                bad_rows="skip",
            )  # fmt: skip
        assert not (tmp_path / "run").exists()
    mixed = [b"\x89PNG\r\n\x1a\n broken", None] * 10 + list(columns["image"][20:])
    table = write_table(tmp_path, columns | {"image": mixed}, "mixed.parquet")
    with pytest.raises(InputError, match="Every input cell of the training rows is empty"):
        plait.fit(
            table, "label", split_column="part", kinds={"image": "image"}, out=tmp_path / "run", trials=1,
            bad_rows="skip",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
    empty = {"size": [None] * 20 + [1.0] * 10, "label": columns["label"], "part": columns["part"]}
    with pytest.raises(InputError, match="Every input cell of the training rows is empty"):
        plait.fit(empty, "label", split_column="part", out=tmp_path / "run", trials=1)
    assert not (tmp_path / "run").exists()


def test_noise_beside_a_single_modality_is_fused_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Screening, "kept", property(lambda self: ("tabular",)))
    listener = Listener()
    table = made_rows(90)
    plait.fit(
        {name: table[name] for name in ("view", "size", "label")}, "label", out=tmp_path / "run", trials=1,
        narrator=listener,
    )  # fmt: skip
    assert any("nothing in view, neither alone nor with another modality. All are fused" in n for n in listener.notes)
