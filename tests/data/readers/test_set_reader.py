"""Several columns of one kind as one modality: read item by item, encoded without hearing their order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import plait
from made import made_rows, write_table
from plait.data.infer import Wishes, infer_schema
from plait.data.readers import load_reader
from plait.data.readers.set import SetReader
from plait.data.schema import Column, Schema
from plait.data.table import Table
from plait.encoders import ENCODERS
from plait.exceptions import InputError

COLUMNS = tuple(Column(name=name, role="input", kind="vector") for name in "abc")


def cells() -> Table:
    rng = np.random.default_rng(0)
    columns = {name: [row.tolist() for row in rng.normal(size=(40, 5))] for name in "abc"}
    columns["b"][3] = None
    for name in "abc":
        columns[name][5] = None
    columns["c"][7] = [1.0, float("nan"), 0.0, 0.0, 0.0]
    return Table(pa.table(columns), "made", Path("."))


def views() -> Table:
    columns = {"x": [[1.0, 2.0]] * 3, "y": [[3.0, 4.0]] * 3, "n": [1.0, 2.0, 3.5], "t": [0, 1, 0]}
    return Table(pa.table(columns), "made")


@pytest.fixture(scope="module")
def reader() -> SetReader:
    return SetReader.fit(cells(), COLUMNS)


def test_items_are_read_as_their_own_reader_reads_them(reader: SetReader) -> None:
    found, made = reader.read(cells()), cells()
    assert reader.shape == (3, 6)
    one = reader.item.read(Table(made.data.select(["a"]), made.name, made.folder))
    np.testing.assert_array_equal(found.values[0, 0, :-1], one.values[0])
    assert found.values[3, :, -1].tolist() == [1, 0, 1]
    assert found.present[3]
    assert not found.present[5]
    assert not found.present[7]
    assert list(found.bad) == [7]
    assert found.bad[7].startswith("c: the vector holds NaN")
    assert not found.values[7].any()


def test_classical_models_read_the_mean_of_the_items_that_are_there(reader: SetReader) -> None:
    values = reader.read(cells()).values
    told = reader.features(values)
    np.testing.assert_allclose(told[0], values[0, :, :-1].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(told[3], values[3, [0, 2], :-1].mean(axis=0), rtol=1e-6)
    assert np.isnan(told[5]).all()


def test_it_travels_as_json(reader: SetReader) -> None:
    again = load_reader(reader.model_dump(mode="json"))
    np.testing.assert_array_equal(again.read(cells()).values, reader.read(cells()).values)


def test_the_order_of_items_says_nothing_and_absent_ones_have_no_say(reader: SetReader) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["set"].build(reader)
    values = reader.read(cells()).values
    encoder.fit_input(values)
    encoder.eval()
    rows = torch.from_numpy(values[[0, 3]])
    states = encoder(rows)
    assert tuple(layer.shape[1] for layer in states.layers) == encoder.widths
    turned = encoder(rows[:, [2, 0, 1]])
    for one, other in zip(states.layers, turned.layers, strict=True):
        torch.testing.assert_close(one, other)
    loud = rows.clone()
    loud[1, 1, :-1] = 1e6  # an absent item, whatever stands in its place
    for one, other in zip(states.layers, encoder(loud).layers, strict=True):
        torch.testing.assert_close(one, other)
    alone = encoder(rows[1:, [0, 2]])
    torch.testing.assert_close(alone.layers[-1][0], states.layers[-1][1])
    assert states.token_mask.tolist() == [[True] * 3, [True, False, True]]


def test_the_schema_says_which_columns_belong_together(tmp_path: Path) -> None:
    table = Table(
        pa.table({"x": [[1.0, 2.0]] * 3, "y": [[3.0, 4.0]] * 3, "n": [1.0, 2.0, 3.5], "t": [0, 1, 0]}), "made"
    )
    found = infer_schema(table, Wishes(targets=["t"], modalities={"views": ["x", "y"]}))
    assert [(m.name, m.kind, m.items, m.columns) for m in found.modalities] == [
        ("views", "set", "vector", ("x", "y")), ("tabular", "tabular", "", ("n",)),
    ]  # fmt: skip
    again = Schema.model_validate_json(found.to_json())
    assert again == found
    apart = infer_schema(table, Wishes(targets=["t"], modalities={"size": ["n"]}))
    assert [(m.name, m.kind) for m in apart.modalities] == [("x", "vector"), ("y", "vector"), ("size", "tabular")]


@pytest.mark.parametrize(
    ("modalities", "told"),
    [
        ({"v": ["x", "n"]}, "has columns of several kinds"),
        ({"v": ["x", "zz"]}, "has no column 'zz' (--modality)"),
        ({"v": ["x", "t"]}, "Column 't' (--modality v) is no input"),
        ({"v": ["x"], "w": ["x"]}, "given to the modalities v and w"),
        ({"y": ["x", "n"]}, "is the name of another column"),
        ({"v": []}, "needs a name and a column"),
    ],
)
def test_mistakes_are_told(modalities: dict[str, list[str]], told: str) -> None:
    table = Table(
        pa.table({"x": [[1.0, 2.0]] * 3, "y": [[3.0, 4.0]] * 3, "n": [1.0, 2.0, 3.5], "t": [0, 1, 0]}), "made"
    )
    with pytest.raises(InputError) as error:
        infer_schema(table, Wishes(targets=["t"], modalities=modalities))
    assert told in str(error.value)


def test_a_set_of_images_from_end_to_end(tmp_path: Path) -> None:
    rows = made_rows()
    images = rows["image"]
    table = write_table(tmp_path, {"front": images, "back": [images[-1], *images[:-1]], "label": rows["label"]})
    predictor = plait.fit(table, "label", out=tmp_path / "run", modalities={"photos": ["front", "back"]}, trials=1)
    assert predictor.manifest["modalities"][0]["kind"] == "set"
    assert predictor.candidate.used == ("photos",)
    frame = pd.read_parquet(table).drop(columns="label")
    together = predictor.predict_proba(Table(pa.Table.from_pandas(frame), "x", tmp_path).data)
    swapped = frame.rename(columns={"front": "back", "back": "front"})
    np.testing.assert_allclose(
        predictor.predict_proba(swapped).to_numpy(), together.to_numpy(), atol=1e-5
    )  # fmt: skip
    assert "2 items of" in (tmp_path / "run" / "report.html").read_text()
