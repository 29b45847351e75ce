"""ModDrop (Neverova et al. 2016): merge what is most alike first, begin block-diagonal, drop whole modalities."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.fusion.architecture import Architecture, Cell, Source
from plait.fusion.stack.weights import Sizes, pieces_of

RATE: Final = 0.2
"""How often a modality of a training row is dropped."""


def kept_modalities(present: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Drop whole modalities of single rows: each with the same chance, but never all that a row has.

    A row whose every modality was drawn keeps one of them at random, so that there is something to learn from
    (Neverova et al. 2016, section 3.3, draw an independent Bernoulli variable per sample and modality).

    Args:
        present: [M, B] of bool.
        rate: The chance, 0 to 1.
        generator: Where draws are from; torch's own by default.

    Returns:
        [M, B] of bool: present and not dropped.
    """
    draws = torch.rand(present.shape, generator=generator).to(present.device)
    kept = present & (draws >= rate)
    lost = ~kept.any(dim=0)
    if bool(lost.any()):
        luckiest = draws.masked_fill(~present, -1.0).argmax(dim=0)
        kept[luckiest[lost], lost] = present[luckiest[lost], lost]
    return kept


def merged_by_likeness(layers: Mapping[str, int], likeness: Mapping[tuple[str, str], float]) -> Architecture:
    """Concatenations in a chain: the two modalities that are most alike first, then always the one most like those.

    Args:
        layers: The layer that is read, by modality; two modalities at least.
        likeness: How alike two modalities are, by names in sorted order.

    Example:
        >>> likeness = {("hand", "head"): 0.2, ("hand", "sound"): 0.9, ("head", "sound"): 0.4}
        >>> str(merged_by_likeness({"hand": 2, "head": 3, "sound": 1}, likeness))
        'c1 = relu(concat(hand.2, sound.1)); c2 = relu(concat(head.3, c1))'
    """
    rest = sorted(layers)
    merged = [*max((likeness[pair], pair) for pair in combinations(rest, 2))[1]]
    cells = [Cell(sources=tuple(Source(modality=name, layer=layers[name]) for name in merged))]
    rest = [name for name in rest if name not in merged]
    while rest:
        known = {name: max(likeness[min(name, one), max(name, one)] for one in merged) for name in rest}
        name = max(rest, key=lambda one: known[one])
        rest.remove(name)
        merged.append(name)
        cells.append(Cell(sources=(Source(modality=name, layer=layers[name]), Source(cell=len(cells)))))
    return Architecture(cells=tuple(cells))


def block_diagonal(architecture: Architecture, sizes: Sizes, weights: Tensor) -> Tensor:
    """Fresh weights whose cross-modal part is 0: every unit begins by hearing one modality, and may learn of others.

    The units of a cell are shared out among the modalities below it, in order; where a unit reads its own modality its
    weights are as large as if it read nothing else.

    Args:
        architecture: Concatenations alone.
        sizes: As the weights were made for.
        weights: [numbers], in the order of `pieces_of`.

    Returns:
        A vector of the same kind; the given one is left as it is.
    """
    found, pieces = weights.clone(), pieces_of(architecture, sizes)
    below: list[NDArray[np.str_]] = []  # by cell, whose every unit is, [width]
    for number, cell in enumerate(architecture.cells):
        reads = [
            np.repeat(str(source.modality), sizes.layer_widths[str(source.modality)][int(source.layer or 0)])
            if source.cell is None
            else below[source.cell - 1]
            for source in cell.sources
        ]
        names = sorted({str(name) for read in reads for name in np.unique(read)})
        units = np.array([names[at * len(names) // sizes.width] for at in range(sizes.width)])
        total = sum(len(read) for read in reads)
        for place, read in enumerate(reads):
            piece = pieces[f"cells.{number}.projections.{place}.weight"]
            part = found[piece.start : piece.start + piece.size].view(piece.shape)
            own = units[:, None] == read[None, :]
            heard = np.array([sum(int((other == unit).sum()) for other in reads) for unit in units])
            scale = np.sqrt(total / np.maximum(heard, 1))[:, None] * own
            part *= torch.from_numpy(scale).to(part.dtype)
        below.append(units)
    return found
