"""Screens sources before anything is trained: which of them say something alone, together, or multiplied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.fusion.architecture import Architecture
from plait.search.screening.coding import codings
from plait.search.screening.gains import Gain, Held, gains, held
from plait.search.screening.interactions import Interaction, Products
from plait.search.screening.ridge import Gram, Solution, grams_of, solution_of
from plait.search.screening.sketch import CHUNK, Sketch, Source, sketch_of
from plait.tasks._base import Task
from plait.tasks.score import Labels

MOST_ROWS = 20_000
"""Of more training rows, so many drawn ones are used; of validation rows half as many."""

MOST_NUMBERS = 6_000_000
"""Numbers in all Gram matrices together; what bounds their width: 1,732 columns for one group of tasks."""

LEVEL = 0.01
"""Chance that anything in a family of tests is called a signal where all is noise."""

SMALL = 0.05
"""A modality whose own score may yet be as high as this is not thrown out for want of evidence."""

MOST_PROMISING = 64
"""Pairs of modalities at most whose layers are looked at one by one."""

MULTIPLYING = frozenset({"product", "low-rank", "tensor"})
PRICE = 1e-4
"""What a source costs in a hint: of two that say the same, the smaller one comes first."""


@dataclass(frozen=True)
class Step:
    """One step of forward selection: the source with the largest gain, its standard error, and the score so far."""

    source: Source
    gain: float
    standard_error: float
    score: float


@dataclass(frozen=True)
class Alone:
    """The best layer of a modality on its own: its score, the standard error, and whether that is beyond chance."""

    layer: int
    score: float
    standard_error: float
    significant: bool


@dataclass(frozen=True)
class Screening:
    """What ridge regression and products of columns say of every source; nothing is trained.

    A score is the mean over tasks of 1 - squared validation error / that of the constant predictor, classes being
    corners of a simplex: 1 is perfect, 0 the constant predictor.

    Attributes:
        modalities: All modalities, sorted.
        alone: By modality, its best layer on its own.
        forward: Sources in the order in which they were added, each of another modality, while beyond chance.
        pairs: By pair of modalities in sorted order (one with itself: its curvature), what their products say beyond
            all linear terms.
        layers: By pair of sources, the same for the layers of significant pairs of two modalities.

    Example:
        >>> import numpy as np
        >>> from plait.tasks._base import Task
        >>> from plait.tasks.score import Labels
        >>> rng, task = np.random.default_rng(0), Task(name="y", kind="regression", label_type="float", prior=(0.0,))
        >>> states = {name: rng.normal(size=(900, 4)).astype(np.float32) for name in "abc"}
        >>> labels = Labels({"y": states["a"][:, 0] * states["b"][:, 1]}, {"y": np.ones(900, bool)})
        >>> here, widths = dict.fromkeys("abc", np.ones(900, bool)), dict.fromkeys("abc", [4])
        >>> found = Screening.of(states, here, widths, [task], labels, np.arange(600), np.arange(600, 900))
        >>> found.kept, found.discarded
        (('a', 'b'), ('c',))
    """

    modalities: tuple[str, ...]
    alone: Mapping[str, Alone]
    forward: tuple[Step, ...]
    pairs: Mapping[tuple[str, str], Interaction]
    layers: Mapping[tuple[Source, Source], Interaction]
    _sketch: Sketch | None = field(default=None, repr=False)
    _grams: Sequence[Gram] = field(default=(), repr=False)
    _scores: dict[frozenset[Source], float] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, states: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.bool_]],
        widths: Mapping[str, Sequence[int]], tasks: Sequence[Task], labels: Labels, train: NDArray[np.int64],
        validation: NDArray[np.int64], seed: int = 0, chunk: int = CHUNK,
    ) -> Screening:  # fmt: skip
        """Screen all sources. Rows are read in chunks, and memory does not grow with their number.

        Args:
            states: Hidden states by modality, [all rows, sum of widths]; what stands in absent rows does not matter.
            present: By modality, [all rows] of bool.
            widths: By modality, widths of layers 0..L+1.
            tasks: The tasks; one without labels in validation rows, or with fewer than two in training rows, is left
                out.
            labels: Encoded targets of all rows; groups stay together where standard errors are taken.
            train: Positions of training rows; all is fitted on them, but for the choice of a ridge penalty.
            validation: Positions of validation rows.
            seed: Decides draws of rows, blocks and mixtures of very wide layers.
            chunk: Rows read at once.

        Returns:
            The screening; without a task that can be scored, one that knows nothing and discards nothing.
        """
        names = tuple(sorted(widths))
        train, validation = _drawn(train, MOST_ROWS, seed), _drawn(validation, MOST_ROWS // 2, seed)
        groups = codings(tasks, labels, train, validation, seed)
        if not groups or not names:
            return cls(names, {}, (), {}, {})
        most = int(np.sqrt(MOST_NUMBERS / (2 * len(groups))))
        sketch = sketch_of(states, present, widths, train, groups, most, seed, chunk)
        grams, held_out = grams_of(sketch, groups, train, validation, chunk), held(labels, validation, seed)
        alone = _alone(sketch, grams, held_out, chunk)
        forward, linear = _forward(sketch, grams, held_out, chunk)
        products = Products(sketch, grams, linear, train, seed, chunk)
        order = list(sketch.columns)
        pairs = list(combinations_with_replacement(names, 2))
        among = [[(x, y) for x in _of(order, a) for y in _of(order, b) if x <= y or a != b] for a, b in pairs]
        told = dict(zip(pairs, products.test(among, held_out, LEVEL), strict=True))
        both = [(pair, these) for pair, these in zip(pairs, among, strict=True) if told[pair].significant]
        both = sorted(both, key=lambda item: -told[item[0]].gain)[:MOST_PROMISING]
        each = [one for (a, b), these in both if a != b for one in these]
        found = products.test([[one] for one in each], held_out, LEVEL)
        layers = {(order[x], order[y]): one for (x, y), one in zip(each, found, strict=True)}
        return cls(names, alone, forward, told, layers, sketch, grams)

    def score(self, sources: Iterable[Source]) -> float | None:
        """The score of ridge regression on some sources; None where no task can be scored.

        Raises:
            KeyError: A source that there is not.
        """
        if self._sketch is None:
            return None
        key = frozenset(sources)
        if key not in self._scores:
            self._scores[key] = solution_of(self._grams, _columns(self._sketch, key)).score
        return self._scores[key]

    def hint(self, architecture: Architecture) -> float:
        """A guess at how good an architecture is: the linear score of its sources, and what it multiplies.

        Cells that multiply (product, low-rank, tensor) earn the gains of significant pairs among what stands below
        their different sources; a modality counts in one pair only, so that copies do not earn twice.
        """
        below: list[list[Source]] = []
        earned: dict[tuple[str, str], float] = {}
        for cell in architecture.cells:
            parts = [[s.state] if s.state is not None else below[(s.cell or 1) - 1] for s in cell.sources]
            below.append([state for part in parts for state in part])
            if cell.operation in MULTIPLYING:
                for number, part in enumerate(parts):
                    for x, y in product(part, [state for later in parts[number + 1 :] for state in later]):
                        one, other = min(x, y), max(x, y)
                        gain = self._pair_gain(one, other)
                        earned[one[0], other[0]] = max(earned.get((one[0], other[0]), 0.0), gain)
        states = below[-1]
        taken: set[str] = set()
        bonus = 0.0
        for pair, gain in sorted(earned.items(), key=lambda item: (-item[1], item[0])):
            if not taken & set(pair):
                taken |= set(pair)
                bonus += gain
        return (self.score(states) or 0.0) + bonus - PRICE * len(states)

    def _pair_gain(self, one: Source, other: Source) -> float:
        found = self.layers.get((one, other)) or self.pairs.get((one[0], other[0]))
        return max(found.gain, 0.0) if found and found.significant else 0.0

    def verdict(self, modality: str) -> str:
        """What to do with a modality.

        `kept`: forward selection or a significant pair wants it. `redundant`: says something alone that others say,
        too. `unsure`: nothing was found, but its own score may yet be 0.05 (two standard errors), or nothing was found
        in any modality. `noise`: none of these.
        """
        wanted = {step.source[0] for step in self.forward}
        wanted |= {name for pair, found in self.pairs.items() if found.significant for name in pair}
        if modality in wanted:
            return "kept"
        mine = self.alone.get(modality)
        if mine is not None and mine.significant:
            return "redundant"
        nothing = not wanted and not any(one.significant for one in self.alone.values())
        return "unsure" if mine is None or nothing or mine.score + 2 * mine.standard_error > SMALL else "noise"

    @property
    def kept(self) -> tuple[str, ...]:
        """Modalities that are not discarded, sorted."""
        return tuple(name for name in self.modalities if self.verdict(name) != "noise")

    @property
    def discarded(self) -> tuple[str, ...]:
        """Modalities that say nothing, neither alone nor with another, sorted."""
        return tuple(name for name in self.modalities if self.verdict(name) == "noise")

    def told(self) -> dict[str, Any]:
        """All that was found, as JSON: no number is infinite (None in its place)."""
        return {
            "modalities": {
                name: {"verdict": self.verdict(name), **({} if name not in self.alone else _plain(self.alone[name]))}
                for name in self.modalities
            },
            "kept": list(self.kept),
            "discarded": list(self.discarded),
            "forward": [{**_plain(step), "source": list(step.source)} for step in self.forward],
            "pairs": [
                {"modalities": list(pair), **_plain(found)}
                for pair, found in sorted(self.pairs.items(), key=lambda item: (-item[1].t, item[0]))
            ],
            "layers": [
                {"sources": [list(source) for source in pair], **_plain(found)}
                for pair, found in sorted(self.layers.items(), key=lambda item: (-item[1].t, item[0]))
            ],
        }


def _plain(record: object) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in vars(record).items()
    }


def _columns(sketch: Sketch, sources: Iterable[Source]) -> NDArray[np.int64]:
    """Columns of some sources, each once, in order."""
    parts = [sketch.columns[source] for source in sources]
    return np.unique(np.concatenate(parts)) if parts else np.arange(0)


def _of(sources: Sequence[Source], name: str) -> list[int]:
    """Positions of a modality's sources."""
    return [number for number, source in enumerate(sources) if source[0] == name]


def _drawn(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng([seed, 0xD2A3]).permutation(rows)[:most])


def _alone(sketch: Sketch, grams: Sequence[Gram], held_out: Held, chunk: int) -> dict[str, Alone]:
    """The best layer of every modality on its own."""
    solved = {source: solution_of(grams, _columns(sketch, [source])) for source in sketch.columns}
    best: dict[str, Source] = {}
    for source, solution in solved.items():
        if source[0] not in best or solution.score > solved[best[source[0]]].score:
            best[source[0]] = source
    found = _gains(sketch, grams, held_out, solution_of(grams, np.arange(0)), solved, list(best.values()), chunk)
    return {
        name: Alone(layer, gain.gain, gain.standard_error, gain.significant)
        for (name, layer), gain in zip(best.values(), found, strict=True)
    }


def _forward(sketch: Sketch, grams: Sequence[Gram], held_out: Held, chunk: int) -> tuple[tuple[Step, ...], Solution]:
    """Add the source with the largest gain, one of every modality at most, while the gain is beyond chance."""
    steps: list[Step] = []
    now = solution_of(grams, np.arange(0))
    while True:
        chosen = [step.source for step in steps]
        left = [source for source in sketch.columns if source[0] not in {name for name, _ in chosen}]
        if not left:
            return tuple(steps), now
        solved = {source: solution_of(grams, _columns(sketch, [*chosen, source])) for source in left}
        best = max(solved, key=lambda source: solved[source].score)
        (found,) = _gains(sketch, grams, held_out, now, solved, [best], chunk)
        if not found.significant:
            return tuple(steps), now
        now = solved[best]
        steps.append(Step(best, found.gain, found.standard_error, now.score))


def _gains(
    sketch: Sketch, grams: Sequence[Gram], held_out: Held, before: Solution, solved: Mapping[Source, Solution],
    sources: Sequence[Source], chunk: int,
) -> list[Gain]:  # fmt: skip
    """Gains of some sources, the best ones among all that were solved."""
    after, added = [solved[source] for source in sources], [sketch.columns[source] for source in sources]
    return gains(sketch, grams, held_out, before, after, added, len(solved), LEVEL, chunk)
