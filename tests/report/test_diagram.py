"""The drawing of an architecture: boxes apart, lines that end where they should and pass no box, all inside."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from contents import HOSTILE, class_task, content, modality, number_task, row
from hypothesis import given, settings
from hypothesis import strategies as st
from searches import found, some_modalities, tree
from test_page import Page, page_of

from plait.fusion.architecture import Architecture
from plait.report.diagram import Box, Diagram, Wire, diagrams
from plait.report.figures import breadth
from plait.report.page import render

ODD = ("<b>", 'say "x"', "a & b", "画像データ" * 12, "صورة", "e\u0301" * 30, "x.1", "c1", "heads", " ", "w" * 400)

Segment = tuple[tuple[float, float], tuple[float, float]]


def segments(wire: Wire) -> Iterator[Segment]:
    """The straight pieces of a line."""
    for one, other in zip(wire.points, wire.points[1:], strict=False):
        yield (min(one[0], other[0]), min(one[1], other[1])), (max(one[0], other[0]), max(one[1], other[1]))


def meets(segment: Segment, box: Box) -> bool:
    """Whether a piece of a line is inside a box, its edge apart."""
    (left, top), (right, bottom) = segment
    inside = left < box.x + box.width - 0.01 and right > box.x + 0.01
    return inside and top < box.y + box.height - 0.01 and bottom > box.y + 0.01


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share a point."""
    apart = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not (apart or one.y + one.height <= other.y or other.y + other.height <= one.y)


def share(one: Segment, other: Segment) -> bool:
    """Whether two pieces run on top of each other."""
    for across, along in ((0, 1), (1, 0)):
        flat = one[0][across] == one[1][across] and other[0][across] == other[1][across]
        near = abs(one[0][across] - other[0][across]) < 3
        length = min(one[1][along], other[1][along]) - max(one[0][along], other[0][along])
        if flat and near and length > 0.01:
            return True
    return False


def check(drawing: Diagram) -> None:
    """All laws of a drawing."""
    boxes = {box.key: box for box in drawing.boxes}
    assert len(boxes) == len(drawing.boxes)
    assert not [(one.key, other.key) for one, other in combinations(drawing.boxes, 2) if overlap(one, other)]
    for box in drawing.boxes:
        assert 0 <= box.x <= box.x + box.width <= drawing.width
        assert 0 <= box.y <= box.y + box.height <= drawing.height
    for wire in drawing.wires:
        source, target = boxes[wire.source], boxes[wire.target]
        (x, y), (port, top) = wire.points[0], wire.points[-1]
        assert y == pytest.approx(source.y + source.height) or x in (
            pytest.approx(source.x), pytest.approx(source.x + source.width),
        )  # fmt: skip
        assert source.x - 0.01 <= x <= source.x + source.width + 0.01
        assert source.y <= y <= source.y + source.height + 0.01
        assert top == pytest.approx(target.y)
        assert target.x < port < target.x + target.width
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in wire.points)
        assert not [(wire, box.key) for piece in segments(wire) for box in drawing.boxes if meets(piece, box)]
    pieces = [(number, piece) for number, wire in enumerate(drawing.wires) for piece in segments(wire)]
    assert not [(a, b) for (i, a), (j, b) in combinations(pieces, 2) if i != j and share(a, b)]
    labels = [wire.points[-1] for wire in drawing.wires if wire.label]
    assert all(abs(a[0] - b[0]) >= 30 for a, b in combinations(labels, 2) if a[1] == b[1])


def box_at(x: float, y: float) -> Box:
    return Box(f"{x} {y}", "cell", x, y, 10, 10, (), "")


def test_the_laws_can_be_broken() -> None:
    assert overlap(box_at(0, 0), box_at(9, 9))
    assert not overlap(box_at(0, 0), box_at(10, 0))
    assert meets(((-5, 5), (5, 5)), box_at(0, 0))
    assert not meets(((-5, 5), (0, 5)), box_at(0, 0))
    assert share(((0, 0), (0, 9)), ((1, 8), (1, 20)))
    assert not share(((0, 0), (0, 9)), ((0, 9), (0, 20)))
    wire = Wire("0 0", "0 40", ((5.0, 10.0), (5.0, 39.0)), None, 1.0, "", "")
    with pytest.raises(AssertionError):
        check(Diagram(50, 50, (box_at(0, 0), box_at(0, 40)), (wire,), "", ()))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 24), st.integers(2, 14), st.integers(1, 5), st.booleans(), st.integers(0, 10**6))
def test_any_tree_over_any_modalities_is_drawn_by_the_laws(
    count: int, layers: int, cells: int, every: bool, seed: int
) -> None:
    modalities = some_modalities(count, layers)
    architecture = tree(random.Random(seed), modalities, cells, every)
    (drawing,) = diagrams(found(architecture, modalities))
    check(drawing)
    edges = {
        (f"c{source.cell}" if source.cell else f"{source.modality}.{source.layer}", f"c{number}")
        for number, cell in enumerate(architecture.cells, 1)
        for source in cell.sources
    }
    assert {(wire.source, wire.target) for wire in drawing.wires} == edges | {(f"c{len(architecture.cells)}", "heads")}
    read = {source for source, _ in edges if not source.startswith("c")}
    assert {box.key for box in drawing.boxes if box.kind == "read"} == read
    gates = {f"c{number}" for number, cell in enumerate(architecture.cells, 1) if cell.operation == "gate"}
    assert {wire.target for wire in drawing.wires if wire.label} == gates
    assert {box.key for box in drawing.boxes} >= {f"{name}:" for name in architecture.modalities}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(ODD), st.text(min_size=1)), min_size=1, max_size=5, unique=True))
def test_odd_names_are_text_and_cut(names: list[str]) -> None:
    modalities = [modality(name) for name in names]
    made = content(modalities=modalities, rows=[row("late product", "late", 0.9, chosen=True)])
    (drawing,) = diagrams(made)
    check(drawing)
    text = render(made)
    page = Page(text)
    assert page.count("b") >= 1
    assert page.count("script") == 0
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert all(breadth(line) <= box.width + 16 and len(line) <= 65 for box in drawing.boxes for line in box.lines)
    assert {f"{name}:" for name in names} <= {box.key for box in drawing.boxes}


def test_a_gate_tells_its_weights() -> None:
    modalities = some_modalities(2, names=("my image", 'so"und'))
    architecture = Architecture.parse('c1 = relu(gate(my image.3, "so\\"und".4)); c2 = tanh(gate(my image.1, c1))')
    made = found(architecture, modalities)
    (drawing,) = diagrams(made)
    assert {(wire.source, wire.label) for wire in drawing.wires if wire.label} == {
        ("my image.3", "0.33"), ('so"und.4', "0.67"), ("my image.1", "0.33"), ("c1", "0.67"),
    }  # fmt: skip
    thick = {wire.source: wire.width for wire in drawing.wires}
    assert thick['so"und.4'] > thick["my image.3"] > thick["c2"]
    page = page_of(made)
    assert ("title", "c1 into c2: mean weight 0.67; on 80 % of the validation rows from 0.40 to 0.87") in page.text
    assert "mean weights over validation rows" in page.words
    made["gates"] = None
    assert "mean weights" not in page_of(made).words


def test_cells_are_labelled_and_the_last_is_read_by_the_targets() -> None:
    modalities = some_modalities(3)
    architecture = Architecture.parse("c1 = relu(low-rank(image.3, sound.4)); c2 = concat(image.1, c1)")
    tasks = [class_task("ward", ["a", "b"]), number_task("price")]
    made = found(architecture, modalities) | {"tasks": tasks}
    made["metrics"], made["data"] = (content(tasks=tasks, modalities=modalities)[key] for key in ("metrics", "data"))
    (drawing,) = diagrams(made)
    boxes = {box.key: box.lines for box in drawing.boxes}
    assert boxes["c1"] == ("c1 · low-rank", "relu")
    assert boxes["c2"] == ("c2 · concat", "identity")
    assert boxes["heads"] == ("targets", "ward", "price")
    assert boxes["text:"] == ("text", "discarded")
    assert "The architecture that was found" in page_of(made).words


def test_late_fusion_reads_the_networks_outputs_by_a_box_of_its_name() -> None:
    (drawing,) = diagrams(content())
    assert [(wire.source, wire.target) for wire in drawing.wires] == [
        ("image.3", "c1"), ("sound.3", "c1"), ("c1", "heads"),
    ]  # fmt: skip
    assert next(box.lines for box in drawing.boxes if box.key == "c1") == ("late product", "late fusion")
    assert "How it decides" in page_of(content()).words


def test_one_modality_alone_has_no_box_between() -> None:
    rows = [row("image", "unimodal", 0.7, chosen=True), row("late mean", "late", 0.6)]
    (drawing,) = diagrams(content(rows=rows, used=["image"], discarded=["sound"]))
    check(drawing)
    assert [(wire.source, wire.target) for wire in drawing.wires] == [("image.3", "heads")]
    assert [box.lines[1] for box in drawing.boxes if box.kind == "name"] == ["vector", "discarded"]


def test_discarded_modalities_of_many_are_named_below() -> None:
    modalities = some_modalities(24)
    made = found(Architecture.parse("c1 = relu(concat(view 0.2, view 3.1))"), modalities)
    (drawing,) = diagrams(made)
    assert [box.lines[0] for box in drawing.boxes if box.kind == "name"] == ["view 0", "view 3"]
    assert len(drawing.left_out) == 22
    assert "22 discarded modalities: view 1 , view 2 , view 4" in page_of(made).words


def test_a_deep_network_is_drawn_short() -> None:
    modalities = [modality("text", widths=[8] * 26), modality("image")]
    (drawing,) = diagrams(found(Architecture.parse("c1 = relu(concat(text.12, image.1))"), modalities))
    check(drawing)
    lines = [box.lines[0] for box in drawing.boxes if box.key.startswith("text.")]
    assert lines == ["0 near-raw", "1 to 11", "12 hidden", "13 to 24", "25 outputs"]


def test_many_modalities_fit_the_page() -> None:
    modalities = some_modalities(24)
    made = found(tree(random.Random(3), modalities, 1, every=True), modalities)
    (drawing,) = diagrams(made)
    assert drawing.is_narrow
    assert drawing.width < 1300


def test_many_targets_and_a_source_that_is_gone() -> None:
    tasks: list[dict[str, Any]] = [number_task(f"{HOSTILE}{number}") for number in range(30)]
    made = content(tasks=tasks)
    cells = [{"sources": [{"modality": "gone", "layer": 1}, {"modality": "image", "layer": 1}], "operation": "concat"}]
    made["architectures"] = [{"text": "c1", "cells": [cells[0] | {"activation": "relu"}]}]
    (drawing,) = diagrams(made)
    check(drawing)
    assert drawing.boxes[-1].lines[-1] == "and 27 more"
    assert HOSTILE not in render(made)


def test_a_classical_model_reads_what_the_reader_says_or_the_last_hidden_layer() -> None:
    classical = {"family": "forest", "modalities": ["image", "sound"], "raw": ["sound"]}
    (drawn,) = diagrams(content(decision={"kind": "classical", "classical": classical}))
    last = len(modality("image")["widths"]) - 1
    assert {wire.source for wire in drawn.wires} >= {f"image.{last - 1}", "sound.0"}
    assert f"image.{last}" not in {wire.source for wire in drawn.wires}
