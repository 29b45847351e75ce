"""Each operation against its formula in NumPy, float64, and cells and networks with every operation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from plait.encoders import HiddenStates
from plait.fusion import OPERATIONS, Architecture, Cell, FusionNetwork, Source
from plait.fusion.network import ACTIVATIONS, FusionCell
from plait.fusion.operations.gate import Gate
from plait.fusion.operations.low_rank import RANK, LowRank
from plait.fusion.operations.tensor import MOST_COLUMNS, MOST_ENTRIES, TensorFusion
from plait.tasks import Task
from plait.training.loop import seeded_build

WIDTH, ROWS = 6, 17
NAMES = list(OPERATIONS)
SOURCES = (4, 2, 5)
"""Widths of the sources."""


def problem(count: int = 3, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Sources, one [B, width] each, and presence [S, B], in which every pattern of up to four sources stands."""
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=(ROWS, SOURCES[i % 3])) for i in range(count)]
    patterns = list(itertools.product([True, False], repeat=count))
    return inputs, np.array([patterns[row % len(patterns)] for row in range(ROWS)]).T


def cell_of(name: str, count: int = 3, activation: str = "identity") -> FusionCell:
    """A cell of float64 with random values in all its parameters."""
    sources = tuple(Source(modality=f"m{i}", layer=0) for i in range(count))
    widths = [SOURCES[i % 3] for i in range(count)]
    with seeded_build(1, "operations", name):
        made = FusionCell(Cell(sources=sources, operation=name, activation=activation), widths, WIDTH).double()
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
    return made


def answer(cell: FusionCell, inputs: list[np.ndarray], present: np.ndarray) -> np.ndarray:
    found, anything = cell([torch.from_numpy(one) for one in inputs], list(torch.from_numpy(present)))
    assert anything.tolist() == present.any(axis=0).tolist()
    return found.detach().numpy()


def parts(cell: FusionCell, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """u_s = W_s x_s + b_s, [B, C] each."""
    return [
        one @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        for one, layer in zip(inputs, cell.projections, strict=True)
    ]


def own(cell: FusionCell, name: str) -> np.ndarray:
    return cell.own[name].detach().numpy()


def concat(cell, inputs, present):
    """One linear layer over the concatenation; where a source is absent, a learned vector for its part."""
    whole = np.concatenate([layer.weight.detach().numpy() for layer in cell.projections], axis=1)
    rows = []
    for row in range(ROWS):
        kept = [one[row] * there for one, there in zip(inputs, present[:, row], strict=True)]
        biases = [
            layer.bias.detach().numpy() if there else vector
            for layer, there, vector in zip(cell.projections, present[:, row], own(cell, "absent"), strict=True)
        ]
        rows.append(whole @ np.concatenate(kept) + np.sum(biases, axis=0))
    return np.array(rows)


def over_present(combine):
    """A formula over the columns [n, C] of the n sources that a row has; 0 where there are none."""

    def reference(cell, inputs, present):
        columns = np.stack(parts(cell, inputs))
        return np.array(
            [
                combine(columns[present[:, row], row]) if present[:, row].any() else np.zeros(WIDTH)
                for row in range(ROWS)
            ]
        )

    return reference


def low_rank(columns):
    found = np.zeros(WIDTH)
    for rank in range(RANK):
        found += np.prod(columns[:, rank * WIDTH : (rank + 1) * WIDTH], axis=0)
    return found


def gate(columns):
    weights = np.exp(columns[:, -1])
    return (weights / weights.sum()) @ columns[:, :-1]


def tensor(cell, inputs, present):
    """sum_{ijk} W[i, j, k, :] [u_1; 1]_i [u_2; 1]_j [u_3; 1]_k; of an absent source the 1 is left."""
    padded = [
        np.concatenate([one * there[:, None], np.ones((ROWS, 1))], axis=1)
        for one, there in zip(parts(cell, inputs), present, strict=True)
    ]
    k = padded[0].shape[1]
    letters = "ijklmn"[: len(padded)]
    weight = own(cell, "weight").reshape(*[k] * len(padded), WIDTH)
    return np.einsum(f"{','.join('b' + one for one in letters)},{letters}w->bw", *padded, weight)


REFERENCES = {
    "concat": concat,
    "product": over_present(lambda columns: np.prod(columns, axis=0)),
    "low-rank": over_present(low_rank),
    "tensor": tensor,
    "gate": over_present(gate),
    "max": over_present(lambda columns: np.max(columns, axis=0)),
    "mean": over_present(lambda columns: np.mean(columns, axis=0)),
}


def test_every_operation_has_a_reference() -> None:
    assert set(REFERENCES) == set(OPERATIONS)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_formula(name, count) -> None:
    cell, (inputs, present) = cell_of(name, count), problem(count)
    expected = REFERENCES[name](cell, inputs, present)
    some = present.any(axis=0)
    assert some.sum() >= ROWS // 2
    assert (~some).any()
    found = answer(cell, inputs, present)
    np.testing.assert_allclose(found[some], expected[some], rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(found[~some], np.broadcast_to(cell.empty.detach().numpy(), found[~some].shape))


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("name", NAMES)
def test_the_activation_comes_last_also_for_the_empty_cell(name, activation) -> None:
    inputs, present = problem()
    plain = answer(cell_of(name), inputs, present)
    done = {
        "relu": np.maximum(plain, 0), "sigmoid": 1 / (1 + np.exp(-plain)), "tanh": np.tanh(plain), "identity": plain,
    }  # fmt: skip
    np.testing.assert_allclose(answer(cell_of(name, activation=activation), inputs, present), done[activation])


def everywhere(count: int = 3) -> np.ndarray:
    return np.ones((count, ROWS), bool)


def test_low_rank_is_a_linear_layer_over_the_outer_product_of_all_sources() -> None:
    """The weight tensor of rank R is built whole: sum_r of outer products of the rows [W_s^(r), b_s^(r)]."""
    cell, (inputs, _) = cell_of("low-rank"), problem()
    factors = []  # per source [R, W, d_s + 1]
    for layer in cell.projections:
        full = np.concatenate([layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None]], axis=1)
        factors.append(full.reshape(RANK, WIDTH, -1))
    weight = np.einsum("rwi,rwj,rwk->wijk", *factors)
    flat = weight.reshape(WIDTH, -1)
    padded = [np.concatenate([one, np.ones((ROWS, 1))], axis=1) for one in inputs]
    outer = np.einsum("bi,bj,bk->bijk", *padded).reshape(ROWS, -1)
    np.testing.assert_allclose(answer(cell, inputs, everywhere()), outer @ flat.T, rtol=1e-10, atol=1e-10)


def test_tensor_fusion_is_low_rank_fusion_at_full_rank() -> None:
    """Columns of every rank are written down that reproduce a given weight tensor."""
    k, sources = 3, 3
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(sources, ROWS, k))
    present = rng.random((sources, ROWS)) < 0.7
    present[:, 0] = True
    weight = rng.normal(size=(*[k + 1] * sources, WIDTH))
    expected = TensorFusion().combine(
        torch.from_numpy(columns).unbind(),
        torch.from_numpy(present),
        {"weight": torch.from_numpy(weight.reshape(-1, WIDTH))},
    )
    # One rank for every entry (i, j, l): the product of the three picked numbers, the weight in the first factor.
    padded = np.concatenate([np.where(present[..., None], columns, 0), np.ones((sources, ROWS, 1))], axis=2)
    ranks = list(itertools.product(range(k + 1), repeat=sources))
    low = np.ones((sources, ROWS, len(ranks), WIDTH))
    for rank, entry in enumerate(ranks):
        for source, place in enumerate(entry):
            low[source, :, rank] = padded[source, :, place, None]
        low[0, :, rank] *= weight[entry]
    found = LowRank(rank=len(ranks)).combine(
        torch.from_numpy(low.reshape(sources, ROWS, -1)).unbind(), torch.ones(sources, ROWS, dtype=torch.bool), {}
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sources", range(1, TensorFusion.most_sources + 1))
def test_the_outer_product_is_as_large_as_it_may_be(sources) -> None:
    k = TensorFusion().columns(64, sources)
    assert 1 <= k <= MOST_COLUMNS
    assert (k + 1) ** sources <= MOST_ENTRIES
    assert k == MOST_COLUMNS or (k + 2) ** sources > MOST_ENTRIES
    assert TensorFusion().weights(64, sources) == {"weight": ((k + 1) ** sources, 64)}


def test_shares_of_a_gate() -> None:
    rng = np.random.default_rng(0)
    columns, (_, present) = torch.from_numpy(rng.normal(size=(3, ROWS, WIDTH + 1)) * 3), problem()
    shares = Gate().shares(columns.unbind(), torch.from_numpy(present)).numpy()
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    some = present.any(axis=0)
    assert (shares[:, some] > 0).tolist() == present[:, some].tolist()
    np.testing.assert_allclose(shares[:, ~some], 1 / 3)  # whatever stands in the absent columns
    logits = np.where(present, columns[..., -1].numpy(), -np.inf)[:, some]
    np.testing.assert_allclose(shares[:, some], np.exp(logits) / np.exp(logits).sum(axis=0))


def test_a_gate_follows_its_logits_however_large() -> None:
    columns = torch.tensor([[[1.0, 1e4]], [[2.0, -1e4]], [[3.0, 0.0]]])
    everything = torch.ones(3, 1, dtype=torch.bool)
    assert Gate().combine(columns.unbind(), everything, {}).tolist() == [[1.0]]
    everything[0] = False
    assert Gate().combine(columns.unbind(), everything, {}).tolist() == [[3.0]]


def test_mean_is_the_sum_over_their_number_and_concat_where_nothing_is_absent() -> None:
    inputs, present = problem()
    added, mean = cell_of("concat"), cell_of("mean")
    mean.load_state_dict({name: value for name, value in added.state_dict().items() if name != "own.absent"})
    whole = answer(mean, inputs, everywhere())
    np.testing.assert_allclose(answer(added, inputs, everywhere()) / 3, whole, rtol=1e-12, atol=1e-12)
    differs = ~np.isclose(answer(added, inputs, present) / 3, answer(mean, inputs, present)).all(axis=1)
    some = present.any(axis=0)
    assert differs[some].tolist() == (~present.all(axis=0))[some].tolist()


def test_a_source_that_is_absent_everywhere_is_as_good_as_left_out() -> None:
    """Of all operations whose columns do not go by the number of sources, but concat, which learns a vector for it."""
    rng = np.random.default_rng(3)
    for name in ("product", "low-rank", "gate", "max", "mean"):
        made = OPERATIONS[name]()
        columns = torch.from_numpy(rng.normal(size=(3, ROWS, made.columns(WIDTH, 3))))
        present = torch.ones(3, ROWS, dtype=torch.bool)
        present[1] = False
        kept = made.combine(columns[[0, 2]].unbind(), present[[0, 2]], {})
        torch.testing.assert_close(made.combine(columns.unbind(), present, {}), kept, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["product", "low-rank"])
def test_many_sources_do_not_kill_a_fresh_product(name) -> None:
    with seeded_build(0, "many"):
        cell = FusionCell(Cell(sources=tuple(Source(modality=f"m{i}", layer=0) for i in range(12)), operation=name,
                               activation="identity"), [32] * 12, 16)  # fmt: skip
        inputs = [torch.randn(200, 32) for _ in range(12)]
    found, _ = cell(inputs, [torch.ones(200, dtype=torch.bool)] * 12)
    assert 0.05 < float(found.detach().abs().median()) < 5
    assert float(found.detach().mean()) == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_a_cell_are_right(name) -> None:
    """Against differences, with absences; `max` has no ties here."""
    cell, (inputs, present) = cell_of(name, 2), problem(2)
    masks = list(torch.from_numpy(present[:, :4]))
    given = tuple(torch.from_numpy(one[:4]).requires_grad_() for one in inputs)
    assert torch.autograd.gradcheck(lambda *values: cell(values, masks)[0], given)
    cell(given, masks)[0].square().sum().backward()
    for parameter in cell.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())


# Networks

TASKS = (Task(name="size", kind="regression", label_type="float", prior=(0.0,)),)
WIDTHS = {"image": (4, 5, 3), "sound": (2, 6, 3), "text": (3, 4, 1)}


def states(seed: int = 0) -> dict[str, HiddenStates]:
    random = torch.Generator().manual_seed(seed)
    return {n: HiddenStates(tuple(torch.randn(ROWS, w, generator=random) for w in ws)) for n, ws in WIDTHS.items()}


def presence() -> dict[str, torch.Tensor]:
    return dict(zip(WIDTHS, torch.from_numpy(problem()[1]), strict=True))


def network(architecture: Architecture, seed: int = 0) -> FusionNetwork:
    with seeded_build(seed, "network"):
        return FusionNetwork(architecture, WIDTHS, TASKS, width=WIDTH).eval()


def deep(name: str) -> Architecture:
    """Two cells of one operation: the second reads the first."""
    return Architecture.parse(
        f"c1 = relu({name}(image.1, sound.2)); c2 = tanh({name}(image.0, text.1, c1))"
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_two_cells(name) -> None:
    made, given, masks = network(deep(name)), states(), presence()
    for cell in made.cells:
        torch.nn.init.normal_(cell.empty)
    first, second = made.cells
    inner, some = first([given["image"].layers[1], given["sound"].layers[2]], [masks["image"], masks["sound"]])
    outer, _ = second(
        [given["image"].layers[0], given["text"].layers[1], inner], [masks["image"], masks["text"], some]
    )  # fmt: skip
    torch.testing.assert_close(made(given, masks)["size"], made.heads[0](outer))
    nothing = ~torch.stack(list(masks.values())).any(dim=0)
    assert int(nothing.sum()) == 2
    torch.testing.assert_close(outer[nothing], torch.tanh(second.empty).expand(2, -1))
    no_inner = ~some & ~nothing
    assert bool(no_inner.any())
    torch.testing.assert_close(inner[no_inner], torch.relu(first.empty).expand_as(inner[no_inner]))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_program_and_seed_are_the_same_network(name) -> None:
    image, sound = Source(modality="image", layer=1), Source(modality="sound", layer=2)
    made = [
        network(Architecture(cells=(Cell(sources=order, operation=name),)))
        for order in ((image, sound), (sound, image))
    ]
    assert all(torch.equal(one, two) for one, two in zip(*(m.state_dict().values() for m in made), strict=True))
    answers = [one(states(), presence())["size"] for one in made]
    assert torch.equal(*answers)
    other = network(made[0].architecture, seed=1)(states(), presence())["size"]
    assert not torch.equal(other, answers[0])


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(name) -> None:
    made, other = network(deep(name)), network(deep(name), seed=1)
    made.set_moments({source: (torch.full((WIDTHS[source[0]][source[1]],), 0.5),) * 2 for source in made.sources})
    expected = made(states(), presence())["size"]
    assert not torch.equal(other(states(), presence())["size"], expected)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(states(), presence())["size"], expected)


def test_gate_shares_of_a_network() -> None:
    text = "c1 = relu(gate(image.1, sound.2)); c2 = relu(concat(sound.1)); c3 = tanh(gate(text.1, c1, c2))"
    made = network(Architecture.parse(text))
    order = [str(cell) for cell in made.architecture.cells]
    gates = [number for number, text in enumerate(order, 1) if "gate" in text]
    assert gates == [2, 3]  # canonical order: the concat cell comes first
    given, masks = states(), presence()
    told = made.gate_shares(given, masks)
    assert list(told) == gates
    assert [tuple(share.shape) for share in told.values()] == [(2, ROWS), (3, ROWS)]
    for share in told.values():
        torch.testing.assert_close(share.sum(dim=0), torch.ones(ROWS))
    # The first gate by hand: logits are the last column of each projection.
    logits = [
        layer(given[name].layers[at])[:, -1]
        for layer, (name, at) in zip(made.cells[1].projections, (("image", 1), ("sound", 2)), strict=True)
    ]
    both = masks["image"] & masks["sound"]
    assert bool(both.any())
    torch.testing.assert_close(told[2][:, both], torch.stack(logits)[:, both].softmax(dim=0))
    alone = masks["image"] & ~masks["sound"]
    assert told[2][:, alone].T.tolist() == [[1.0, 0.0]] * int(alone.sum())
    # The last gate: an empty earlier cell counts for nothing.
    some = torch.stack(list(masks.values())).any(dim=0)
    present = torch.stack([masks["text"], masks["sound"], masks["image"] | masks["sound"]])
    assert ((told[3] > 0) == present)[:, some].all()


def test_a_network_without_gates_has_no_shares() -> None:
    assert network(deep("concat")).gate_shares(states(), presence()) == {}
