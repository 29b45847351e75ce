"""Fusion cells and networks, against linear layers and formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plait.encoders import HiddenStates
from plait.fusion import Architecture, Cell, FusionNetwork, Source
from plait.fusion.architecture import concat_of
from plait.fusion.network import ACTIVATIONS, FusionCell
from plait.tasks import Task
from plait.training.loop import seeded_build

TASKS = (
    Task(name="kind", kind="multiclass", label_type="str", classes=("a", "b", "c"), prior=(-1.1, -1.1, -1.1)),
    Task(name="size", kind="regression", label_type="float", prior=(0.0,)),
)
WIDTHS = {"image": (4, 5, 3), "sound": (2, 6, 3)}


def states(rows: int = 7, seed: int = 0) -> dict[str, HiddenStates]:
    random = torch.Generator().manual_seed(seed)
    return {n: HiddenStates(tuple(torch.randn(rows, w, generator=random) for w in ws)) for n, ws in WIDTHS.items()}


def presence(**masks: list[int]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(mask, dtype=torch.bool) for name, mask in masks.items()}


def everywhere(rows: int = 7) -> dict[str, torch.Tensor]:
    return {name: torch.ones(rows, dtype=torch.bool) for name in WIDTHS}


def network(architecture: Architecture, seed: int = 0) -> FusionNetwork:
    """A network with random values in the place of every zero it begins with."""
    with seeded_build(seed, "network"):
        made = FusionNetwork(architecture, WIDTHS, TASKS, width=8).eval()
        for cell in made.cells:
            torch.nn.init.normal_(cell.own["absent"])
            torch.nn.init.normal_(cell.empty)
    return made


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "identity"])
def test_concat_is_one_linear_layer_over_the_concatenation(activation) -> None:
    cell = FusionCell(Cell(sources=(Source(modality="a", layer=0),) * 3, activation=activation), (4, 2, 5), 6)
    sources = [torch.randn(9, width) for width in (4, 2, 5)]
    whole = torch.nn.Linear(11, 6)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([part.weight for part in cell.projections], dim=1))
        whole.bias.copy_(sum(part.bias for part in cell.projections))
    found, anything = cell(sources, [torch.ones(9, dtype=torch.bool)] * 3)
    torch.testing.assert_close(found, ACTIVATIONS[activation](whole(torch.cat(sources, dim=1))))
    assert bool(anything.all())


def test_fresh_weights_are_as_those_of_one_linear_layer() -> None:
    cell = FusionCell(concat_of({"a": 0, "b": 0}).cells[0], (30, 70), 50)
    weights = torch.cat([part.weight.detach() for part in cell.projections], dim=1)
    assert float(weights.abs().max()) <= 0.1
    assert float(weights.std()) == pytest.approx(0.1 / 3**0.5, rel=0.05)
    for part in cell.projections:
        assert float(part.weight.detach().abs().max()) > 0.09


def test_absent_sources_are_replaced_by_learned_vectors() -> None:
    cell = network(concat_of({"image": 0, "sound": 0})).cells[0]
    image, sound = torch.randn(4, 4), torch.randn(4, 2)
    masks = presence(image=[1, 0, 1, 0], sound=[1, 1, 0, 0])
    found, anything = cell([image, sound], list(masks.values()))
    one, two = cell.projections
    expected = torch.stack(
        [
            one(image[0]) + two(sound[0]),
            cell.own["absent"][0] + two(sound[1]),
            one(image[2]) + cell.own["absent"][1],
            cell.empty,
        ]
    )
    torch.testing.assert_close(found, expected.relu())
    assert anything.tolist() == [True, True, True, False]


def test_what_stands_in_an_absent_place_does_not_matter() -> None:
    made, masks = network(concat_of({"image": 1, "sound": 1}, depth=2)), presence(image=[1, 0, 1], sound=[1, 1, 0])
    ordinary, other = states(3), states(3)
    for layer in other["image"].layers:
        layer[1] = 1e6
    for layer in other["sound"].layers:
        layer[2] = -1e6
    for name, expected in made(ordinary, masks).items():
        assert torch.equal(made(other, masks)[name], expected)


def test_absence_is_passed_on_from_cell_to_cell() -> None:
    inner = Cell(sources=(Source(modality="image", layer=0),))
    outer = Cell(sources=(Source(modality="sound", layer=1), Source(cell=1)), activation="tanh")
    made = network(Architecture(cells=(inner, outer)))
    given = states(3)
    found = made(given, presence(image=[1, 0, 0], sound=[1, 1, 0]))
    first, last = made.cells
    image, sound = given["image"].layers[0], given["sound"].layers[1]
    cell1 = first.projections[0](image[0]).relu()
    expected = torch.stack(
        [
            last.projections[0](sound[0]) + last.projections[1](cell1),
            last.projections[0](sound[1]) + last.own["absent"][1],
            last.empty,
        ]
    ).tanh()
    for head, task in zip(made.heads, TASKS, strict=True):
        torch.testing.assert_close(found[task.name], head(expected))


def test_nothing_present_gives_one_answer_for_all_rows() -> None:
    made = network(concat_of({"image": 2, "sound": 0}, depth=2))
    nowhere = {name: torch.zeros(7, dtype=torch.bool) for name in WIDTHS}
    for values in made(states(), nowhere).values():
        assert bool(values.isfinite().all())
        torch.testing.assert_close(values, values[:1].expand_as(values))


def test_hidden_states_are_standardised_by_training_moments() -> None:
    made, given = network(concat_of({"image": 1, "sound": 2})), states()
    moments = {source: (torch.randn(WIDTHS[source[0]][source[1]]), torch.rand(1) + 0.5) for source in made.sources}
    wide = {s: (mean, deviation.expand_as(mean)) for s, (mean, deviation) in moments.items()}
    plain = network(concat_of({"image": 1, "sound": 2}))
    made.set_moments(wide)
    scaled = {n: HiddenStates(tuple(layer.clone() for layer in one.layers)) for n, one in given.items()}
    for (name, layer), (mean, deviation) in wide.items():
        scaled[name].layers[layer].sub_(mean).div_(deviation)
    for name, values in made(given, everywhere()).items():
        torch.testing.assert_close(values, plain(scaled, everywhere())[name])


def test_moments_travel_in_the_state_dict() -> None:
    made = network(concat_of({"image": 1}))
    made.set_moments({("image", 1): (torch.arange(5.0), torch.arange(1.0, 6.0))})
    other = network(concat_of({"image": 1}), seed=1)
    other.load_state_dict(made.state_dict())
    for name, values in made(states(), everywhere()).items():
        assert torch.equal(other(states(), everywhere())[name], values)


def test_sources_are_read_once_each_and_unread_modalities_are_not_needed() -> None:
    twice = Architecture(
        cells=(
            Cell(sources=(Source(modality="image", layer=1),)),
            Cell(sources=(Source(modality="image", layer=1), Source(modality="image", layer=0), Source(cell=1))),
        )
    )
    made = network(twice)
    assert made.sources == [("image", 0), ("image", 1)]
    assert made.modalities == ("image",)
    given, present = states(), everywhere()
    found = made({"image": given["image"]}, {"image": present["image"]})
    assert {name: tuple(values.shape) for name, values in found.items()} == {"kind": (7, 3), "size": (7, 1)}


def test_dropout_is_for_training_only() -> None:
    made = network(concat_of({"image": 1, "sound": 1}))
    expected = made(states(), everywhere())["kind"]
    assert torch.equal(made(states(), everywhere())["kind"], expected)
    assert not torch.equal(made.train()(states(), everywhere())["kind"], expected)


@given(st.integers(0, 2**32 - 1))
def test_a_row_depends_on_itself_alone(seed) -> None:
    rng = np.random.default_rng(seed)
    made, given = network(concat_of({"image": 1, "sound": 2}, depth=2)), states(6, seed)
    masks = {name: torch.from_numpy(rng.random(6) < 0.7) for name in WIDTHS}
    together = made(given, masks)
    order = torch.from_numpy(rng.permutation(6))
    mixed = {name: HiddenStates(tuple(layer[order] for layer in one.layers)) for name, one in given.items()}
    apart = made(mixed, {name: mask[order] for name, mask in masks.items()})
    for name, values in together.items():
        torch.testing.assert_close(apart[name], values[order], atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter_and_stay_out_of_absent_rows() -> None:
    made, given = network(concat_of({"image": 1, "sound": 2})), states(4)
    for one in given.values():
        for layer in one.layers:
            layer.requires_grad_()
    masks = presence(image=[1, 0, 1, 0], sound=[1, 1, 0, 0])
    sum(values.square().sum() for values in made(given, masks).values()).backward()
    assert all(bool(parameter.grad.any()) for parameter in made.parameters())
    assert not bool(given["image"].layers[1].grad[[1, 3]].any())
    assert not bool(given["sound"].layers[2].grad[[2, 3]].any())
