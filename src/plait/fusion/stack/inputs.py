"""What a stack reads: batches of standardised hidden states, a matrix per reading, streamed from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.data.batches import Rows
from plait.fusion.network import CUT
from plait.fusion.stack.layout import Layout, Reading, State

KEPT = 16_000_000
"""Layers of no more numbers than this, all together, are kept standardised in memory from pass to pass."""

CHUNK = 2_000_000
"""Numbers that are gathered at once, in as many batches as that makes."""

Moments = Callable[[str, int], tuple[Tensor, Tensor]]
"""Mean and deviation [width] of a layer of a modality over training rows."""


@dataclass
class StackBatch:
    """Some rows as a stack reads them.

    Legend: B rows.

    Attributes:
        matrices: [B, inputs] per reading.
        present: [modalities with gaps, B] of bool.
        targets: By task, [B], encoded.
        labelled: By task, [B] of bool.
    """

    matrices: list[Tensor]
    present: Tensor
    targets: dict[str, Tensor]
    labelled: dict[str, Tensor]

    def __len__(self) -> int:
        return self.present.shape[1]


@dataclass
class States:
    """Standardised hidden states of some rows, layer by layer; small ones are kept in memory.

    Args:
        rows: The rows, with cached hidden states as inputs.
        widths: Widths of layers 0..L+1 by modality.
        moments: By layer; asked as needed.
        device: Where they are wanted.
    """

    rows: Rows
    widths: Mapping[str, Sequence[int]]
    moments: Moments
    device: str = "cpu"
    kept: dict[State, Tensor] = field(default_factory=dict)
    gaps: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.gaps = frozenset(
            name for name, mask in self.rows.present.items() if not bool(np.asarray(mask)[self.rows.index].all())
        )

    def layer(self, state: State, positions: NDArray[np.int64]) -> Tensor:
        """Standardised states [B, width] of a layer, cut as in `FusionNetwork`; 0 where a row has none."""
        found = self.kept.get(state)
        if found is None:
            width = self.widths[state[0]][state[1]]
            numbers = sum(tensor.numel() for tensor in self.kept.values())
            if len(self.rows) * width + numbers > KEPT:
                return self._read(state, positions)
            self.kept[state] = found = self._read(state, np.arange(len(self.rows)))
        return found.index_select(0, torch.from_numpy(positions).to(self.device))

    def _read(self, state: State, positions: NDArray[np.int64]) -> Tensor:
        name, layer = state
        start = sum(self.widths[name][:layer])
        index = self.rows.index[positions]
        taken = self.rows.inputs[name][index, start : start + self.widths[name][layer]]
        values = torch.from_numpy(np.ascontiguousarray(taken)).to(self.device)
        mean, deviation = (moment.to(self.device) for moment in self.moments(*state))
        scaled = torch.clamp((values - mean) / deviation, -CUT, CUT)
        if name in self.gaps:
            mask = torch.from_numpy(np.asarray(self.rows.present[name][index])).to(self.device)
            scaled = torch.where(mask[:, None], scaled, 0.0)
        return scaled


class StackFeed:
    """Batches for one stack.

    Args:
        layout: The stack's plan.
        states: The rows.
        kept: By modality, [rows] of bool: what is not dropped; all of it by default.
    """

    def __init__(
        self, layout: Layout, states: States, kept: Mapping[str, NDArray[np.bool_]] | None = None
    ) -> None:  # fmt: skip
        self.layout, self.states, self.kept = layout, states, kept or {}
        self.gaps = sorted(layout.sizes.gaps)

    def batches(self, positions: Sequence[NDArray[np.int64]]) -> Iterator[StackBatch]:
        """One batch after another; gathered from the states some batches at a time.

        Args:
            positions: Positions among the rows, [B] per batch.
        """
        inputs = sum(reading.block.index.shape[1] // reading.columns for reading in self.layout.readings)
        many: list[NDArray[np.int64]] = []
        for one in positions:
            many.append(one)
            if sum(map(len, many)) * max(1, inputs) >= CHUNK:
                yield from self._gathered(many)
                many = []
        yield from self._gathered(many)

    def _gathered(self, many: Sequence[NDArray[np.int64]]) -> Iterator[StackBatch]:
        if not many:
            return
        every = np.concatenate(many)
        rows, device = self.states.rows, self.states.device
        index = rows.index[every]
        wanted = {state for reading in self.layout.readings for state in reading.states}
        layers = {state: self.states.layer(state, every) for state in wanted}
        masks = [torch.from_numpy(np.asarray(rows.present[name][index])) for name in self.gaps]
        masks = [
            mask & torch.from_numpy(self.kept[name][every]) if name in self.kept else mask
            for name, mask in zip(self.gaps, masks, strict=True)
        ]
        present = (torch.stack(masks) if masks else torch.zeros(0, len(every), dtype=torch.bool)).to(device)
        here = dict(zip(self.gaps, present, strict=True))
        matrices = [self._matrix(reading, layers, here) for reading in self.layout.readings]
        targets = {name: torch.from_numpy(values[index]).to(device) for name, values in rows.targets.items()}
        labelled = {name: torch.from_numpy(values[index]).to(device) for name, values in rows.labelled.items()}
        start = 0
        for one in many:
            part = slice(start, start + len(one))
            start += len(one)
            yield StackBatch(
                [matrix[part] for matrix in matrices], present[:, part],
                {name: values[part] for name, values in targets.items()},
                {name: values[part] for name, values in labelled.items()},
            )  # fmt: skip

    def _matrix(self, reading: Reading, layers: Mapping[State, Tensor], here: Mapping[str, Tensor]) -> Tensor:
        """[B, inputs]: of every layer its states, whether it is present, and where asked whether it is absent."""
        parts = []
        for state in reading.states:
            values = layers[state]
            mask = here.get(state[0])
            if mask is None:
                parts += [values, torch.ones(len(values), 1, device=values.device)]
                continue
            if state[0] in self.kept:
                values = torch.where(mask[:, None], values, 0.0)
            parts += [values, mask[:, None].float()]
            if reading.stand_ins:
                parts.append((~mask)[:, None].float())
        return torch.cat(parts, dim=1)
