"""Encoders out of another run: the same to the bit, frozen whatever is trained around them, gone on with, told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plait
from made import made_rows, wav
from plait.cli.fit import parse_encoders
from plait.data.table import read_table
from plait.exceptions import InputError
from plait.fusion import Architecture, Candidate
from plait.pipeline import choose, finetune
from plait.pipeline.given import encoder_of_run
from plait.predictor import Predictor
from plait.search import Choice
from plait.training.checkpoints import load_tensors, save_tensors
from plait.training.model import UnimodalNetwork

ROWS = 100
ARCHITECTURE = "c1 = relu(concat(tabular.1, view.1))"
ALONE = "c1 = relu(concat(view.1))"
CHOOSE = choose.choose


def columns(*names: str, seed: int = 0) -> dict[str, list[Any]]:
    """Some columns of the made table."""
    made = made_rows(ROWS, seed)
    return {name: made[name] for name in names}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that learned `label` from a sound and a vector; read-only."""
    run = tmp_path_factory.mktemp("first") / "run"
    plait.fit(columns("sound", "view", "label"), "label", out=run, trials=1)
    return run


def network(run: Path, modality: str) -> UnimodalNetwork:
    """The network that the stages of a run left."""
    manifest = json.loads((run / "plait.json").read_text())
    number = [entry["name"] for entry in manifest["modalities"]].index(modality)
    given = encoder_of_run(str(run), modality)
    tasks = plait.load(run).tasks
    found = UnimodalNetwork(type_of(given.encoder).build(given.reader), tasks)
    found.load_state_dict(load_tensors(run / "stages" / f"encode-{number}.safetensors"))
    return found.eval()


def type_of(name: str) -> Any:
    from plait.encoders import ENCODERS

    return ENCODERS[name]


def returned(*names: str) -> Any:
    """A choice of the candidate of a name."""

    def choice(*arguments: Any, **more: Any) -> Choice:
        from dataclasses import replace

        found = CHOOSE(*arguments, **more)
        return replace(found, chosen=next(i for i, trial in enumerate(arguments[0]) if trial.candidate.name in names))

    return choice


@pytest.fixture
def architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture over both modalities is returned."""
    from plait.pipeline.evaluate import EvaluateStage

    usual = EvaluateStage.candidates
    more = [
        Candidate(name=text, kind="architecture", architecture=Architecture.parse(text), proposer="progressive")
        for text in (ARCHITECTURE, ALONE)
    ]
    monkeypatch.setattr(EvaluateStage, "candidates", lambda self, fit: [*usual(self, fit), *more])
    monkeypatch.setattr(choose, "choose", returned(ARCHITECTURE))


@pytest.mark.parametrize("modality", ["sound", "view"])
def test_hidden_states_are_those_of_the_other_run_to_the_bit(modality: str, first: Path, tmp_path: Path) -> None:
    table = columns("sound", "view", "size", "price", seed=1)
    rng = np.random.default_rng(1)
    table["sound"] = [wav(rng.normal(0, 0.1, 2000), 8000) for _ in range(ROWS)]  # a reader of its own would differ
    run = tmp_path / "second"
    predictor = plait.fit(table, "price", out=run, trials=1, encoders={modality: f"run:{first}"})
    ours, theirs = network(run, modality), network(first, modality)
    given = encoder_of_run(str(first), modality)
    reader = next(entry["reader"] for entry in predictor.manifest["modalities"] if entry["name"] == modality)
    assert reader == given.reader.model_dump(mode="json")
    reading = given.reader.read(read_table({modality: table[modality]}))
    with torch.inference_mode():
        rows = torch.from_numpy(reading.values)
        for layer, (own, other) in enumerate(zip(ours(rows).layers[:-1], theirs(rows).layers[:-1], strict=True)):
            assert torch.equal(own, other), layer
    for name, tensor in theirs.encoder.state_dict().items():
        assert torch.equal(ours.encoder.state_dict()[name], tensor), name


def test_words_of_the_command_line() -> None:
    assert parse_encoders(["a=run:x=y", "b", "c="]) == {"a": "run:x=y", "b": "", "c": ""}


def test_heads_are_learned_anew_and_beat_the_constant(first: Path, tmp_path: Path) -> None:
    """The other run's target again: its encoders know it, so that heads alone must find it, on any seed the same."""
    table = columns("sound", "view", "label")
    runs = [
        plait.fit(table, "label", out=tmp_path / name, trials=1, seed=5, encoders={"view": f"run:{first}"})
        for name in ("a", "b")
    ]
    alone = next(
        row for row in runs[0].leaderboard_rows() if row["name"].startswith("view") and row["kind"] == "unimodal"
    )
    assert alone["validation"] > 0.1  # the constant predictor has 0
    history = json.loads((tmp_path / "a" / "stages" / "encode-1.json").read_text())["result"]["history"]
    assert history[-1]["loss"] < history[0]["loss"]
    assert (tmp_path / "a" / "weights.safetensors").read_bytes() == (
        tmp_path / "b" / "weights.safetensors"
    ).read_bytes()


def test_where_an_encoder_is_from_is_written_down_and_told(first: Path, tmp_path: Path) -> None:
    predictor = plait.fit(
        columns("view", "size", "price"), "price", out=tmp_path / "run", trials=1, encoders={"view": f"run:{first}"}
    )
    entries = {entry["name"]: entry for entry in predictor.manifest["modalities"]}
    assert entries["tabular"]["encoder_from"] is None
    digest = encoder_of_run(str(first), "view").digest
    assert entries["view"]["encoder_from"] == {"form": f"run:{first}", "digest": digest}
    assert any(note.startswith(f"view: encoder of {first}, frozen") for note in predictor.notes)


def test_a_modality_may_be_named_otherwise_there(first: Path, tmp_path: Path) -> None:
    table = columns("view", "size", "price")
    table["angle#2"] = table.pop("view")
    odd = tmp_path / "with # in it"
    shutil.copytree(first, odd)
    predictor = plait.fit(table, "price", out=tmp_path / "run", trials=1, encoders={"angle#2": f"run:{odd}#view"})
    assert any(f"angle#2: encoder of 'view' in {odd}, frozen" in note for note in predictor.notes)


def test_a_modality_that_the_run_discarded_is_found_in_its_stages(first: Path, tmp_path: Path) -> None:
    run = tmp_path / "copy"
    shutil.copytree(first, run)
    manifest = json.loads((run / "plait.json").read_text())
    used = set(manifest["used"])
    if used == {"sound", "view"}:  # let the run return one modality alone
        manifest["decision"] = {"name": "sound", "kind": "unimodal", "modality": "sound"}
        (run / "plait.json").write_text(json.dumps(manifest))
        used = {"sound"}
    (unused,) = {"sound", "view"} - used
    number = ["sound", "view"].index(unused)
    found = encoder_of_run(str(run), unused)
    weights = run / "stages" / f"encode-{number}.safetensors"
    assert torch.equal(found.weights["mean"], load_tensors(weights)["encoder.mean"])
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError, match="was altered since the fit"):
        encoder_of_run(str(run), unused)
    shutil.rmtree(run / "stages")
    with pytest.raises(InputError, match=f"does not use '{unused}' but .* is not there; restore it, or fit .* again"):
        encoder_of_run(str(run), unused)


def test_resumed_it_does_nothing_and_with_other_weights_all_that_depends_on_them(first: Path, tmp_path: Path) -> None:
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(first, source)
    table = columns("view", "size", "price")
    wish: dict[str, Any] = {"out": run, "trials": 1, "encoders": {"view": f"run:{source}"}}
    before = plait.fit(table, "price", **wish)
    stamps = {path: path.stat().st_mtime_ns for path in run.rglob("*.json")}
    again = plait.fit(table, "price", resume=True, **wish)
    assert again.manifest == before.manifest
    assert stamps == {path: path.stat().st_mtime_ns for path in run.rglob("*.json")}
    alter(source, "view")
    after = plait.fit(table, "price", resume=True, **wish)
    stages = run / "stages"
    assert (stages / "decode.json").stat().st_mtime_ns == stamps[stages / "decode.json"]
    assert (stages / "encode-1.json").stat().st_mtime_ns == stamps[stages / "encode-1.json"]
    assert (stages / "encode-0.json").stat().st_mtime_ns != stamps[stages / "encode-0.json"]
    digests = [one.manifest["modalities"][0]["encoder_from"]["digest"] for one in (before, after)]
    assert digests[0] != digests[1] == encoder_of_run(str(source), "view").digest
    own = plait.fit(table, "price", resume=True, **(wish | {"encoders": None}))
    assert own.manifest["modalities"][0]["encoder_from"] is None
    assert any(f"encoders was view=run:{source}, is None" in note for note in own.notes)


def alter(run: Path, modality: str) -> None:
    """Other weights in a run, with all checksums right."""
    from plait.pipeline.run import file_digest

    manifest = json.loads((run / "plait.json").read_text())
    number = [entry["name"] for entry in manifest["modalities"]].index(modality)
    for path in (run / "weights.safetensors", run / "stages" / f"encode-{number}.safetensors"):
        tensors = load_tensors(path)
        save_tensors(path, {n: t + 0.01 if t.is_floating_point() else t for n, t in tensors.items()})
    manifest["modalities"][number]["sha256"] = file_digest(run / "stages" / f"encode-{number}.safetensors")
    manifest["weights"]["sha256"] = file_digest(run / "weights.safetensors")
    (run / "plait.json").write_text(json.dumps(manifest))


@pytest.mark.usefixtures("architecture")
def test_fine_tuning_leaves_it_as_it_is_and_the_other_run_may_go(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "standard_error", lambda difference: -10.0)  # kept, whatever it gains
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(first, source)
    given = encoder_of_run(str(source), "view")
    table = columns("view", "size", "price", seed=2)
    predictor = plait.fit(table, "price", out=run, trials=1, encoders={"view": f"run:{source}"})
    assert predictor.manifest["finetune"]["kept"] is True
    assert any("Fine-tuning leaves given encoders as they are: view." in note for note in predictor.notes)
    assert encoder_weights(predictor, "view").keys() == given.weights.keys()
    for name, tensor in encoder_weights(predictor, "view").items():
        assert torch.equal(tensor, given.weights[name]), name
    learned = load_tensors(run / "stages" / "encode-1.safetensors")
    moved = encoder_weights(predictor, "tabular")
    assert any(not torch.equal(moved[name], learned[f"encoder.{name}"]) for name in moved)
    told = predictor.predict(table)
    shutil.rmtree(source)
    assert plait.load(run).predict(table).equals(told)


@pytest.mark.usefixtures("architecture")
def test_nothing_is_fine_tuned_where_every_encoder_is_given(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "choose", returned(ALONE))
    predictor = plait.fit(
        columns("view", "size", "price"), "price", out=tmp_path / "run", trials=1, encoders={"view": f"run:{first}"}
    )
    assert predictor.manifest["finetune"] is None
    assert any("Nothing is fine-tuned: every encoder" in note for note in predictor.notes)


def encoder_weights(predictor: Predictor, modality: str) -> dict[str, torch.Tensor]:
    """Weights of an encoder as the predictor has it."""
    network = dict(zip(predictor.model.names, predictor.model.networks, strict=True))[modality]
    assert isinstance(network, UnimodalNetwork)
    return network.encoder.state_dict()


def test_under_a_time_limit_heads_are_learned_too(first: Path, tmp_path: Path) -> None:
    predictor = plait.fit(
        columns("view", "size", "price"), "price", out=tmp_path / "run", time_limit=0.01,
        encoders={"view": f"run:{first}"},
    )  # fmt: skip
    assert np.isfinite(predictor.predict(columns("view", "size"))["price"]).all()
