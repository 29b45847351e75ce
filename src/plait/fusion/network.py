"""One fusion architecture as a network over hidden states, with a head per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from plait.encoders._base import HiddenStates
from plait.fusion.architecture import Architecture, Cell
from plait.tasks._base import Task

ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "identity": lambda values: values,
}


class FusionCell(nn.Module):
    """One cell: projects every source to `width` columns and adds them up, which is a linear layer over their
    concatenation (W [x; y] = W1 x + W2 y).

    A learned vector stands for a source that a row lacks; another one for the whole cell if the row has none of them.

    Args:
        cell: The cell.
        widths: Width of each source, in order.
        width: Width of the result.
    """

    def __init__(self, cell: Cell, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.cell = cell
        bound = sum(widths) ** -0.5  # as one linear layer over the concatenation would be initialised
        self.projections = nn.ModuleList(_uniform(nn.Linear(source, width), bound) for source in widths)
        self.absent = nn.Parameter(torch.zeros(len(widths), width))
        self.empty = nn.Parameter(torch.zeros(width))

    def forward(self, sources: Sequence[Tensor], present: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Combine.

        Args:
            sources: One [B, width of the source] per source.
            present: One [B] of bool per source.

        Returns:
            ([B, width], [B] of bool: whether any source was present).
        """
        total = torch.zeros((), device=sources[0].device)
        for projection, absent, values, mask in zip(self.projections, self.absent, sources, present, strict=True):
            total = total + torch.where(mask[:, None], projection(values), absent)
        anything = torch.stack(list(present)).any(dim=0)
        return ACTIVATIONS[self.cell.activation](torch.where(anything[:, None], total, self.empty)), anything


def _uniform(layer: nn.Linear, bound: float) -> nn.Linear:
    """The layer with its weights drawn evenly from -bound..bound."""
    nn.init.uniform_(layer.weight, -bound, bound)
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
        width: int = 64, dropout: float = 0.1,
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
        """Standardised states of a source [B, width], cut at 20 deviations: nearly dead units would explode."""
        mean, deviation = getattr(self, f"mean_{index}"), getattr(self, f"deviation_{index}")
        return torch.clamp((values - mean) / deviation, -20, 20)

    def forward(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs].

        Args:
            states: Hidden states by modality.
            present: [B] of bool by modality.
        """
        inputs = {
            source: (
                self._scaled(states[source[0]].layers[source[1]], i),
                present[source[0]],
            )
            for i, source in enumerate(self.sources)
        }
        done: list[tuple[Tensor, Tensor]] = []
        for description, cell in zip(self.architecture.cells, self.cells, strict=True):
            read = [inputs[s.state] if s.state is not None else done[(s.cell or 0) - 1] for s in description.sources]
            values, anything = cell([pair[0] for pair in read], [pair[1] for pair in read])
            done.append((self.dropout(values), anything))
        last = done[-1][0]
        return {task.name: head(last) for task, head in zip(self.tasks, self.heads, strict=True)}
