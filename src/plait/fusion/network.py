"""One fusion architecture as a network over hidden states, with a head per task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from plait.encoders._base import HiddenStates
from plait.fusion.architecture import Architecture, Cell
from plait.fusion.operations import OPERATIONS
from plait.fusion.operations.gate import Gate
from plait.tasks._base import Task

ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "identity": lambda values: values,
}

WIDTH: Final = 64
"""Width of every cell."""

DROPOUT: Final = 0.1
"""Share of a cell's units dropped while training."""

CUT: Final = 20.0
"""Standardised hidden states are cut at so many deviations."""


class FusionCell(nn.Module):
    """One cell: projects every source to the columns that its operation asks for, combines them, activates.

    A learned vector stands for the whole cell where a row has none of its sources; what one absent source means is the
    operation's affair.

    Args:
        cell: The cell.
        widths: Width of each source, in order.
        width: Width of the result.
    """

    def __init__(self, cell: Cell, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.cell, self.operation = cell, OPERATIONS[cell.operation]()
        columns = self.operation.columns(width, len(widths))
        self.projections = nn.ModuleList(
            _started(
                nn.Linear(source, columns), self.operation.bound(source, sum(widths)), self.operation.bias(len(widths))
            )
            for source in widths
        )
        self.own = nn.ParameterDict(
            {
                name: nn.Parameter(_drawn(shape, self.operation.own_bound(name, shape)))
                for name, shape in self.operation.weights(width, len(widths)).items()
            }
        )
        self.empty = nn.Parameter(torch.zeros(width))

    def columns(self, sources: Sequence[Tensor], present: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The projected columns, S of [B, C], and the mask [S, B]."""
        projected = [projection(values) for projection, values in zip(self.projections, sources, strict=True)]
        return projected, torch.stack(list(present))

    def forward(self, sources: Sequence[Tensor], present: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Combine.

        Args:
            sources: One [B, width of the source] per source.
            present: One [B] of bool per source.

        Returns:
            ([B, width], [B] of bool: whether any source was present).
        """
        columns, mask = self.columns(sources, present)
        combined = self.operation.combine(columns, mask, dict(self.own.items()))
        anything = mask.any(dim=0)
        return ACTIVATIONS[self.cell.activation](torch.where(anything[:, None], combined, self.empty)), anything


def _drawn(shape: tuple[int, ...], bound: float) -> Tensor:
    """Numbers drawn evenly from -bound..bound."""
    return (torch.rand(shape) * 2 - 1) * bound if bound else torch.zeros(shape)


def _started(layer: nn.Linear, bound: float, bias: float) -> nn.Linear:
    """The layer with weights drawn evenly from -bound..bound, and this bias."""
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.constant_(layer.bias, bias)
    return layer


class FusionNetwork(nn.Module):
    """An architecture over the hidden states of unimodal networks, and a linear head per task on its last cell.

    Hidden states are standardised with the mean and deviation of training rows (`set_moments`).

    Args:
        architecture: The program.
        layer_widths: Widths of layers 0..L+1 by modality.
        tasks: The tasks, in the order of the outputs.
        width: Width of every cell.
        dropout: Share of a cell's units dropped while training.
    """

    def __init__(
        self, architecture: Architecture, layer_widths: Mapping[str, Sequence[int]], tasks: Sequence[Task],
        width: int = WIDTH, dropout: float = DROPOUT,
    ) -> None:  # fmt: skip
        super().__init__()
        self.architecture, self.tasks = architecture, tuple(tasks)
        self.sources = sorted({s.state for cell in architecture.cells for s in cell.sources if s.state is not None})
        sizes = {(name, layer): layer_widths[name][layer] for name, layer in self.sources}
        self.cells = nn.ModuleList(
            FusionCell(cell, [sizes[s.state] if s.state is not None else width for s in cell.sources], width)
            for cell in architecture.cells
        )
        self.heads = nn.ModuleList(nn.Linear(width, task.outputs) for task in self.tasks)
        self.dropout = nn.Dropout(dropout)
        for index, source in enumerate(self.sources):
            self.register_buffer(f"mean_{index}", torch.zeros(sizes[source]))
            self.register_buffer(f"deviation_{index}", torch.ones(sizes[source]))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that are read."""
        return self.architecture.modalities

    def set_moments(self, moments: Mapping[tuple[str, int], tuple[Tensor, Tensor]]) -> None:
        """Set mean and deviation [width] of every source, by (modality, layer)."""
        for index, source in enumerate(self.sources):
            mean, deviation = moments[source]
            getattr(self, f"mean_{index}").copy_(mean)
            getattr(self, f"deviation_{index}").copy_(deviation)

    def _scaled(self, values: Tensor, index: int) -> Tensor:
        """Standardised states of a source [B, width], cut: nearly dead units would explode."""
        mean, deviation = getattr(self, f"mean_{index}"), getattr(self, f"deviation_{index}")
        return torch.clamp((values - mean) / deviation, -CUT, CUT)

    def forward(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs].

        Args:
            states: Hidden states by modality.
            present: [B] of bool by modality.
        """
        *_, (_, last) = self._run(states, present)
        return {task.name: head(last) for task, head in zip(self.tasks, self.heads, strict=True)}

    def _run(
        self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]
    ) -> Iterator[tuple[list[tuple[Tensor, Tensor]], Tensor]]:
        """Cell by cell, what it reads, (values [B, width of the source], mask [B]) per source, and its result."""
        inputs = {
            source: (self._scaled(states[source[0]].layers[source[1]], i), present[source[0]])
            for i, source in enumerate(self.sources)
        }
        done: list[tuple[Tensor, Tensor]] = []
        for description, cell in zip(self.architecture.cells, self.cells, strict=True):
            read = [inputs[s.state] if s.state is not None else done[(s.cell or 0) - 1] for s in description.sources]
            values, anything = cell([pair[0] for pair in read], [pair[1] for pair in read])
            done.append((self.dropout(values), anything))
            yield read, done[-1][0]

    def gate_shares(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """By number of a gate cell (from 1), how much each of its sources counts, [S, B]; a row's shares sum to 1."""
        found = {}
        for number, (read, _) in enumerate(self._run(states, present), 1):
            cell = self.cells[number - 1]
            if isinstance(cell, FusionCell) and isinstance(cell.operation, Gate):
                values, masks = [pair[0] for pair in read], [pair[1] for pair in read]
                found[number] = cell.operation.shares(*cell.columns(values, masks))
        return found
