"""The returned architecture as a picture: modalities as columns, depth downwards, cells below, targets at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from plait.fusion.architecture import Source
from plait.report.figures import breadth, fitted, number
from plait.report.headline import chosen_row
from plait.report.wires import Lane, Point, entries, places, rounded
from plait.report.words import KINDS

COLOURS: Final = 6
MOST_COLUMNS: Final = 6
"""Of more modalities than this, the discarded ones are named below the picture instead of drawn."""

MOST_WIDE: Final = 8
"""Columns that are drawn wide; more are drawn narrow, with numbers alone and names that run upwards."""

MOST_LAYERS: Final = 9
"""Of more layers than this, runs that nothing reads are drawn as one."""

MOST_DRAWINGS: Final = 3
MOST_TARGETS: Final = 4

LAYER: Final = 23.0
STEP: Final = 30.0
TRACK: Final = 9.0
CELL: Final = 44.0
LINE: Final = 17.0
ABOVE: Final = 14.0
"""Pixels between a row and the first line below it, and between the last line and the next row."""

BELOW_LABELS: Final = 33.0
PADDING: Final = 4.0
THIN: Final = 1.75

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Spacing:
    """Sizes of columns in pixels.

    Attributes:
        width: Of a column.
        head: Room for its name.
        gutter: Between two columns, without lanes.
        aside: Between a column and the lane next to it.
        lane: Between two lanes.
    """

    width: float
    head: float
    gutter: float
    aside: float
    lane: float


WIDE: Final = Spacing(128.0, 44.0, 34.0, 13.0, 10.0)
NARROW: Final = Spacing(26.0, 112.0, 14.0, 7.0, 7.0)


@dataclass(frozen=True)
class Box:
    """A rectangle with words.

    Attributes:
        key: What lines are tied to: `image.2`, `c1`, `heads`; a modality's name stands under `image:`.
        kind: One of name, upright, layer, read, more, cell, target.
        x, y, width, height: In pixels.
        lines: Its words, cut to its width.
        aside: Words at its right edge.
        title: The words in full.
        colour: Number of its modality's colour; None for grey.
    """

    key: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    title: str
    aside: str = ""
    colour: int | None = None


@dataclass(frozen=True)
class Wire:
    """A line between two boxes.

    Attributes:
        source, target: Keys of the boxes.
        points: Its corners, from the source's edge to the target's top.
        colour: Number of its modality's colour; None for lines between cells.
        width: Its thickness in pixels.
        label, title: A gate's mean weight, and the same in full; empty for other lines.
    """

    source: str
    target: str
    points: tuple[Point, ...]
    colour: int | None
    width: float
    label: str
    title: str

    @property
    def path(self) -> str:
        """Its outline for SVG."""
        return rounded(self.points)


@dataclass(frozen=True)
class Diagram:
    """The picture, what it says in words, and the discarded modalities that are named below it."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    words: str
    left_out: tuple[str, ...]

    @property
    def is_narrow(self) -> bool:
        """Whether layers are numbers alone."""
        return any(box.kind == "upright" for box in self.boxes)

    @property
    def has_gates(self) -> bool:
        """Whether any line has a weight."""
        return any(wire.label for wire in self.wires)


@dataclass(frozen=True)
class Node:
    """What reads: a cell, a late rule, the targets. `row` counts from the top; `sources` are keys of boxes."""

    key: str
    kind: str
    sources: tuple[str, ...]
    lines: tuple[str, ...]
    title: str
    row: int = 0
    gate: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """Least distance of lines that enter it; weights need room."""
        return 38.0 if self.gate else 16.0

    @property
    def width(self) -> float:
        """Wide enough for its words and for the lines that enter it."""
        words = min(230.0, max(map(breadth, self.lines)) + 28)
        return max(112.0, words, 30 + self.gap * (len(self.sources) - 1))


def diagrams(content: Content) -> list[Diagram]:
    """A drawing of every returned architecture; of how the rule or the modality decides where there is none."""
    drawn = [one for one in content["architectures"] if one["cells"]]
    gates = content.get("gates") or [] if len(drawn) == 1 else []
    if not drawn:
        return [_drawn(content, _plain(content), content["choice"]["sentence"])]
    return [_drawn(content, _cells(one["cells"], gates), one["text"]) for one in drawn[:MOST_DRAWINGS]]


def _plain(content: Content) -> list[Node]:
    """A rule that reads the outputs of the networks, or nothing for one modality alone.

    A classical model reads what the reader says, drawn as layer 0, or the last hidden layer.
    """
    row, classical = chosen_row(content), content["decision"].get("classical")
    read = {modality["name"]: len(modality["widths"]) - 1 for modality in content["modalities"]}
    if classical:
        read = {name: 0 if name in classical.get("raw", ()) else max(0, last - 1) for name, last in read.items()}
    sources = tuple(f"{name}.{read[name]}" for name in content["used"] if name in read)
    if row["kind"] == "unimodal" and len(sources) == 1:
        return [Node("", "", sources, (), "")]
    return [Node("c1", "cell", sources, (row["name"], KINDS.get(row["kind"], row["kind"])), row["name"])]


def _cells(cells: Sequence[Content], gates: Sequence[Content]) -> list[Node]:
    weights = {gate["cell"]: gate for gate in gates}
    found = []
    for place, cell in enumerate(cells, 1):
        keys = tuple(_key(source) for source in cell["sources"])
        lines = (f"c{place} · {cell['operation']}", str(cell["activation"]))
        told = _gate(weights[place], cell["sources"]) if place in weights else {}
        words = f"cell {place}: {cell['operation']} of {', '.join(keys)}, then {cell['activation']}"
        found.append(Node(f"c{place}", "cell", keys, lines, words, gate=told))
    return found


def _key(source: Content) -> str:
    return f"c{source['cell']}" if source.get("cell") is not None else f"{source['modality']}.{source['layer']}"


def _gate(gate: Content, sources: Sequence[Content]) -> dict[str, tuple[float, float, float]]:
    """(mean, low, high) by source; a source may be named as in an architecture's text, where odd names are quoted."""
    keys = {str(Source(**{k: v for k, v in source.items() if v is not None})): _key(source) for source in sources}
    triples = zip(gate["sources"], gate["mean"], gate["low"], gate["high"], strict=True)
    return {keys.get(name, name): (mean, low, high) for name, mean, low, high in triples}


def _heads(content: Content, source: str, row: int) -> Node:
    names = [task["name"] for task in content["tasks"]]
    shown = names if len(names) <= MOST_TARGETS else names[: MOST_TARGETS - 1]
    rest = (f"and {len(names) - len(shown)} more",) if len(shown) < len(names) else ()
    lines = ("target" if len(names) == 1 else "targets", *shown, *rest)
    return Node("heads", "target", (source,), lines, ", ".join(names), row)


def _drawn(content: Content, cells: Sequence[Node], words: str) -> Diagram:
    """Lay out columns, then row by row the nodes and the lines that enter them."""
    alone = cells[-1].kind == ""
    nodes = [] if alone else _in_rows(cells)
    last = max((node.row for node in nodes), default=-1) + 1
    nodes.append(_heads(content, cells[-1].sources[0] if alone else cells[-1].key, last))
    shown, left_out = _shown(content)
    sheet = Sheet({source: (node.key, node.row) for node in nodes for source in node.sources if "." not in source})
    _columns(sheet, shown, [(source, node.key, node.row) for node in nodes for source in node.sources], content["used"])
    for row in range(last + 1):
        _row(sheet, row, [node for node in nodes if node.row == row])
    return sheet.framed(words, left_out)


@dataclass
class Sheet:
    """What is drawn so far.

    Attributes:
        below: By cell, the node that reads it, and that node's row.
        boxes, wires: Drawn so far.
        lanes: Lines that have left their box.
        y: Where what is drawn ends.
    """

    below: Mapping[str, tuple[str, int]]
    boxes: dict[str, Box] = field(default_factory=dict)
    wires: list[Wire] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    y: float = 0.0

    def put(self, node: Node, x: float, y: float) -> None:
        """Draw a node, from which a line goes down to what reads it."""
        height = CELL + LINE * max(0, len(node.lines) - 2)
        lines = tuple(fitted(line, node.width - 16) for line in node.lines)
        self.boxes[node.key] = Box(node.key, node.kind, x, y, node.width, height, lines, node.title)
        self.y = max(self.y, y + height)
        if node.key in self.below:
            middle = x + node.width / 2
            target, row = self.below[node.key]
            self.lanes.append(Lane(node.key, target, middle, row, ((middle, y + height),)))

    def framed(self, words: str, left_out: tuple[str, ...]) -> Diagram:
        """All of it, moved so that it begins at the padding."""
        boxes = self.boxes.values()
        points = [point[0] for wire in self.wires for point in wire.points]
        low = min([box.x for box in boxes] + points) - PADDING
        high = max([box.x + box.width for box in boxes] + points) + PADDING
        moved = tuple(replace(box, x=box.x - low, y=box.y + PADDING) for box in boxes)
        wires = tuple(
            replace(wire, points=tuple((x - low, y + PADDING) for x, y in wire.points)) for wire in self.wires
        )
        return Diagram(high - low, self.y + 2 * PADDING, moved, wires, words, left_out)


def _in_rows(cells: Sequence[Node]) -> list[Node]:
    """Every cell one row above the cell that reads it, so that lines between cells pass no box."""
    below = {source: cell.key for cell in cells for source in cell.sources}
    depth: dict[str, int] = {}
    for cell in reversed(cells):
        depth[cell.key] = depth.get(below.get(cell.key, ""), -1) + 1
    deepest = max(depth.values())
    return [replace(cell, row=deepest - depth[cell.key]) for cell in cells]


def _shown(content: Content) -> tuple[list[Content], tuple[str, ...]]:
    """Modalities that are drawn, in their order, and names of discarded ones that are not."""
    known = {modality["name"] for modality in content["modalities"]}
    every = [*content["modalities"], *({"name": n, "widths": []} for n in content["discarded"] if n not in known)]
    if len(every) <= MOST_COLUMNS:
        return every, ()
    used = [modality for modality in every if modality["name"] in content["used"]]
    return used, tuple(modality["name"] for modality in every if modality["name"] not in content["used"])


def _columns(
    sheet: Sheet, shown: Sequence[Content], readers: Sequence[tuple[str, str, int]], used: Sequence[str]
) -> None:
    """All columns, and lanes of all layers that are read; those run on the side of the middle."""
    sizes = _sizes([modality["name"] for modality in shown])
    read = {source for source, _, _ in readers}
    right = 0.0
    for place, modality in enumerate(shown):
        colour = place % COLOURS if modality["name"] in used else None
        column = list(_column(modality, read, sizes, colour))
        straight, sided = _leaving(column, readers)
        inner = place < len(shown) / 2
        room = sizes.aside + sizes.lane * len(sided)
        x = right if inner else right + room
        sheet.boxes |= {box.key: replace(box, x=x) for box in column}
        for number_of, (key, y, target, row) in enumerate(sided):
            away = sizes.aside + sizes.lane * (len(sided) - 1 - number_of)
            edge, at = (x + sizes.width, x + sizes.width + away) if inner else (x, x - away)
            sheet.lanes.append(Lane(key, target, at, row, ((edge, y), (at, y))))
        middle = x + sizes.width / 2
        sheet.lanes += [Lane(key, target, middle, row, ((middle, y),)) for key, y, target, row in straight]
        right = x + sizes.width + (room if inner else 0.0) + sizes.gutter - sizes.aside
        sheet.y = max(sheet.y, column[-1].y + column[-1].height)


def _sizes(names: Sequence[str]) -> Spacing:
    """Sizes for so many columns; names that run upwards have no more room than they need."""
    if len(names) <= MOST_WIDE:
        return WIDE
    return replace(NARROW, head=min(NARROW.head, max(map(breadth, names)) + 18))


Leaving = list[tuple[str, float, str, int]]
"""(layer, height, reader, row) of lines that leave a column."""


def _leaving(column: Sequence[Box], readers: Sequence[tuple[str, str, int]]) -> tuple[Leaving, Leaving]:
    """Lines that leave a column by its bottom, which is one at most, and sideways, from the top."""
    bottom: Leaving = []
    sided: Leaving = []
    for box in column:
        mine = [one for one in readers if one[0] == box.key]
        if box is column[-1] and len(mine) == 1:
            bottom.append((box.key, box.y + box.height, *mine[0][1:]))
            continue
        for place, (key, target, row) in enumerate(mine):
            sided.append((key, box.y + box.height * (place + 1) / (len(mine) + 1), target, row))
    return bottom, sided


def _column(modality: Content, read: set[str], sizes: Spacing, colour: int | None) -> Iterator[Box]:
    """The name of a modality, then its layers from the top."""
    name, widths = modality["name"], modality["widths"]
    under = str(modality.get("kind", "")) if colour is not None else "discarded"
    under = under if widths else f"{under}, no network"
    narrow = sizes.width == NARROW.width
    room = NARROW.head - 18 if narrow else sizes.width + 16
    lines = (fitted(name, room), fitted(under, room))
    kind = "upright" if narrow else "name"
    yield Box(f"{name}:", kind, 0.0, 0.0, sizes.width, sizes.head - 6, lines, f"{name}, {under}", colour=colour)
    for place, (first, end) in enumerate(_runs(name, len(widths), read)):
        y = sizes.head + place * STEP
        if end - first > 1:
            words = f"{name}, layers {first} to {end - 1}: not read"
            label = "…" if narrow else f"{first} to {end - 1}"
            yield Box(f"{name}.{first}", "more", 0.0, y, sizes.width, LAYER, (label,), words)
            continue
        what = "near-raw" if first == 0 else "outputs" if first == len(widths) - 1 else "hidden"
        is_read = f"{name}.{first}" in read
        words = f"{name}, layer {first}: {what}, {widths[first]:,} wide, {'read' if is_read else 'not read'}"
        label, aside = str(first) if narrow else f"{first} {what}", f"{widths[first]:,}"
        aside = aside if breadth(label + aside) + 24 <= sizes.width else ""
        kind = "read" if is_read else "layer"
        yield Box(f"{name}.{first}", kind, 0.0, y, sizes.width, LAYER, (label,), words, aside, colour)


def _runs(name: str, layers: int, read: set[str]) -> list[tuple[int, int]]:
    """Layers that are drawn as one box: each alone, but in deep networks runs that are not read together."""
    if layers <= MOST_LAYERS:
        return [(layer, layer + 1) for layer in range(layers)]
    kept = [n for n in range(layers) if n in (0, layers - 1) or f"{name}.{n}" in read]
    found = []
    for layer, after in zip(kept, [*kept[1:], layers], strict=True):
        found.append((layer, layer + 1))
        if after - layer > 1:
            found.append((layer + 1, after))
    return found


def _row(sheet: Sheet, row: int, nodes: Sequence[Node]) -> None:
    """Place a row of nodes below what is drawn, and draw the lines that enter it."""
    lefts = places({node.key: node.width for node in nodes}, row, sheet.lanes)
    used: list[list[Point]] = []
    entered = []
    for node in sorted(nodes, key=lambda node: lefts[node.key]):
        mine = [lane for lane in sheet.lanes if lane.target == node.key]
        entered += [(node, entry) for entry in entries(lefts[node.key], node.width, mine, node.gap, used)]
    first = sheet.y + ABOVE
    top = first + TRACK * len(used) + (BELOW_LABELS if any(node.gate for node in nodes) else ABOVE)
    for node, entry in entered:
        lane = entry.lane
        level = first + TRACK * entry.track
        bend = () if entry.straight else ((lane.x, level), (entry.port, level))
        points = (*lane.start, *bend, (entry.port, top))
        sheet.wires.append(_wire(node, lane.source, points, sheet.boxes[lane.source].colour))
    for node in nodes:
        sheet.put(node, lefts[node.key], top)


def _wire(node: Node, source: str, points: tuple[Point, ...], colour: int | None) -> Wire:
    if source not in node.gate:
        return Wire(source, node.key, points, colour, THIN, "", "")
    mean, low, high = node.gate[source]
    title = (
        f"{source} into {node.key}: mean weight {number(mean, 2)}; "
        f"on 80 % of the validation rows from {number(low, 2)} to {number(high, 2)}"
    )
    return Wire(source, node.key, points, colour, round(THIN + 5 * mean, 2), number(mean, 2), title)
