"""Sources as standardised columns side by side; wide layers are reduced, so that all of them fit one Gram matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from plait.encoders.cache import moments_of
from plait.search.screening.coding import Coding, Floats

CHUNK = 2048
"""Rows read at once."""

MOST_WIDTH = 128
"""Columns of one source at most."""

ROUGH = 512
"""Layers wider than this are mixed at random into so many columns before their directions are looked for."""

Source = tuple[str, int]
"""A modality and a layer."""


def chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """The rows, `size` at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


@dataclass(frozen=True)
class Sketch:
    """Reads the sources of some rows as columns.

    A column is standardised over the training rows that have the modality; rows that have not are 0, the mean. Where
    some training rows lack the modality, whether it is there is a column of its own, shared by its layers.

    Attributes:
        states: Hidden states by modality, [all rows, sum of widths].
        present: By modality, [all rows] of bool.
        moments: By modality, mean and deviation [sum of widths].
        bases: By source, [width, columns] from the standardised layer to its columns; None for as they are.
        cuts: By modality, where its layers begin, [layers + 1].
        presence: Mean and deviation of a modality's presence, where it varies.
        columns: By source, which columns are its own.
        width: Number of all columns.
    """

    states: Mapping[str, NDArray[np.float32]]
    present: Mapping[str, NDArray[np.bool_]]
    moments: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    bases: dict[Source, NDArray[np.float32] | None]
    cuts: dict[str, NDArray[np.int64]]
    presence: dict[str, tuple[float, float]]
    columns: dict[Source, NDArray[np.int64]]
    width: int

    def standardised(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """All layers of a modality, [rows, sum of widths]."""
        mean, deviation = self.moments[name]
        there = self.present[name][rows]
        found = np.zeros((len(rows), len(mean)), np.float32)
        found[there] = (self.states[name][rows[there]] - mean) / deviation
        return found

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The columns of some rows, [rows, width]; nothing is kept."""
        found = np.empty((len(rows), self.width), np.float32)
        for name, cuts in self.cuts.items():
            values = self.standardised(name, rows)
            for layer in range(len(cuts) - 1):
                basis, own = self.bases[name, layer], values[:, cuts[layer] : cuts[layer + 1]]
                at = self.columns[name, layer]
                at = at[:-1] if name in self.presence else at
                found[:, at] = own if basis is None else own @ basis
            if name in self.presence:
                mean, deviation = self.presence[name]
                found[:, self.columns[name, 0][-1]] = (self.present[name][rows] - mean) / deviation
        return found


def sketch_of(
    states: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.bool_]],
    widths: Mapping[str, Sequence[int]], train: NDArray[np.int64], codings: Sequence[Coding], most: int, seed: int,
    chunk: int = CHUNK,
) -> Sketch:  # fmt: skip
    """Fit the columns of all sources on training rows.

    Args:
        states: Hidden states by modality, [all rows, sum of widths].
        present: By modality, [all rows] of bool.
        widths: Widths of the layers by modality.
        train: Positions of training rows, sorted.
        codings: Targets, for directions of wide layers that the labels point to.
        most: About how many columns there may be in all; every source keeps two at least.
        seed: Decides how very wide layers are mixed.
        chunk: Rows read at once.
    """
    names = sorted(widths)
    moments = {name: moments_of(states[name], train[present[name][train]], chunk) for name in names}
    cuts = {name: np.concatenate([[0], np.cumsum(widths[name])]).astype(np.int64) for name in names}
    shares = {name: float(present[name][train].mean()) for name in names}
    presence = {name: (share, float(np.sqrt(share * (1 - share)))) for name, share in shares.items() if 0 < share < 1}
    sketch = Sketch(states, present, moments, {}, cuts, presence, {}, 0)
    cap = _cap([width for name in names for width in widths[name]], most - len(presence))
    width = 0
    for name in names:
        sketch.bases.update(_bases(sketch, name, train, codings, cap, seed, chunk))
        end = width + sum(min(wide, cap) for wide in widths[name])
        for layer, wide in enumerate(widths[name]):
            own = np.arange(width, width + min(wide, cap))
            sketch.columns[name, layer] = np.append(own, end) if name in presence else own
            width += len(own)
        width += name in presence
    return Sketch(states, present, moments, sketch.bases, cuts, presence, sketch.columns, width)


def _cap(widths: Sequence[int], most: int) -> int:
    """The most columns a source may have, so that all together have no more than `most`."""
    for cap in range(MOST_WIDTH, 2, -1):
        if sum(min(width, cap) for width in widths) <= most:
            return cap
    return 2


def _bases(
    sketch: Sketch, name: str, train: NDArray[np.int64], codings: Sequence[Coding], cap: int, seed: int, chunk: int
) -> dict[Source, NDArray[np.float32] | None]:
    """By source, [width, cap] orthonormal columns for every layer wider than `cap`, None for the others."""
    cuts = sketch.cuts[name]
    wide = [layer for layer in range(len(cuts) - 1) if cuts[layer + 1] - cuts[layer] > cap]
    mixes = {layer: _mix(int(cuts[layer + 1] - cuts[layer]), seed, layer) for layer in wide}
    grams = {layer: np.zeros((mix.shape[1],) * 2) for layer, mix in mixes.items()}
    crosses = {layer: [np.zeros((mix.shape[1], len(c.task_of))) for c in codings] for layer, mix in mixes.items()}
    for rows in chunks(train, chunk) if wide else ():
        values = sketch.standardised(name, rows)
        targets = [np.where(coding.labelled[rows, None], coding.read(rows), 0) for coding in codings]
        for layer, mix in mixes.items():
            own = values[:, cuts[layer] : cuts[layer + 1]].astype(np.float64) @ mix
            grams[layer] += own.T @ own
            for cross, target in zip(crosses[layer], targets, strict=True):
                cross += own.T @ (target - target.mean(0))
    bases: dict[Source, NDArray[np.float32] | None] = {(name, layer): None for layer in range(len(cuts) - 1)}
    for layer, mix in mixes.items():
        directions = _directions(grams[layer], np.concatenate([np.zeros((mix.shape[1], 0)), *crosses[layer]], 1), cap)
        bases[name, layer] = (mix @ directions).astype(np.float32)
    return bases


def _mix(width: int, seed: int, layer: int) -> Floats:
    """The identity, or for very wide layers a random projection [width, `ROUGH`]."""
    if width <= ROUGH:
        return np.eye(width)
    drawn = np.random.default_rng([seed, 0x5CE7, layer]).normal(size=(width, ROUGH))
    return np.asarray(drawn / np.sqrt(ROUGH))


def _directions(gram: Floats, cross: Floats, cap: int) -> Floats:
    """Orthonormal directions [width, cap]: first those of ridge regression on the labels, then principal ones."""
    width = len(gram)
    _, principal = scipy.linalg.eigh(gram, subset_by_index=(width - cap, width - 1))
    ridge = gram + (0.1 * np.trace(gram) / width + 1e-9) * np.eye(width)
    pointed, sizes, _ = np.linalg.svd(scipy.linalg.solve(ridge, cross, assume_a="pos"), full_matrices=False)
    pointed = pointed[:, sizes > 1e-6 * max(sizes.max(initial=0), 1e-12)][:, : cap // 2]
    orthonormal, _ = np.linalg.qr(np.concatenate([pointed, principal[:, ::-1]], axis=1))
    return np.asarray(orthonormal[:, :cap])
