"""What two sources say only together: the label's moments with all their products, tested on other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from plait.search.screening.coding import Floats
from plait.search.screening.gains import CLUSTERS, Held, students
from plait.search.screening.ridge import Gram, Solution, constant_errors
from plait.search.screening.sketch import Sketch, chunks

MOST_TOTAL = 1536
"""Columns of all sources together for one target column; for several fewer, so that the cost stays the same."""

MOST_COLUMNS = 8
"""Target columns of one coding that are looked at; more are mixed into so many."""

DEPTHS = (8, 32, MOST_TOTAL)
"""How many leading principal columns of a source are tried."""

Singles = NDArray[np.float32]
Pair = tuple[int, int]
"""Positions of two sources; a source with itself is a pair, too."""


@dataclass(frozen=True)
class Interaction:
    """What products of columns say beyond all linear terms.

    Attributes:
        gain: Share of the constant predictor's squared validation error that products explain, the mean over tasks;
            negative where they point the wrong way.
        standard_error: Of `gain`.
        t: Student's t of the products' agreement with the labels' residuals on validation rows.
        significant: Whether `t` is beyond chance, all tests of its round taken into account (Bonferroni).
    """

    gain: float
    standard_error: float
    t: float
    significant: bool


@dataclass(frozen=True)
class _Unit:
    """Whitened principal columns of a source, leading ones first: which columns, their means, [columns, width]."""

    columns: NDArray[np.int64]
    means: Floats
    basis: Floats


@dataclass(frozen=True)
class _Form:
    """A bilinear form of two sources per target column: left [target columns, a, rank], right [.., b, rank].

    Without a right, left [target columns, a, b] is all of it. `middle` [target columns] is its mean over training rows.
    """

    at: tuple[slice, slice]
    left: Singles
    right: Singles | None
    middle: Singles

    def of(self, columns: Singles) -> Singles:
        """Its values, less their mean, [rows, target columns]; `columns` are [rows, width of all units]."""
        a, b = columns[:, self.at[0]], columns[:, self.at[1]]
        rights = [None] * len(self.left) if self.right is None else self.right
        told = [((a @ u) * (b if v is None else b @ v)).sum(axis=1) for u, v in zip(self.left, rights, strict=True)]
        return np.stack(told, axis=1) - self.middle


@dataclass(frozen=True)
class _Moments:
    """Of one Gram matrix, over its labelled training rows.

    Attributes:
        mean: Mean of residual x column x column, [target columns, width, width].
        noise: Deviation of an entry of `mean` where there is nothing to find, [target columns].
        products: Mean of column x column, [width, width].
    """

    mean: Floats
    noise: Floats
    products: Floats

    def sizes(self, p: slice, q: slice) -> tuple[float, float]:
        """How far a block stands out of noise: by its energy, and by its largest singular value.

        The latter in the units of its spread in white noise (Johnstone 2001).
        """
        block = self.mean[:, p, q] / self.noise[:, None, None]
        outputs, a, b = block.shape
        edge, spread = np.sqrt(a) + np.sqrt(b), (a**-0.5 + b**-0.5) ** (1 / 3)
        energy = (np.square(block).sum() - outputs * a * b) / np.sqrt(2 * outputs * a * b)
        return float(energy), float(((np.linalg.norm(block, 2, axis=(1, 2)) - edge) / spread).max())

    def dense(self, p: slice, q: slice) -> _Form:
        """The form of a whole block."""
        middle = (self.mean[:, p, q] * self.products[p, q]).sum(axis=(1, 2))
        return _Form((p, q), self.mean[:, p, q].astype(np.float32), None, middle.astype(np.float32))

    def sparse(self, p: slice, q: slice) -> _Form | None:
        """The form of what stands out of noise in a block; None where nothing does."""
        u, sizes, v = np.linalg.svd(self.mean[:, p, q] / self.noise[:, None, None], full_matrices=False)
        sizes = shrunk(sizes, (u.shape[1], v.shape[2])) * self.noise[:, None]
        rank = int((sizes > 0).sum(axis=1).max())
        if rank == 0:
            return None
        left, right = (u * sizes[:, None, :])[:, :, :rank], v.transpose(0, 2, 1)[:, :, :rank]
        middle = np.einsum("car,cbr,ab->c", left, right, self.products[p, q])
        return _Form((p, q), left.astype(np.float32), right.astype(np.float32), middle.astype(np.float32))


def shrunk(sizes: Floats, shape: tuple[int, int]) -> Floats:
    """Singular values of a matrix with noise of deviation 1, shrunk for the least squared error, 0 below noise's edge.

    Gavish and Donoho 2017, eq. 7.
    """
    longer, beta = max(shape), min(shape) / max(shape)
    scaled = sizes / np.sqrt(longer)
    inside = np.square(np.square(scaled) - beta - 1) - 4 * beta
    above = np.where(scaled > 1 + np.sqrt(beta), np.maximum(inside, 0), 0)
    return np.asarray(np.sqrt(longer * above) / np.maximum(scaled, 1e-12))


class Products:
    """The label's moments with all products of two sources' columns, and tests of them (own choice).

    Products need not be drawn at random: with q_a, q_b the whitened columns of two sources and r what a linear fit
    leaves of the label, M = mean of r q_a q_b' holds the label's moments with every product of two columns, for all
    pairs in one matrix product. The bilinear form q_a' M q_b foretells r. It is tried whole, which finds what is spread
    over many products, and with its singular values shrunk as is best for a low-rank matrix in white noise, which finds
    a few products (q_a . u)(q_b . v) among many columns. Training rows decide all of this; the form's agreement with r
    on validation rows is then a fair test, since its mean is 0 where two sources say nothing together.

    Args:
        sketch: Reads columns.
        grams: One per group of tasks.
        linear: The linear fit whose residuals are to be explained.
        train: Positions of training rows.
        seed: Decides how many target columns are mixed.
        chunk: Rows read at once.
    """

    def __init__(
        self, sketch: Sketch, grams: Sequence[Gram], linear: Solution, train: NDArray[np.int64], seed: int, chunk: int
    ) -> None:
        self.sketch, self.grams, self.linear, self.chunk = sketch, grams, linear, chunk
        outputs = sum(min(len(gram.coding.task_of), MOST_COLUMNS) for gram in grams)
        most = max(3, int(MOST_TOTAL / np.sqrt(outputs)) // len(sketch.columns))
        self.units = _units(max(grams, key=lambda gram: float(gram.train[0, 0])), list(sketch.columns.values()), most)
        ends = [0, *accumulate(unit.basis.shape[1] for unit in self.units)]
        self.slices = [slice(*both) for both in pairwise(ends)]
        tasks = sum(len(gram.coding.tasks) for gram in grams)
        self.scales = [
            mixing(len(gram.coding.task_of), seed)
            / np.sqrt(tasks * constant_errors(gram))[gram.coding.task_of][:, None]
            for gram in grams
        ]
        self.moments = self._moments(train)
        self.sizes: dict[Pair, list[tuple[tuple[slice, slice], float, float]]] = {}

    def test(self, choices: Sequence[Sequence[Pair]], held_out: Held, level: float) -> list[Interaction]:
        """Test pairs of sources.

        Args:
            choices: Of the pairs in each of these, those are tested that stand out most on training rows: one by its
                energy, and one by its largest singular value.
            held_out: Validation rows.
            level: Chance that any of many that say nothing is called significant.

        Returns:
            One interaction per choice: of its two tests the one with the higher t.
        """
        forms = [form for pairs in choices for form in self._forms(pairs)]
        agreement, power = np.zeros((CLUSTERS, len(forms))), np.zeros(len(forms))
        for at in chunks(np.arange(len(held_out.rows)), self.chunk):
            told = np.zeros((len(at), len(forms)))
            for number, (some, residuals, columns) in enumerate(self._read(held_out.rows[at])):
                for test, form in enumerate(forms):
                    one = form[number]
                    if one is not None:
                        values = one.of(columns)
                        told[some, test] += (values * residuals).sum(axis=1)
                        power[test] += np.square(values).sum()
            np.add.at(agreement, held_out.cluster_of[at], told)
        return _tested(agreement, power, level)

    def _read(self, rows: NDArray[np.int64]) -> list[tuple[NDArray[np.bool_], Singles, Singles]]:
        """For every Gram matrix: which rows are labelled, their residuals and their whitened columns.

        Residuals [labelled rows, target columns] are scaled so that their squares over validation rows are shares of
        the constant predictor's, summed up to the mean over tasks.
        """
        values = self.sketch.read(rows)
        whitened = [(values[:, unit.columns] - unit.means) @ unit.basis for unit in self.units]
        white = np.concatenate(whitened, axis=1, dtype=np.float32)
        found = []
        for gram, scale, weights in zip(self.grams, self.scales, self.linear.weights, strict=True):
            some = gram.coding.labelled[rows]
            foretold = weights[0] + values[some][:, self.linear.columns] @ weights[1:]
            residuals = (gram.coding.read(rows[some]) - foretold) @ scale
            found.append((some, residuals.astype(np.float32), white[some]))
        return found

    def _moments(self, train: NDArray[np.int64]) -> list[_Moments]:
        width, outputs = self.slices[-1].stop, [scale.shape[1] for scale in self.scales]
        sums, squares = [np.zeros((count, width, width)) for count in outputs], [np.zeros(count) for count in outputs]
        products = [np.zeros((width, width)) for _ in outputs]
        for rows in chunks(train, self.chunk):
            for number, (_, residuals, columns) in enumerate(self._read(rows)):
                for output in range(outputs[number]):
                    sums[number][output] += (columns * residuals[:, [output]]).T @ columns
                squares[number] += np.square(residuals, dtype=np.float64).sum(axis=0)
                products[number] += columns.T @ columns
        counts = [float(gram.train[0, 0]) for gram in self.grams]
        return [
            _Moments(total / count, np.sqrt(np.maximum(square, 1e-30)) / count, product / count)
            for total, square, product, count in zip(sums, squares, products, counts, strict=True)
        ]

    def _forms(self, pairs: Sequence[Pair]) -> tuple[list[_Form], list[_Form | None]]:
        """The whole and the sparse form of some pairs, one for every Gram matrix."""
        sizes = [size for pair in pairs for size in self._sizes(pair)]
        whole = max(sizes, key=lambda size: size[1])[0]
        sparse = max(sizes, key=lambda size: size[2])[0]
        return [one.dense(*whole) for one in self.moments], [one.sparse(*sparse) for one in self.moments]

    def _sizes(self, pair: Pair) -> list[tuple[tuple[slice, slice], float, float]]:
        """At every depth: where the block stands, its energy and its largest singular value."""
        if pair not in self.sizes:
            a, b = (self.slices[number] for number in pair)
            blocks = [
                (slice(a.start, min(a.stop, a.start + depth)), slice(b.start, min(b.stop, b.start + depth)))
                for depth in DEPTHS
            ]
            blocks = [block for number, block in enumerate(blocks) if block not in blocks[:number]]
            found = [np.max([one.sizes(*block) for one in self.moments], axis=0) for block in blocks]
            self.sizes[pair] = [
                (block, float(size[0]), float(size[1])) for block, size in zip(blocks, found, strict=True)
            ]
        return self.sizes[pair]


def mixing(outputs: int, seed: int) -> Floats:
    """The identity; for more outputs than `MOST_COLUMNS` a projection [outputs, `MOST_COLUMNS`] of the same power."""
    if outputs <= MOST_COLUMNS:
        return np.eye(outputs)
    drawn = np.random.default_rng([seed, 0x3173]).normal(size=(outputs, MOST_COLUMNS))
    return np.asarray(np.linalg.qr(drawn)[0] * np.sqrt(outputs / MOST_COLUMNS))


def _units(gram: Gram, groups: Sequence[NDArray[np.int64]], most: int) -> list[_Unit]:
    """Whitened columns of every group of the sketch's columns; those that hardly vary are left out."""
    covariance, means, units = gram.covariance, gram.means, []
    for columns in groups:
        values, vectors = scipy.linalg.eigh(covariance[np.ix_(columns, columns)])
        kept = np.flatnonzero(values > 1e-3 * max(values[-1], 1e-6))[::-1][:most]
        kept = kept if len(kept) else np.array([len(values) - 1])
        basis = vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-6))
        units.append(_Unit(columns, means[columns], basis))
    return units


def _tested(agreement: Floats, power: Floats, level: float) -> list[Interaction]:
    """One interaction for every two tests, that with the higher t.

    Args:
        agreement: Sums of form x residual by block of rows and test, [blocks, tests].
        power: Sums of form x form by test, [tests].
        level: Chance that any of all tests is called significant where nothing is to be found.
    """
    t, limit = students(agreement, level)
    total = agreement.sum(axis=0)
    gain = np.divide(total * np.abs(total), power, out=np.zeros_like(total), where=power > 0)
    told = []
    for first in range(0, len(t), 2):
        best = first + int(np.argmax(t[first : first + 2]))
        error = float(2 * abs(gain[best] / t[best])) if t[best] else 0.0
        told.append(Interaction(float(gain[best]), error, float(t[best]), bool(t[best] > limit)))
    return told
