"""The benchmark that published fusion search was run on: its unimodal networks, its space, and the search as it runs.

The networks are those of MFAS (Perez-Rua et al., CVPR 2019) for audio-visual digits, with 6 channels: a LeNet of three
blocks on images of 28 x 28, one of five on spectrograms of 112 x 112, every block globally pooled to one hidden state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import harness
from plait.data.batches import Rows
from plait.encoders import HiddenStates
from plait.encoders.cache import moments_of
from plait.fusion import Architecture, FusionNetwork, FusionSpace
from plait.tasks import Task
from plait.tasks.score import Labels

CHANNELS = 6
BLOCKS = {"image": 3, "sound": 5}
SIDES = {"image": 28, "sound": 112}
WIDTHS = {name: (*(CHANNELS * 2**block for block in range(blocks)), 10) for name, blocks in BLOCKS.items()}
"""Widths of the hidden states and of the head, by modality."""

DIGIT = Task(
    name="digit", kind="multiclass", label_type="int", classes=tuple(map(str, range(10))), prior=(-2.302585,) * 10
)


class LeNet(nn.Module):
    """Convolution, batch norm, ReLU and pooling by two, some times over; hidden states are global means."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        sizes = [1, *(CHANNELS * 2**block for block in range(blocks))]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(sizes[n], sizes[n + 1], 5 if n == 0 else 3, padding=2 if n == 0 else 1, bias=False),
                nn.BatchNorm2d(sizes[n + 1]),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            for n in range(blocks)
        )
        self.head = nn.Linear(sizes[-1], 10)

    def forward(self, maps: Tensor) -> list[Tensor]:
        """[B, 1, side, side] to one tensor [B, width] per block, and the logits."""
        found = []
        for block in self.blocks:
            maps = block(maps)
            found.append(maps.mean((2, 3)))
        return [*found, self.head(found[-1])]


@dataclass
class Digits:
    """Raw inputs and labels: training rows first.

    Attributes:
        inputs: By modality [rows, 1, side, side], float32.
        labels: [rows], 0 to 9.
        train: How many are for training.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    train: int


def digits(folder: Path, train: int, validation: int, seed: int) -> Digits:
    """Audio-visual digits, built from the ingredients in the data folder."""
    import pandas as pd

    from plait.data.build import BUILDERS, BuildOptions
    from plait.pipeline.narrator import Narrator

    sizes = {"train": train, "validation": validation, "test": 100}
    BUILDERS["av-mnist"]().build(BuildOptions(harness.data_folder(), folder, **sizes, seed=seed), Narrator())
    frames = [pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "validation")]
    table = pd.concat(frames, ignore_index=True)
    inputs = {"image": _images(table["image"]), "sound": _spectrograms(table["sound"])}
    return Digits(inputs, torch.tensor(table["digit"].to_numpy(np.int64)), train)


def _bytes(cell: object) -> bytes:
    return cell["bytes"] if isinstance(cell, dict) else bytes(cell)  # type: ignore[call-overload]


def _images(cells: Sequence[object]) -> Tensor:
    import io

    from PIL import Image

    found = [np.asarray(Image.open(io.BytesIO(_bytes(cell))).convert("L"), np.float32) for cell in cells]
    return torch.from_numpy(np.stack(found) / 255).unsqueeze(1)


def _spectrograms(cells: Sequence[object]) -> Tensor:
    """Log power, 112 x 112, each distinct clip computed once."""
    import io

    import soundfile

    known: dict[bytes, Tensor] = {}
    window = torch.hann_window(256)
    for cell in map(_bytes, cells):
        if cell not in known:
            wave = torch.from_numpy(soundfile.read(io.BytesIO(cell), dtype="float32")[0])
            power = torch.stft(wave, 256, 64, window=window, return_complex=True).abs().square()
            known[cell] = F.interpolate((power + 1e-6).log()[None, None], size=(112, 112))[0]
    values = torch.stack([known[cell] for cell in map(_bytes, cells)])
    return (values - values.mean()) / values.std()


def trained(made: Digits, seed: int, epochs: int = 2) -> dict[str, LeNet]:
    """The unimodal networks, learned on the digit."""
    found = {}
    for name, blocks in BLOCKS.items():
        torch.manual_seed(seed)
        network = LeNet(blocks)
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
        for _ in range(epochs):
            for rows in torch.randperm(made.train).split(64):
                loss = F.cross_entropy(network(made.inputs[name][rows])[-1], made.labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        found[name] = network.eval()
    return found


@torch.no_grad()
def cached(networks: dict[str, LeNet], made: Digits) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Hidden states of all rows, side by side [rows, widths], and the CPU seconds that took."""
    started = time.process_time()
    found = {}
    for name, network in networks.items():
        pieces = [torch.cat(network(part), dim=1) for part in made.inputs[name].split(64)]
        found[name] = torch.cat(pieces).numpy()
    return found, time.process_time() - started


def rows_of(states: dict[str, NDArray[np.float32]], made: Digits) -> tuple[Rows, Rows, Labels]:
    """Training rows, validation rows, and the labels of the latter."""
    count = len(made.labels)
    targets = {"digit": made.labels.numpy().astype(np.float32)}
    everything = Rows(states, {name: np.ones(count, bool) for name in states}, targets, {"digit": np.ones(count, bool)})
    validation = np.arange(made.train, count)
    labels = Labels({"digit": targets["digit"][validation]}, {"digit": np.ones(len(validation), bool)})
    return everything.at(np.arange(made.train)), everything.at(validation), labels


def moments(train: Rows, widths: dict[str, Sequence[int]]) -> dict[tuple[str, int], tuple[Tensor, Tensor]]:
    """Mean and deviation of every layer over the training rows."""
    found = {}
    for name, sizes in widths.items():
        pair = moments_of(train.inputs[name], train.index)
        mean, deviation = (torch.from_numpy(one).split(list(sizes)) for one in pair)
        found |= {(name, layer): (mean[layer], deviation[layer]) for layer in range(len(sizes))}
    return found


def numerals(seed: int, views: Sequence[str] = ("fou", "mor")) -> tuple[tuple[Rows, Rows, Labels], Any, Task]:
    """Other data to choose settings on: views of handwritten numerals, through perceptrons that learned the class."""
    found = np.load(harness.require(harness.data_folder() / "mfeat" / "mfeat.npz"))
    labels = torch.tensor(found["y"].astype(np.int64).ravel())
    order = np.random.default_rng(seed).permutation(len(labels))
    train, hidden = 1_300, (48, 32, 24)
    states: dict[str, NDArray[np.float32]] = {}
    for name in views:
        values = torch.tensor(found[name].astype(np.float32))[order]
        values = (values - values[:train].mean(0)) / values[:train].std(0).clamp_min(1e-6)
        torch.manual_seed(seed)
        sizes = (values.shape[1], *hidden)
        layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        head = nn.Linear(hidden[-1], 10)
        states[name] = _perceptron(layers, head, values, labels[order], train)
    made = Digits({}, labels[order], train)
    widths = dict.fromkeys(views, (*hidden, 10))
    return rows_of(states, made), widths, DIGIT


def _perceptron(
    layers: nn.ModuleList, head: nn.Linear, values: Tensor, labels: Tensor, train: int
) -> NDArray[np.float32]:  # fmt: skip
    """Hidden states of all rows, [rows, widths], of a perceptron trained on the first of them."""

    def states(rows: Tensor) -> list[Tensor]:
        found = []
        for layer in layers:
            rows = layer(rows).relu()
            found.append(rows)
        return [*found, head(rows)]

    optimizer = torch.optim.AdamW([*layers.parameters(), *head.parameters()], lr=3e-3, weight_decay=1e-2)
    for _ in range(20):
        for rows in torch.randperm(train).split(64):
            loss = F.cross_entropy(states(values[rows])[-1], labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return torch.cat(states(values), dim=1).numpy()


def space(cells: int, widths: dict[str, Sequence[int]] = WIDTHS) -> FusionSpace:
    """The published space: every cell concatenates one hidden state of each modality and the cell before it."""
    layers = {name: range(len(sizes) - 1) for name, sizes in widths.items()}
    return FusionSpace(
        layers, operations=("concat",), activations=("relu", "sigmoid"), max_cells=cells, trees=False,
        every_modality=True,
    )  # fmt: skip


class OneByOne:
    """A candidate trained alone, as the published code does: every batch goes through the unimodal networks again.

    Args:
        architecture: The candidate.
        networks: The unimodal networks; None on cached states.
        width: Width of its cells.
        backward: Whether gradients are computed all the way through the unimodal networks, and thrown away.
    """

    def __init__(
        self, architecture: Architecture, networks: dict[str, LeNet] | None, width: int, backward: bool
    ) -> None:
        self.network = FusionNetwork(architecture, WIDTHS, [DIGIT], width=width, dropout=0.0)
        self.networks, self.backward = networks, backward
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=1e-3)
        for network in (networks or {}).values():
            network.train().requires_grad_(backward)

    def step(self, batch: dict[str, Tensor], labels: Tensor) -> None:
        """One training step."""
        loss = F.cross_entropy(self._outputs(batch, self.backward), labels)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        for network in (self.networks or {}).values():
            network.zero_grad()

    @torch.no_grad()
    def look(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers."""
        return self._outputs(batch, False)

    def _outputs(self, batch: dict[str, Tensor], backward: bool) -> Tensor:
        with torch.set_grad_enabled(backward and torch.is_grad_enabled()):
            states = {
                name: tuple(self.networks[name](values)) if self.networks else values.split(list(WIDTHS[name]), dim=1)
                for name, values in batch.items()
            }
        rows = len(next(iter(batch.values())))
        present = {name: torch.ones(rows, dtype=torch.bool) for name in batch}
        return self.network({name: HiddenStates(layers) for name, layers in states.items()}, present)["digit"]


def one_by_one(
    candidates: Sequence[Architecture], inputs: dict[str, Tensor], made: Digits, networks: dict[str, LeNet] | None,
    width: int, backward: bool, batch: int = 32, train_batches: int = 40, look_batches: int = 20,
) -> float:  # fmt: skip
    """CPU seconds per candidate-epoch, measured on some batches of some candidates."""
    spent = {"train": 0.0, "look": 0.0}
    for architecture in candidates:
        one = OneByOne(architecture, networks, width, backward)
        for part, count in (("train", train_batches), ("look", look_batches)):
            order = torch.randperm(made.train if part == "train" else len(made.labels) - made.train)
            offset = 0 if part == "train" else made.train
            started = time.process_time()
            for number in range(count):
                rows = order[number * batch : (number + 1) * batch] + offset
                values = {name: whole[rows] for name, whole in inputs.items()}
                if part == "train":
                    one.step(values, made.labels[rows])
                else:
                    one.look(values)
            spent[part] += time.process_time() - started
    for network in (networks or {}).values():
        network.eval().requires_grad_(False)
    sizes = {"train": made.train / batch, "look": (len(made.labels) - made.train) / batch}
    counts = {"train": train_batches, "look": look_batches}
    return sum(spent[part] / (counts[part] * len(candidates)) * sizes[part] for part in spent)


def peak(side: int = 4_096, repeats: int = 5) -> float:
    """FLOP per CPU second of the best of some square float32 products."""
    one, other, out = torch.randn(side, side), torch.randn(side, side), torch.empty(side, side)
    return 2 * side**3 / min(_spent(lambda: torch.mm(one, other, out=out)) for _ in range(repeats))


def _spent(work: object) -> float:
    started = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - started


def drawn(wanted: FusionSpace, count: int, cells: int, seed: int) -> list[Architecture]:
    """Different architectures of so many cells, as long as there are enough."""
    rng = np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    while len(found) < min(count, wanted.size(cells)):
        found[wanted.sample(rng, cells)] = None
    repeated: Iterator[Architecture] = (wanted.sample(rng, cells) for _ in range(count - len(found)))
    return [*found, *repeated]
