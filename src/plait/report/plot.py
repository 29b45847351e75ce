"""The leaderboard as a picture: scores with intervals as percentages of an axis that keeps its head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plait.report.figures import DASH, counted, interval, is_known, number, short
from plait.report.words import KINDS, zero_words

MARGIN: Final = 2.5
"""Percent of the width kept free on both sides, so that no mark is cut."""

MOST_ROWS: Final = 40
LONG_NAME: Final = 30
REACH: Final = 4.0
"""The axis ends this many times as far below the best score as the lower quartile of all scores lies below it."""

WORST_SCORE: Final = -1.0
"""Below this, 1 - loss / constant loss says `far worse than a constant`, and by how much is of no interest."""

NEAR: Final = 0.25
"""Share of a step within which an end of the axis is moved to the next tick."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Attributes:
        low, high: Its ends.
        ticks: Round numbers on it, ascending.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Where a value stands, percent of the width; values beyond an end stand at that end."""
        share = (value - self.low) / (self.high - self.low)
        return round(MARGIN + (100 - 2 * MARGIN) * min(1.0, max(0.0, share)), 2)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """(percent, text) of every tick."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(self.at(tick), _tick(tick, places)) for tick in self.ticks]

    @property
    def zero(self) -> float | None:
        """Where 0 stands, if it stands inside."""
        return self.at(0.0) if self.low < 0 < self.high else None


@dataclass(frozen=True)
class Mark:
    """A score with its interval, in percent of the width; `beyond` if the score lies left of the axis."""

    at: float
    low: float
    high: float
    beyond: bool
    value: str
    text: str


@dataclass(frozen=True)
class PlotRow:
    """One row of the picture."""

    name: str
    kind: str
    chosen: bool
    tied: bool
    validation: Mark | None
    test: Mark | None

    @property
    def beyond(self) -> bool:
        """Whether a score of it lies left of the axis."""
        return any(mark is not None and mark.beyond for mark in (self.validation, self.test))

    @property
    def words(self) -> str:
        """What the row shows, for those who hear it, and for the pointer."""
        parts = {"validation": self.validation, "test": self.test}
        told = [f"{part} {mark.text}" for part, mark in parts.items() if mark]
        return f"{self.name}: {'; '.join(told) or 'no score'}"


@dataclass(frozen=True)
class Plot:
    """The picture.

    Attributes:
        axis: Its axis; None if nothing has a score.
        rows: What is drawn.
        kinds: (key, words) of the kinds that occur, in the order of costs.
        total: How many rows the leaderboard has.
        clipped: How many drawn rows have a score left of the axis.
        lowest: The lowest score, if any is left of the axis.
        has_test: Whether any drawn row has a test score.
    """

    axis: Axis | None
    rows: tuple[PlotRow, ...]
    kinds: tuple[tuple[str, str], ...]
    total: int
    clipped: int
    lowest: str
    has_test: bool

    @property
    def long(self) -> bool:
        """Whether names need more room than usual."""
        return any(len(row.name) > LONG_NAME for row in self.rows)


def kind_key(kind: str) -> str:
    """The kind as a CSS class; kinds without a colour of their own share one."""
    return kind if kind in KINDS else "other"


def plot_of(leaderboard: Sequence[Row], metric: str | None) -> Plot:
    """The picture of a leaderboard.

    Args:
        leaderboard: Rows, best first.
        metric: None for the default score.
    """
    drawn = _drawn(leaderboard)
    axis = axis_of(drawn, metric)
    rows = tuple(_plot_row(row, axis) for row in drawn)
    scores = [row[part] for row in drawn for part in ("validation", "test") if is_known(row[part])]
    return Plot(
        axis, rows, _kinds(drawn), len(leaderboard), sum(row.beyond for row in rows), number(min(scores, default=None)),
        any(row.test for row in rows),
    )  # fmt: skip


def caption(plot: Plot, group: str | None, metric: str | None) -> str:
    """What must be said under the picture."""
    over = f"groups of {short(group)}" if group else "rows"
    told = [
        f"Intervals: bootstrap over {over}. Ties are within one standard error of the best row; "
        "the cheapest of them is returned."
    ]
    if plot.axis and plot.axis.zero is not None and zero_words(metric):
        told.append(f"The dashed line at 0 is {zero_words(metric)}.")
    if plot.clipped:
        told.append(
            f"The axis is cut: {counted(plot.clipped, 'row has a score', 'rows have scores')} further left, "
            f"down to {plot.lowest}, marked by a triangle."
        )
    if plot.total > len(plot.rows):
        told.append(f"{len(plot.rows)} of {plot.total:,} rows are drawn; the table has all.")
    return " ".join(told)


def axis_of(rows: Sequence[Row], metric: str | None) -> Axis | None:
    """An axis over all scores and intervals, cut where a few bad rows would squeeze the good ones; None without any."""
    scores = [row["validation"] for row in rows if is_known(row["validation"])]
    values = [value for row in rows for value in _values(row)]
    return axis_of_scores(scores, metric, values, _low_of_best(rows, max(scores, default=0.0)))


def axis_of_scores(
    known: Sequence[float], metric: str | None, others: Sequence[float] = (), low_of_best: float = math.inf
) -> Axis | None:
    """An axis over scores and other values, cut where a few bad scores would squeeze the good ones; None without any.

    Args:
        known: Scores.
        metric: The metric; None for the default score.
        others: Values that should stand on it too.
        low_of_best: The lower end of the best score's interval.
    """
    if not known:
        return None
    scores = sorted(known)
    best = scores[-1]
    reach = REACH * max(best - scores[len(scores) // 4], best - low_of_best, 0.01 * abs(best), 1e-6)
    floor = best - reach
    if metric is None and best > WORST_SCORE / 2:
        floor = max(floor, WORST_SCORE)
    low = max(min(scores[0], *others), floor) if others else max(scores[0], floor)
    high = max(best, *others) if others else best
    apart = high - low > 1e-9 * max(1.0, abs(high))  # scores that differ by rounding alone have no span to draw
    return _axis(low, high if apart else low + max(1e-6, 0.05 * abs(low)))


def _low_of_best(rows: Sequence[Row], best: float) -> float:
    lows = [row["interval"][0] for row in rows if row["validation"] == best and is_known(row["interval"][0])]
    return min(lows, default=best)


def _axis(low: float, high: float) -> Axis:
    """An axis with round ticks; an end that nearly reaches the next tick is moved there."""
    step = nice_step(high - low)
    first, last = math.ceil(low / step - NEAR), math.floor(high / step + NEAR)
    ticks = tuple(place * step for place in range(first, last + 1))
    return Axis(min(low, *ticks[:1]), max(high, *ticks[-1:]), ticks) if ticks else Axis(low, high, (low, high))


def nice_step(span: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts a span into at most six pieces.

    Example:
        >>> nice_step(0.46), nice_step(1000)
        (0.1, 200.0)
    """
    power = 10.0 ** math.floor(math.log10(span / 6))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if span <= 6 * step * power * (1 + 1e-9))


def _tick(value: float, places: int) -> str:
    text = f"{abs(value):,.{places}f}"
    return f"\N{MINUS SIGN}{text}" if value < 0 and text.strip("0.,") else text


def _values(row: Row) -> Iterator[float]:
    for value in (row["validation"], row["test"], *row["interval"], *row["test_interval"]):
        if is_known(value):
            yield value


def _drawn(leaderboard: Sequence[Row]) -> list[Row]:
    """The best rows, and from further down the chosen one and the best of every kind."""
    first: dict[str, int] = {}
    for place, row in enumerate(leaderboard):
        first.setdefault(row["kind"], place)
    kept = set(first.values())
    return [row for place, row in enumerate(leaderboard) if place < MOST_ROWS or place in kept or row["chosen"]]


def _plot_row(row: Row, axis: Axis | None) -> PlotRow:
    validation = _mark(axis, row["validation"], row["interval"])
    test = _mark(axis, row["test"], row["test_interval"])
    return PlotRow(row["name"], row["kind"], row["chosen"], row["tied"], validation, test)


def _mark(axis: Axis | None, value: float | None, ends: Sequence[float | None]) -> Mark | None:
    if axis is None or value is None or not math.isfinite(value):
        return None
    low, high = (end if end is not None and math.isfinite(end) else value for end in ends)
    told = interval(ends[0], ends[1])
    figure = number(value)
    text = figure if told == DASH else f"{figure}, 95 % interval {told}"
    return Mark(axis.at(value), axis.at(low), axis.at(high), value < axis.low, figure, text)


def _kinds(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    found = {row["kind"] for row in rows}
    return tuple((kind, words) for kind, words in KINDS.items() if kind in found) + tuple(
        ("other", str(kind)) for kind in sorted(found - set(KINDS))
    )
