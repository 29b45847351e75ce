"""Where the boxes of a drawing stand and how lines run between them: around boxes, never through one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Point = tuple[float, float]

APART: Final = 10.0
"""Pixels that a box keeps from a line that is not its own."""

BETWEEN: Final = 28.0
"""Pixels between boxes of one row."""

EDGE: Final = 14.0
"""Pixels between a box's corner and the first line that enters it."""

SNAP: Final = 4.0
"""A port less than this beside its lane is moved below it."""

RADIUS: Final = 7.0


@dataclass(frozen=True)
class Lane:
    """A line on its way down: from a box, by a vertical at `x`, to a node of a lower row.

    Attributes:
        source, target: Keys of the boxes at its ends.
        x: Where its vertical stands.
        row: The row of the target.
        start: Its points down to and with the beginning of the vertical.
    """

    source: str
    target: str
    x: float
    row: int
    start: tuple[Point, ...]


@dataclass(frozen=True)
class Entry:
    """How a lane enters its node: at `port`, by the horizontal track number `track` above the node's row."""

    lane: Lane
    port: float
    track: int

    @property
    def straight(self) -> bool:
        """Whether it needs no horizontal piece."""
        return self.lane.x == self.port


def places(widths: Mapping[str, float], row: int, lanes: Sequence[Lane]) -> dict[str, float]:
    """Left edges of the nodes of a row.

    A node stands as near as it can to the middle of its own lanes, without touching its neighbours or lanes of others,
    which pass by or end at the same height.

    Args:
        widths: Widths of the row's nodes.
        row: The row.
        lanes: All lanes that reach this row or a lower one.
    """
    own = {key: [lane.x for lane in lanes if lane.target == key] for key in widths}
    middle = {key: (min(xs) + max(xs)) / 2 if xs else 0.0 for key, xs in own.items()}
    taken: list[tuple[float, float]] = []
    found = {}
    for key in sorted(widths, key=lambda key: middle[key]):
        others = [lane.x for lane in lanes if lane.row >= row and lane.target != key]
        blocked = [*taken, *((x - APART, x + APART) for x in others)]
        found[key] = _free(middle[key] - widths[key] / 2, widths[key], blocked)
        taken.append((found[key] - BETWEEN, found[key] + widths[key] + BETWEEN))
    return found


def _free(wanted: float, width: float, blocked: Sequence[tuple[float, float]]) -> float:
    """The left edge nearest to the wanted one at which a width meets no blocked stretch."""
    ends = [wanted, *(right for _, right in blocked), *(left - width for left, _ in blocked)]
    for at in sorted(ends, key=lambda end: (abs(end - wanted), end)):
        if all(at >= right or at + width <= left for left, right in blocked):
            return at
    raise AssertionError("right of everything there is always room")


def entries(left: float, width: float, lanes: Sequence[Lane], gap: float, used: list[list[Point]]) -> list[Entry]:
    """How the lanes of a node enter it from above, without crossing each other.

    Args:
        left: Where the node begins.
        width: Its width.
        lanes: Its lanes.
        gap: Least distance of two ports.
        used: Stretches that are taken by track; added to.
    """
    ordered = sorted(lanes, key=lambda lane: lane.x)
    ports = _ports(left + EDGE, left + width - EDGE, [lane.x for lane in ordered], gap)
    pairs = list(zip(ordered, ports, strict=True))
    rightward = [pair for pair in reversed(pairs) if pair[0].x < pair[1]]
    leftward = [pair for pair in pairs if pair[0].x >= pair[1]]
    return [*_tracked(rightward, used), *_tracked(leftward, used)]


def _ports(low: float, high: float, wanted: Sequence[float], gap: float) -> list[float]:
    """Ascending places in [low, high], `gap` apart, near to the wanted ones."""
    found: list[float] = []
    for x in wanted:
        found.append(max(min(max(x, low), high), found[-1] + gap if found else low))
    limit = high
    for place in reversed(range(len(found))):
        found[place] = min(found[place], limit)
        limit = found[place] - gap
    return found


def _tracked(pairs: Sequence[tuple[Lane, float]], used: list[list[Point]]) -> Iterator[Entry]:
    """Entries in the order given, each in the first track that is free and below those before it that it meets."""
    before: list[tuple[float, float, int]] = []
    for lane, port in pairs:
        low, high = min(lane.x, port) - APART, max(lane.x, port) + APART
        track = max((number + 1 for left, right, number in before if left < high and low < right), default=0)
        if abs(lane.x - port) < SNAP:
            yield Entry(lane, lane.x, 0)
            continue
        while track < len(used) and any(left < high and low < right for left, right in used[track]):
            track += 1
        while track >= len(used):
            used.append([])
        used[track].append((low, high))
        before.append((low, high, track))
        yield Entry(lane, port, track)


def rounded(points: Sequence[Point]) -> str:
    """A line of right angles as an SVG path with rounded corners."""
    first, *rest = points
    path = [f"M{_pair(first)}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(RADIUS, _length(before, corner) / 2, _length(corner, after) / 2)
        path.append(f"L{_pair(_toward(corner, before, radius))}")
        path.append(f"Q{_pair(corner)} {_pair(_toward(corner, after, radius))}")
    return "".join([*path, f"L{_pair(rest[-1])}"])


def _length(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(corner: Point, to: Point, radius: float) -> Point:
    share = radius / (_length(corner, to) or 1.0)
    return corner[0] + (to[0] - corner[0]) * share, corner[1] + (to[1] - corner[1]) * share


def _pair(point: Point) -> str:
    return f"{point[0]:.5g} {point[1]:.5g}"
