"""Fusion architectures: small programs over hidden states, frozen, hashable, readable, with a JSON round trip."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from plait.exceptions import InputError, did_you_mean
from plait.fusion.operations import OPERATIONS

Activation = Literal["relu", "sigmoid", "tanh", "identity"]
ACTIVATION_NAMES: tuple[Activation, ...] = get_args(Activation)

_PLAIN = r"[^\W\d](?:[\w \-/]*[\w\-/])?"
_SOURCE = rf'(?:(?:{_PLAIN}|"(?:[^"\\]|\\.)*")\.\d+|c\d+)'
_CELL = re.compile(
    rf"c\d+ = (?:({'|'.join(ACTIVATION_NAMES)})\()?([a-z][a-z\-]*)\(({_SOURCE}(?:, {_SOURCE})*)\)(?(1)\))(?:; |$)"
)

_Key = tuple[Any, ...]
"""What a cell or a source is sorted by: nested tuples that compare element by element."""


class Source(BaseModel):
    """What a cell reads: a layer of a modality, or an earlier cell (numbered from 1).

    Exactly one of `modality` (with `layer`) and `cell` is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str | None = None
    layer: int | None = None
    cell: int | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Source:
        given = (self.modality is not None, self.layer is not None, self.cell is not None)
        if given not in ((True, True, False), (False, False, True)):
            raise ValueError("a source is either a modality with a layer, or a cell")
        if (self.layer or 0) < 0 or (self.cell is not None and self.cell < 1):
            raise ValueError("layers are numbered from 0, cells from 1")
        return self

    @property
    def state(self) -> tuple[str, int] | None:
        """(modality, layer), or None for a cell."""
        return None if self.modality is None or self.layer is None else (self.modality, self.layer)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        if self.cell is not None:
            return f"c{self.cell}"
        name = str(self.modality)
        return f"{name if re.fullmatch(_PLAIN, name) else json.dumps(name, ensure_ascii=False)}.{self.layer}"


@lru_cache(maxsize=10_000)
def of_state(modality: str, layer: int) -> Source:
    """A layer of a modality, made once: a search draws thousands of architectures of few layers."""
    return Source(modality=modality, layer=layer)


@lru_cache(maxsize=100)
def of_cell(number: int) -> Source:
    """A cell, made once."""
    return Source(cell=number)


class Cell(BaseModel):
    """Sources, an operation that combines them, and an activation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[Source, ...]
    operation: str = "concat"
    activation: Activation = "relu"

    @model_validator(mode="after")
    def _can_combine(self) -> Cell:
        if self.operation not in OPERATIONS:
            raise ValueError(f"there is no operation {self.operation!r}; {did_you_mean(self.operation, OPERATIONS)}")
        most = OPERATIONS[self.operation].most_sources
        if most is not None and len(self.sources) > most:
            raise ValueError(f"{self.operation} combines {most} sources at most, not {len(self.sources)}")
        return self

    def __str__(self) -> str:
        inner = f"{self.operation}({', '.join(map(str, self.sources))})"
        return inner if self.activation == "identity" else f"{self.activation}({inner})"


class Architecture(BaseModel):
    """A tuple of cells; heads read the last one, every other one is read by exactly one later cell.

    Two that differ only in the order of sources or of cells are the same: they are brought to one canonical form. A
    cell reads its modalities first (by name and layer), then cells (by what they hold); cells stand in the order in
    which the last one reads them, each after those that it reads itself.

    Example:
        >>> both = Cell(sources=(Source(modality="sound", layer=4), Source(modality="image", layer=2)))
        >>> str(Architecture(cells=(both,)))
        'c1 = relu(concat(image.2, sound.4))'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: tuple[Cell, ...]

    @model_validator(mode="after")
    def _is_a_tree(self) -> Architecture:
        read = [source.cell for cell in self.cells for source in cell.sources if source.cell is not None]
        if not self.cells or any(not cell.sources for cell in self.cells):
            raise ValueError("an architecture has at least one cell, and every cell at least one source")
        if sorted(read) != list(range(1, len(self.cells))):
            raise ValueError("every cell but the last is read by exactly one later cell")
        for number, cell in enumerate(self.cells, 1):
            if any(source.cell is not None and source.cell >= number for source in cell.sources):
                raise ValueError(f"cell {number} reads itself or a later cell")
        object.__setattr__(self, "cells", _canonical(self.cells))
        return self

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        """Written once: seeds, the ledger and the order of equal scores all go by it."""
        return "; ".join(f"c{number} = {cell}" for number, cell in enumerate(self.cells, 1))

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """The architecture that `str` writes.

        Raises:
            InputError: The text is no architecture.

        Example:
            >>> Architecture.parse("c1 = tanh(gate(image.2, sound.4))").cells[0].operation
            'gate'
        """
        cells: list[Cell] = []
        at = 0
        try:
            while found := _CELL.match(text, at):
                if not found[0].startswith(name := f"c{len(cells) + 1} ="):
                    raise ValueError(f"cells are numbered in order: {found[0][:20]!r} should begin with {name!r}")
                sources = tuple(_parse_source(part) for part in re.findall(_SOURCE, found[3]))
                cells.append(Cell(sources=sources, operation=found[2], activation=found[1] or "identity"))
                at = found.end()
            if at < len(text):
                raise ValueError(f"{text[at : at + 40]!r} is not understood")
            return cls(cells=tuple(cells))
        except ValueError as error:
            mistakes = (
                [str(one["msg"]).removeprefix("Value error, ") for one in error.errors()]
                if isinstance(error, ValidationError)
                else [str(error)]
            )
            raise InputError(
                f"{text!r} is no architecture ({'; '.join(mistakes)[:160]}); write it as in "
                "'c1 = relu(concat(image.2, sound.4)); c2 = relu(gate(tabular.1, c1))'."
            ) from error

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that any cell reads, in sorted order."""
        return tuple(sorted({s.modality for cell in self.cells for s in cell.sources if s.modality is not None}))

    @property
    def size(self) -> int:
        """Number of sources over all cells: what the architecture costs, in order."""
        return sum(len(cell.sources) for cell in self.cells)


def _parse_source(text: str) -> Source:
    name, point, layer = text.rpartition(".")
    if not point:
        return Source(cell=int(text[1:]))
    return Source(modality=json.loads(name) if name.startswith('"') else name, layer=int(layer))


def _canonical(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells of a tree in canonical form."""
    keys: list[_Key] = []
    orders: list[list[Source]] = []
    for cell in cells:
        pairs = sorted(((_source_key(source, keys), source) for source in cell.sources), key=lambda pair: pair[0])
        orders.append([source for _, source in pairs])
        keys.append((cell.operation, cell.activation, *(key for key, _ in pairs)))
    placed: list[Cell] = []

    def place(number: int) -> int:
        cell = cells[number - 1]
        sources = tuple(s if s.cell is None else of_cell(place(s.cell)) for s in orders[number - 1])
        placed.append(cell if sources == cell.sources else cell.model_copy(update={"sources": sources}))
        return len(placed)

    place(len(cells))
    return tuple(placed)


def _source_key(source: Source, cells: Sequence[_Key]) -> _Key:
    if source.cell is not None:
        return (True, cells[source.cell - 1])
    return (False, source.modality, source.layer)


def concat_of(layers: dict[str, int], depth: int = 1) -> Architecture:
    """Concatenate one layer of each modality; `depth` - 1 further cells follow in a chain.

    Example:
        >>> str(concat_of({"image": 0, "sound": 0}, depth=2))
        'c1 = relu(concat(image.0, sound.0)); c2 = relu(concat(c1))'
    """
    first = Cell(sources=tuple(Source(modality=name, layer=layer) for name, layer in layers.items()))
    chain = tuple(Cell(sources=(Source(cell=number),)) for number in range(1, depth))
    return Architecture(cells=(first, *chain))
