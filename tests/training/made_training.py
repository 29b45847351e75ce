"""A small training problem: two vector modalities, two tasks, some labels and some inputs missing."""

from __future__ import annotations

import numpy as np

from plait.data.batches import Rows
from plait.data.readers import VectorReader
from plait.encoders import VectorEncoder
from plait.fusion import Candidate, FusionNetwork
from plait.fusion.architecture import concat_of
from plait.tasks import Task
from plait.training import Model, UnimodalNetwork
from plait.training.loop import seeded_build

KIND = Task(name="kind", kind="binary", label_type="str", classes=("a", "b"), prior=(-0.6931472, -0.6931472))
SIZE = Task(name="size", kind="regression", label_type="float", prior=(0.0,))


def rows_of(count: int, seed: int = 0) -> Rows:
    """Rows whose class is the sign of the first number of either modality, and whose number is their sum."""
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(count, 4)).astype(np.float32), rng.normal(size=(count, 3)).astype(np.float32)
    label = (one[:, 0] + two[:, 0] > 0).astype(np.float32)
    present = {"one": rng.random(count) < 0.9, "two": rng.random(count) < 0.9}
    labelled = {"kind": rng.random(count) < 0.8, "size": rng.random(count) < 0.8}
    targets = {"kind": label, "size": (one[:, 0] + two[:, 1]).astype(np.float32)}
    hidden = {name: np.where(labelled[name], values, 0).astype(np.float32) for name, values in targets.items()}
    return Rows({"one": one, "two": two}, present, hidden, labelled, np.arange(count))


def model_of(seed: int = 0) -> Model:
    """A fusion model over two fresh encoders: batch normalisation and dropout are in it."""
    with seeded_build(seed, "model"):
        networks = {
            name: UnimodalNetwork(VectorEncoder.build(VectorReader(width=width)), (KIND, SIZE))
            for name, width in (("one", 4), ("two", 3))
        }
        candidate = Candidate(name="c", kind="architecture", architecture=concat_of({"one": 2, "two": 1}))
        decision = candidate.build({name: network.widths for name, network in networks.items()}, (KIND, SIZE))
        assert isinstance(decision, FusionNetwork)
        return Model(networks, decision, (KIND, SIZE))
