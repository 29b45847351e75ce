"""Many architectures trained as one network: one product per reading, one step of the optimiser, no cross-talk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.fusion.architecture import Architecture
from plait.fusion.network import DROPOUT
from plait.fusion.stack.groups import CellGroup, Masks, OperationGroup, Places, Room, SumGroup
from plait.fusion.stack.inputs import StackBatch
from plait.fusion.stack.layout import Layout, PlacedCell, kinship
from plait.fusion.stack.weights import Sizes, fresh_weights, seed_of
from plait.tasks._base import TASK_KIND_REGISTRY, Task, row_weights

MASKS = 1_024
"""Dropout masks to draw from: a cell takes one of them at every step."""


@dataclass(frozen=True)
class Recipe:
    """How a stack learns: AdamW (Loshchilov & Hutter 2019), as in `training.loop.Plan`.

    Attributes:
        weight_decay: Of AdamW.
        clip_norm: The gradients of each architecture are scaled down to this norm.
        dropout: Share of a cell's units dropped while training.
    """

    weight_decay: float = 1e-3
    clip_norm: float = 1.0
    dropout: float = DROPOUT


@dataclass(frozen=True)
class Member:
    """One architecture of a stack, with all that going on needs.

    Attributes:
        architecture: The architecture.
        seed: Decides its fresh weights and its dropout, together with the architecture.
        weights: [numbers], in the order of `pieces_of`; None for fresh ones.
        moments: First and second moments of the gradients, [2, numbers]; None before the first step.
        steps: How many steps it was trained.
        only: Names of the tasks that it learns; none for all.
    """

    architecture: Architecture
    seed: int = 0
    weights: Tensor | None = None
    moments: Tensor | None = None
    steps: int = 0
    only: tuple[str, ...] = ()

    def fresh(self, sizes: Sizes) -> Member:
        """The same with weights to begin with."""
        if self.weights is not None:
            return self
        seed = seed_of(self.seed, self.architecture)
        return replace(self, weights=fresh_weights(self.architecture, sizes, seed))


def learned_by(members: Sequence[Member], tasks: Sequence[Task]) -> NDArray[np.bool_]:
    """[tasks, members]: whether a member learns a task."""
    return np.array([[not one.only or task.name in one.only for one in members] for task in tasks], np.bool_)


class FusionStack:
    """Architectures, trained together on the same batches; each as if it were alone.

    A member's result differs from what it would be alone by no more than the order of summation: columns of a matrix
    product round differently. Nothing of a member enters another one, so that one whose loss is no number stays among
    itself.

    Args:
        members: What is stacked. Their order is kept.
        sizes: What they have in common.
        tasks: The tasks, in the order of the outputs.
        recipe: How they learn.
        device: Where.
    """

    def __init__(
        self, members: Sequence[Member], sizes: Sizes, tasks: Sequence[Task], recipe: Recipe | None = None,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        self.sizes, self.tasks, self.recipe = sizes, tuple(tasks), recipe or Recipe()
        self.device = torch.device(device)
        self.place = sorted(range(len(members)), key=lambda at: (members[at].steps, kinship(members[at].architecture)))
        """Which member stands where in the stack: those of one age, then those of one shape, stand together."""
        self.entries = [members[at] for at in self.place]
        learned = learned_by(self.entries, self.tasks)
        self._learned = None if learned.all() else torch.from_numpy(learned).to(self.device, torch.float32)
        self.ages = [member.steps for member in self.entries]
        self.layout = Layout([member.architecture for member in self.entries], self.ages, sizes)
        self._order = torch.from_numpy(self.layout.order)
        self._load()
        self._connect()
        self._rooms: dict[int, Room] = {}
        self._done = 0
        self._seeds = self._cell_seeds()
        every = [cell for group in self.layout.groups for cell in group.cells]
        self._cell_ages = np.array([self.ages[cell.owner] for cell in every], np.uint64)
        self._spans = self.layout.spans()
        self._clocks = {age: torch.tensor(float(age), device=self.device) for age in self._spans}

    def __len__(self) -> int:
        return len(self.entries)

    def _load(self) -> None:
        """Weights, moments and gradients, each as one vector, and views of what belongs together."""
        known = [member.fresh(self.sizes).weights for member in self.entries]
        self._all = torch.cat([weights for weights in known if weights is not None])
        self._values = self._all[self._order].to(self.device)
        self._first, self._second = (torch.zeros_like(self._values) for _ in range(2))
        if any(member.moments is not None for member in self.entries):
            moments = [
                torch.zeros(2, len(part)) if member.moments is None else member.moments
                for member, part in zip(self.entries, self._cut(self._all), strict=True)
            ]
            for place, into in enumerate((self._first, self._second)):
                into.copy_(torch.cat([one[place] for one in moments])[self._order])
        self._gradients = torch.zeros_like(self._values)
        self._kept: Tensor | None = None
        self._blocks, self._grads = self._parts(self._values), self._parts(self._gradients)
        rows = np.concatenate([block.owners for block in self.layout.blocks])
        self._row_owners = torch.from_numpy(rows).to(self.device)
        self._norms = torch.zeros(len(rows), device=self.device)
        cuts = np.cumsum([0, *(len(block.owners) for block in self.layout.blocks)]).tolist()
        self._norm_parts = [self._norms[a:b] for a, b in pairwise(cuts)]
        self._norm_columns = [part.unsqueeze(1) for part in self._norm_parts]

    def _cut(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The part of every member, in the order of the stack; the last axis is cut."""
        return torch.split(flat, np.diff(self.layout.bases).tolist(), dim=-1)

    def _connect(self) -> None:
        """Views and indices of readings, groups and heads."""
        layout, width = self.layout, self.sizes.width
        self._products = []
        for reading, block, grads in zip(layout.readings, self._blocks, self._grads, strict=False):
            count = len(reading.cells) * reading.columns
            part = slice(reading.first, reading.first + len(reading.cells))
            self._products.append((block.view(count, -1), grads.view(count, -1), reading.columns, part))
        rows = {id(cell): g.first + i for g in layout.groups for i, cell in enumerate(g.cells)}
        self._cells = len(rows)
        self._last = Places([rows[id(cells[-1])] for cells in layout.placed], self.device)
        first = 0
        starts = []
        for group in layout.groups:
            starts.append(first)
            first += group.links * len(group.cells)
        self._links = first
        self._groups: list[CellGroup] = []
        extras = {width: self._cells}
        self._signs: dict[frozenset[str], int] = {}
        for group, start in zip(layout.groups, starts, strict=True):
            summing = group.cells[0].operation.is_sum
            columns = group.cells[0].columns
            extra = extras.setdefault(columns, 0)
            if not summing:
                extras[columns] += len(group.reads) * len(group.cells)
            children = [
                Places([rows[id(cell.links[link])] for cell in group.cells], self.device) for link in range(group.links)
            ]
            kind = SumGroup if summing else OperationGroup
            self._groups.append(
                kind(
                    group, self._values, self._gradients, children, start, extra, self._signatures(group.cells),
                )
            )  # fmt: skip
        self._entries_of = extras
        self._places = self._index(self.place)
        names = sorted(self.sizes.gaps)
        table = np.array([[name in sign for name in names] for sign in self._signs], np.float32)
        self._sign_table = torch.from_numpy(table).to(self.device)
        always = [bool(sign - self.sizes.gaps) for sign in self._signs]
        self._always = torch.tensor(always, device=self.device).unsqueeze(1)
        self._sources = {columns: self._gradient_rows(columns) for columns in layout.region}
        shape = (len(self), sum(self.sizes.outputs), width)
        self._head = self._blocks[-2].view(shape), self._blocks[-1].unsqueeze(2)
        self._head_grads = self._grads[-2].view(shape), self._grads[-1]

    def _index(self, values: Sequence[Any]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.int64)).to(self.device)

    def _gradient_rows(self, columns: int) -> Tensor:
        """For every block of columns of a region, where its gradient stands in `Room.gradients`."""
        found = np.zeros(self.layout.region[columns], np.int64)
        for group in self._groups:
            for place, reads in enumerate(group.group.reads):
                if group.columns != columns:
                    continue
                start = group.group.first if isinstance(group, SumGroup) else group.extra + place * group.count
                found[reads] = start + np.arange(group.count)
        return self._index(found.tolist())

    def _signatures(self, cells: Sequence[PlacedCell]) -> dict[str, Tensor]:
        """Which modalities decide over each cell, over what it links and over its layers, as numbers of signatures."""

        def number(modalities: frozenset[str]) -> int:
            return self._signs.setdefault(modalities, len(self._signs))

        states = [] if cells[0].operation.is_sum else range(len(cells[0].states))
        found: dict[str, Sequence[Any]] = {
            "own": [number(cell.modalities) for cell in cells],
            "links": [[number(c.links[link].modalities) for c in cells] for link in range(len(cells[0].links))],
            "states": [[number(frozenset([cell.states[at][0]])) for cell in cells] for at in states],
        }
        shapes = {name: (-1,) if name == "own" else (len(rows), len(cells)) for name, rows in found.items()}
        return {name: self._index(rows).view(shapes[name]) for name, rows in found.items()}

    def _masks(self, batch: StackBatch) -> Masks:
        if not self.sizes.gaps:
            return Masks(torch.zeros(0, 0, dtype=torch.bool))
        return Masks((self._sign_table @ batch.present.float() > 0) | self._always)

    def _room(self, rows: int) -> Room:
        """Tensors for batches of so many rows."""
        if rows not in self._rooms:
            if len(self._rooms) > 3:
                self._rooms.clear()
            width, device = self.sizes.width, self.device
            cells = torch.empty(self._cells, width, rows, device=device)
            columns = {c: torch.empty(n, c, rows, device=device) for c, n in self.layout.region.items()}
            self._rooms[rows] = Room(
                columns,
                cells,
                {c: torch.empty(n, c, rows, device=device) for c, n in self._entries_of.items()},
                torch.empty(self._links, width, rows, device=device),
                torch.empty_like(cells),
                torch.empty(len(self), sum(self.sizes.outputs), rows, device=device),
                [(one, other, columns[c][part].view(len(one), -1)) for one, other, c, part in self._products],
            )
        return self._rooms[rows]

    # Forward and backward

    def _forward(self, batch: StackBatch, train: bool) -> tuple[Room, Masks, Tensor | None]:
        room, masks = self._room(len(batch)), self._masks(batch)
        for (values, _, found), matrix in zip(room.products, batch.matrices, strict=True):
            torch.mm(values, matrix.T, out=found)
        dropout = self._dropout(room) if train and self.recipe.dropout else None
        for group in self._groups:
            group.forward(room, masks, dropout, train)
        weights, biases = self._head
        last = self._last.read(room.cells)
        torch.baddbmm(biases, weights, last, out=room.logits)
        self._read = last
        return room, masks, dropout

    def _backward(self, batch: StackBatch, room: Room, masks: Masks, dropout: Tensor | None, gradients: Tensor) -> None:
        grads, biases = self._head_grads
        torch.bmm(gradients, self._read.transpose(1, 2), out=grads)
        torch.sum(gradients, dim=2, out=biases)
        self._last.multiply_into(room.gradients[self.sizes.width], self._head[0].transpose(1, 2), gradients)
        for group in reversed(self._groups):
            group.backward(room, masks, dropout, 1 - self.recipe.dropout)
        for columns, rows in self._sources.items():
            torch.index_select(room.gradients[columns].flatten(1), 0, rows, out=room.columns[columns].flatten(1))
        for (_, grads, found), matrix in zip(room.products, batch.matrices, strict=True):
            torch.mm(found, matrix, out=grads)

    @torch.no_grad()
    def step(self, batch: StackBatch, rate: Callable[[int], float]) -> Tensor:
        """One step of the optimiser.

        Args:
            batch: The rows.
            rate: The learning rate of a member that was trained so many steps.

        Returns:
            [members] losses before the step, in the order of the members; no number where a member's is none.
        """
        room, masks, dropout = self._forward(batch, True)
        losses, gradients = self._losses(room.logits, batch)
        self._backward(batch, room, masks, dropout, gradients)
        self._clip()
        for age, spans in self._spans.items():
            clock = self._clocks[age]
            values, grads, first, second = (
                [vector[start:end] for start, end in spans]
                for vector in (self._values, self._gradients, self._first, self._second)
            )
            clock += 1
            torch._fused_adamw_(
                values, grads, first, second, [], [clock] * len(spans), lr=rate(age + self._done), beta1=0.9,
                beta2=0.999, weight_decay=self.recipe.weight_decay, eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip
        self._done += 1
        return self._in_order(losses)

    def _losses(self, logits: Tensor, batch: StackBatch) -> tuple[Tensor, Tensor]:
        """Losses [members in the stack's order] and gradients of the outputs [members, outputs, B]."""
        losses = torch.zeros(len(self), device=self.device)
        gradients = torch.empty_like(logits)
        start = 0
        for number, task in enumerate(self.tasks):
            part = slice(start, start + task.outputs)
            start += task.outputs
            weights = batch.labelled[task.name] * row_weights(task, batch.targets[task.name])
            total = weights.sum()
            weights = weights * (task.share / torch.where(total > 0, total, 1.0))
            rows, found = TASK_KIND_REGISTRY[task.kind].losses(logits[:, part], batch.targets[task.name])
            own = None if self._learned is None else self._learned[number]
            losses += rows @ weights if own is None else own * (rows @ weights)
            torch.mul(found, weights, out=gradients[:, part])
            if own is not None:
                gradients[:, part] *= own[:, None, None]
        return losses, gradients

    def _clip(self) -> None:
        """Scale the gradients of every member down to the norm."""
        for grads, part in zip(self._grads, self._norm_parts, strict=True):
            torch.linalg.vector_norm(grads, dim=1, out=part)
        total = torch.zeros(len(self), device=self.device).index_add_(0, self._row_owners, self._norms.square_())
        scale = (self.recipe.clip_norm / (total.sqrt_() + 1e-6)).clamp_(max=1.0)
        if self.device.type != "cpu" or bool((scale < 1).any()):
            torch.index_select(scale, 0, self._row_owners, out=self._norms)
            torch._foreach_mul_(self._grads, self._norm_columns)

    def _cell_seeds(self) -> NDArray[np.uint64]:
        """[cells]: where the dropout of every cell begins, by seed, architecture and number of the cell."""
        seeds = [seed_of(member.seed, member.architecture) for member in self.entries]
        return np.array(
            [seeds[cell.owner] + 0x9E37 * (cell.number + 1) for group in self.layout.groups for cell in group.cells],
            dtype=np.uint64,
        )

    def _dropout(self, room: Room) -> Tensor:
        """[cells, W, B]: 0 where a unit is dropped. Which mask a cell takes depends on its seed and age alone."""
        rows = room.cells.shape[2]
        masks = _drawn_masks(self.sizes.width, rows, self.recipe.dropout, self.device)
        at = _mixed(self._seeds + (self._cell_ages + np.uint64(self._done)) * np.uint64(0x9E3779B97F4A7C15))
        chosen = torch.from_numpy((at % np.uint64(MASKS)).astype(np.int64)).to(self.device)
        torch.index_select(masks.flatten(1), 0, chosen, out=room.kept.flatten(1))
        return room.kept

    def _in_order(self, values: Tensor) -> Tensor:
        """Values by member, from the order of the stack to that in which the members came."""
        found = torch.empty_like(values)
        found[self._places] = values
        return found

    # Answers

    @torch.no_grad()
    def outputs(self, batch: StackBatch) -> Tensor:
        """Outputs for all tasks side by side [members, outputs, B], without dropout."""
        room, *_ = self._forward(batch, False)
        return self._in_order(room.logits)

    def members(self) -> list[Member]:
        """All members as they are now, in their order."""
        weights = self._all.clone()
        weights[self._order] = self._values.cpu()
        moments = torch.zeros(2, len(weights))
        moments[0, self._order] = self._first.cpu()
        moments[1, self._order] = self._second.cpu()
        found: dict[int, Member] = {}
        parts = zip(self._cut(weights), self._cut(moments), strict=True)
        for at, member, (own, both) in zip(self.place, self.entries, parts, strict=True):
            found[at] = replace(member, weights=own.clone(), moments=both.clone(), steps=member.steps + self._done)
        return [found[at] for at in range(len(self))]

    def keep(self, which: Sequence[bool]) -> None:
        """Remember the weights of some members as they are now; of the others, what was remembered stays."""
        if self._kept is None:
            self._kept = self._values.clone()
            return
        chosen = torch.tensor([which[at] for at in self.place], device=self.device)
        for kept, now, block in zip(self._parts(self._kept), self._blocks, self.layout.blocks, strict=True):
            torch.where(chosen[self._index(block.owners.tolist())][:, None], now, kept, out=kept)

    def restore(self) -> None:
        """Go back to the remembered weights."""
        if self._kept is not None:
            self._values.copy_(self._kept)

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """A vector like that of the weights, block by block, [rows, numbers]."""
        return [flat[b.start : b.start + b.index.size].view(len(b.owners), -1) for b in self.layout.blocks]

    def take(self, numbers: Sequence[int]) -> FusionStack:
        """A stack of some members, with their weights and all that the optimiser knows of them."""
        members = self.members()
        return FusionStack([members[at] for at in numbers], self.sizes, self.tasks, self.recipe, str(self.device))


_KNOWN_MASKS: dict[tuple[int, int, float, str], Tensor] = {}


def _drawn_masks(width: int, rows: int, dropout: float, device: torch.device) -> Tensor:
    """[MASKS, width, rows]: 0 for a dropped unit, 1 / (1 - dropout) for a kept one."""
    key = (width, rows, dropout, str(device))
    if key not in _KNOWN_MASKS:
        if len(_KNOWN_MASKS) > 3:
            _KNOWN_MASKS.clear()
        random = torch.Generator().manual_seed(0xD409)
        kept = torch.rand(MASKS, width, rows, generator=random) >= dropout
        _KNOWN_MASKS[key] = (kept.float() / (1 - dropout)).to(device)
    return _KNOWN_MASKS[key]


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Whole numbers scrambled so that near ones end far from one another (SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
