"""Cells of one kind computed at once: forward, and backward without a graph where a cell is a sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from plait.fusion.stack.layout import Group

ATEN = torch.ops.aten
BACKWARD: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda gradient, value: ATEN.threshold_backward.grad_input(gradient, value, 0, grad_input=gradient),
    "sigmoid": lambda gradient, value: ATEN.sigmoid_backward.grad_input(gradient, value, grad_input=gradient),
    "tanh": lambda gradient, value: ATEN.tanh_backward.grad_input(gradient, value, grad_input=gradient),
    "identity": lambda gradient, value: gradient,
}
"""Gradient before an activation from the gradient after it and its value, in place."""

IN_PLACE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
    "identity": lambda values: values,
}


@dataclass
class Masks:
    """Who is there in a batch.

    Attributes:
        anything: [signatures, B] of bool: whether a row has any of some modalities.
    """

    anything: Tensor


@dataclass
class Room:
    """Tensors of one batch size, made once and used in every step.

    Legend: B rows, W width.

    Attributes:
        columns: By number of columns C, what the readings give [blocks, C, B].
        cells: Values of all cells [cells, W, B].
        gradients: By number of columns, [entries, C, B]: gradients of columns; where C is the width, those of all cells
            come first.
        linked: [links, W, B]: cells as other cells read them, where they have to be brought together first.
        kept: [cells, W, B]: dropout.
        logits: [architectures, outputs, B].
        products: Per reading, its weights and gradients as matrices [rows, inputs], and where its columns go [rows, B].
    """

    columns: dict[int, Tensor]
    cells: Tensor
    gradients: dict[int, Tensor]
    linked: Tensor
    kept: Tensor
    logits: Tensor
    products: list[tuple[Tensor, Tensor, Tensor]]


class Places:
    """Where some rows of a buffer are: a slice of neighbours, which costs nothing to read or write, or any rows.

    Args:
        rows: Their numbers.
        device: Of the buffers.
    """

    def __init__(self, rows: Sequence[int], device: torch.device) -> None:
        found = np.asarray(rows, np.int64)
        self.run = slice(int(found[0]), int(found[-1]) + 1) if (np.diff(found) == 1).all() else None
        self.rows = torch.from_numpy(found).to(device)

    def read(self, buffer: Tensor, room: Tensor | None = None) -> Tensor:
        """The rows, [rows, C, B]: a view, or a copy in `room`."""
        if self.run is not None:
            return buffer[self.run]
        if room is None:
            return buffer.index_select(0, self.rows)
        torch.index_select(buffer.flatten(1), 0, self.rows, out=room.flatten(1))
        return room

    def multiply_into(self, buffer: Tensor, one: Tensor, other: Tensor) -> None:
        """Write a batched product into the rows of a buffer."""
        if self.run is not None:
            torch.bmm(one, other, out=buffer[self.run])
        else:
            buffer.index_copy_(0, self.rows, torch.bmm(one, other))


class CellGroup(ABC):
    """A group of cells with views of their weights and of where their gradients go.

    Args:
        group: The plan.
        values: The stack's weights [numbers].
        gradients: The stack's gradients [numbers].
        children: Per link, the cells that they read.
        first_link: Where its links begin in `Room.linked`.
        extra: Where its gradients of columns begin in `Room.gradients`; not used by sums.
        signatures: `own` [cells], `links` [links, cells] and `states` [states, cells] in `Masks.anything`.
    """

    def __init__(
        self, group: Group, values: Tensor, gradients: Tensor, children: Sequence[Places], first_link: int, extra: int,
        signatures: dict[str, Tensor],
    ) -> None:  # fmt: skip
        self.group, self.children = group, children
        self.first_link, self.extra, self.signatures = first_link, extra, signatures
        self.count, self.columns = len(group.cells), group.cells[0].columns
        self.slice = slice(group.first, group.first + self.count)
        device = values.device
        self.reads = [torch.from_numpy(np.ascontiguousarray(row)).to(device) for row in group.reads]
        self.weights = self._views(values)
        self.grads = self._views(gradients)
        self.runs: list[tuple[str, slice]] = []
        at = 0
        for name, run in groupby(cell.activation for cell in group.cells):
            length = len(list(run))
            self.runs.append((name, slice(at, at + length)))
            at += length

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        return {
            name: flat[block.start : block.start + block.index.size].view(self.count, *shape)
            for name, (shape, block) in self.group.parts.items()
        }

    @abstractmethod
    def forward(self, room: Room, masks: Masks, dropout: Tensor | None, train: bool) -> None:
        """Values of the cells; `train` says whether `backward` will follow."""

    @abstractmethod
    def backward(self, room: Room, masks: Masks, dropout: Tensor | None, keep: float) -> None:
        """Gradients of all weights, of columns and of what is read."""

    def linked(self, room: Room, masks: Masks) -> list[Tensor]:
        """What every link reads, [cells, W, B]: nothing where a row has none of the child's sources."""
        found = []
        for link, places in enumerate(self.children):
            start = self.first_link + link * self.count
            values = places.read(room.cells, room.linked[start : start + self.count])
            if self.group.masked:  # values are finite: stand-ins, never what was absent
                values = values * self._mask(masks, "links", link)
            found.append(values)
        return found

    def back(self, room: Room, masks: Masks, link: int, gradient: Tensor) -> None:
        """Tell the cells that a link reads their gradients."""
        weights = self.weights[f"weight.{link}"].transpose(1, 2)
        if self.group.masked:
            gradient = gradient * self._mask(masks, "links", link)
        self.children[link].multiply_into(room.gradients[room.cells.shape[1]], weights, gradient)

    def _mask(self, masks: Masks, kind: str, place: int | None = None) -> Tensor:
        """[cells, 1, B] of bool."""
        index = self.signatures[kind]
        return masks.anything.index_select(0, index if place is None else index[place]).unsqueeze(1)

    def activate(self, room: Room, masks: Masks, dropout: Tensor | None) -> None:
        """What stands for a cell without any source, activation, then dropout; all in place."""
        values = room.cells[self.slice]
        if self.group.masked:
            torch.where(self._mask(masks, "own"), values, self.weights["empty"].unsqueeze(2), out=values)
        for name, run in self.runs:
            IN_PLACE[name](values[run])
        if dropout is not None:
            values.mul_(dropout[self.slice])

    def gradient(self, room: Room, masks: Masks, dropout: Tensor | None, keep: float) -> Tensor:
        """Gradients [cells, W, B] before the activations, from those that the readers of the cells left."""
        found = room.gradients[room.cells.shape[1]][self.slice]
        values = room.cells[self.slice]
        if dropout is not None:
            found.mul_(dropout[self.slice])
        for name, run in self.runs:
            BACKWARD[name](found[run], values[run] if dropout is None else values[run] * keep)
        if self.group.masked:
            own = self._mask(masks, "own")
            torch.sum(found * ~own, dim=2, out=self.grads["empty"])
            found.mul_(own)
        return found


class SumGroup(CellGroup):
    """Cells that sum columns, with learned vectors in the place of absent sources."""

    def forward(self, room: Room, masks: Masks, dropout: Tensor | None, train: bool) -> None:
        """Values of the cells."""
        values = room.cells[self.slice]
        self.read = self.linked(room, masks)
        if not self.reads:
            values.zero_()
        for number, rows in enumerate(self.reads):
            columns = room.columns[self.columns].flatten(1)
            if number == 0:
                torch.index_select(columns, 0, rows, out=values.flatten(1))
            else:
                values += columns.index_select(0, rows).view_as(values)
        for link in range(self.group.links):
            values.baddbmm_(self.weights[f"weight.{link}"], self.read[link])
            bias = self.weights[f"bias.{link}"].unsqueeze(2)
            if self.group.masked:
                values += torch.where(
                    self._mask(masks, "links", link), bias, self.weights[f"absent.{link}"].unsqueeze(2)
                )
            else:
                values += bias
        self.activate(room, masks, dropout)

    def backward(self, room: Room, masks: Masks, dropout: Tensor | None, keep: float) -> None:
        """Gradients of own weights and of what is read."""
        gradient = self.gradient(room, masks, dropout, keep)
        for link in range(self.group.links):
            torch.bmm(gradient, self.read[link].transpose(1, 2), out=self.grads[f"weight.{link}"])
            self.back(room, masks, link, gradient)
            if self.group.masked:
                mask = self._mask(masks, "links", link)
                torch.sum(gradient * mask, dim=2, out=self.grads[f"bias.{link}"])
                torch.sum(gradient * ~mask, dim=2, out=self.grads[f"absent.{link}"])
            else:
                torch.sum(gradient, dim=2, out=self.grads[f"bias.{link}"])


class OperationGroup(CellGroup):
    """Cells of any other operation: what combines the columns is asked for its gradients by a graph of its own."""

    def forward(self, room: Room, masks: Masks, dropout: Tensor | None, train: bool) -> None:
        """Values of the cells."""
        values = room.cells[self.slice]
        self.read = self.linked(room, masks)
        sources = [
            room.columns[self.columns].flatten(1).index_select(0, rows).view(self.count, self.columns, -1)
            for rows in self.reads
        ]
        sources += [
            torch.baddbmm(self.weights[f"bias.{link}"].unsqueeze(2), self.weights[f"weight.{link}"], self.read[link])
            for link in range(self.group.links)
        ]
        own = {name.removeprefix("own."): value for name, value in self.weights.items() if name.startswith("own.")}
        self.leaves = [leaf.detach().requires_grad_(train) for leaf in (*sources, *own.values())]
        weights = dict(zip(own, self.leaves[len(sources) :], strict=True))
        with torch.set_grad_enabled(train):
            columns = [leaf.transpose(1, 2) for leaf in self.leaves[: len(sources)]]
            combined = self.group.cells[0].operation.combine(columns, self._present(masks), weights)
            self.combined = combined.transpose(1, 2)
        values.copy_(self.combined.detach())
        self.activate(room, masks, dropout)

    def _present(self, masks: Masks) -> Tensor | None:
        """[S, cells, B] of bool; None where nothing can be absent."""
        if not self.group.masked:
            return None
        index = torch.cat([self.signatures["states"], self.signatures["links"]])
        return masks.anything[index]

    def backward(self, room: Room, masks: Masks, dropout: Tensor | None, keep: float) -> None:
        """Gradients of own weights, of columns and of what is read."""
        gradient = self.gradient(room, masks, dropout, keep)
        found: Sequence[Tensor] = torch.autograd.grad(self.combined, self.leaves, gradient)
        self.leaves, self.combined = [], gradient  # the graph may go
        reads, links = len(self.reads), self.group.links
        for name, value in zip([n for n in self.grads if n.startswith("own.")], found[reads + links :], strict=True):
            self.grads[name].copy_(value)
        start = self.extra
        for part in found[:reads]:
            room.gradients[self.columns][start : start + self.count].copy_(part)
            start += self.count
        for link, part in enumerate(found[reads : reads + links]):
            torch.bmm(part, self.read[link].transpose(1, 2), out=self.grads[f"weight.{link}"])
            torch.sum(part, dim=2, out=self.grads[f"bias.{link}"])
            self.back(room, masks, link, part)
