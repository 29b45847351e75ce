"""A stack against each of its members alone, and against `FusionNetwork` trained by torch's own AdamW."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.batches import Rows, shuffled
from plait.encoders import HiddenStates
from plait.fusion import Architecture, FusionNetwork, FusionSpace
from plait.fusion.operations import OPERATIONS
from plait.fusion.stack import FusionStack, Member, Recipe, Sizes, StackFeed
from plait.fusion.stack.inputs import StackBatch, States
from plait.fusion.stack.weights import inherited, pieces_of, state_dict_of
from plait.tasks import TASK_KIND_REGISTRY, Task

TASKS = (
    Task(
        name="kind",
        kind="multiclass",
        label_type="str",
        classes=("a", "b", "c"),
        prior=(-1.1, -1.1, -1.1),
        class_weights=(0.5, 1.0, 3.0),
    ),
    Task(name="yes", kind="binary", label_type="bool", classes=("False", "True"), prior=(-0.7, -0.7), share=0.4),
    Task(name="size", kind="regression", label_type="float", prior=(0.0,)),
)
WIDTHS = {"image": (7, 5, 3), "sound": (2, 6, 3), "text": (4, 4)}
ROWS, WIDTH, STEPS = 90, 8, 50
SPACE = FusionSpace(
    {name: range(len(widths)) for name, widths in WIDTHS.items()},
    activations=("relu", "sigmoid", "tanh", "identity"),
)


def rows(gaps: bool, seed: int = 0, labels: float = 0.8) -> Rows:
    """Made rows; some lack a modality, some lack all, some lack a label."""
    rng = np.random.default_rng(seed)
    kind, sign = rng.integers(0, 3, ROWS), rng.integers(0, 2, ROWS)
    states = {
        name: (rng.normal(size=(ROWS, sum(widths))) + 0.5 * kind[:, None]).astype(np.float32)
        for name, widths in WIDTHS.items()
    }
    present = {name: rng.random(ROWS) < (0.7 if gaps else 2) for name in WIDTHS}
    targets = {
        "kind": np.where(rng.random(ROWS) < 0.05, -1, kind).astype(np.float32),
        "yes": sign.astype(np.float32),
        "size": rng.normal(size=ROWS).astype(np.float32),
    }
    labelled = {name: rng.random(ROWS) < labels for name in targets}
    return Rows(states, present, targets, labelled, np.arange(ROWS))


def moments_of(made: Rows) -> dict[tuple[str, int], tuple[torch.Tensor, torch.Tensor]]:
    found = {}
    for name, widths in WIDTHS.items():
        known = torch.from_numpy(made.inputs[name][made.present[name]])
        parts = torch.split(known, list(widths), dim=1)
        found |= {(name, at): (part.mean(0), part.std(0)) for at, part in enumerate(parts)}
    return found


def moments(made: Rows) -> Callable[[str, int], tuple[torch.Tensor, torch.Tensor]]:
    known = moments_of(made)
    return lambda name, layer: known[name, layer]


def sizes(made: Rows, width: int = WIDTH) -> Sizes:
    gaps = frozenset(name for name, mask in made.present.items() if not mask.all())
    return Sizes(WIDTHS, tuple(task.outputs for task in TASKS), width, gaps)


def rate(step: int) -> float:
    return 3e-3 * (1 - step / 200)


def batches(stack: FusionStack, made: Rows, first: int = 0, steps: int = STEPS, size: int = 16) -> list[StackBatch]:
    """The same batches for every stack."""
    positions: list[np.ndarray] = []
    epoch = 0
    while len(positions) < first + steps:
        positions += shuffled(len(made), size, 0, epoch)
        epoch += 1
    return list(StackFeed(stack.layout, States(made, WIDTHS, moments(made))).batches(positions[first : first + steps]))


def trained(stack: FusionStack, made: Rows, first: int = 0, steps: int = STEPS) -> torch.Tensor:
    """Losses [steps, members]."""
    return torch.stack([stack.step(batch, rate) for batch in batches(stack, made, first, steps)])


def everything(stack: FusionStack, made: Rows) -> torch.Tensor:
    """Outputs [members, outputs, rows] on all rows."""
    feed = StackFeed(stack.layout, States(made, WIDTHS, moments(made)))
    return torch.cat([stack.outputs(batch).clone() for batch in feed.batches([np.arange(ROWS)])], dim=2)


def mixed(count: int, seed: int = 0) -> list[Architecture]:
    """Architectures of the whole space, every operation among them."""
    rng = np.random.default_rng(seed)
    found = [SPACE.sample(rng, level) for level in (1, 2, 3) for _ in range(count // 3 + 1)][:count]
    used = {cell.operation for one in found for cell in one.cells}
    assert used == set(OPERATIONS) or count < 30
    return found


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_member_of_a_stack_of_64_is_what_it_is_alone(gaps: bool, dropout: float) -> None:
    made, recipe = rows(gaps), Recipe(dropout=dropout)
    architectures = mixed(64)
    many = FusionStack([Member(one) for one in architectures], sizes(made), TASKS, recipe)
    losses = trained(many, made)
    outputs = everything(many, made)
    for number, (architecture, after) in enumerate(zip(architectures, many.members(), strict=True)):
        alone = FusionStack([Member(architecture)], sizes(made), TASKS, recipe)
        close(losses[:, number], trained(alone, made)[:, 0])
        (own,) = alone.members()
        close(after.weights, own.weights)
        close(after.moments, own.moments)
        torch.testing.assert_close(outputs[number], everything(alone, made)[0], atol=1e-3, rtol=1e-3)
        assert after.steps == own.steps == STEPS


class Reference:
    """`FusionNetwork` and torch's AdamW, written out."""

    def __init__(self, member: Member, made: Rows, recipe: Recipe) -> None:
        self.network = FusionNetwork(member.architecture, WIDTHS, TASKS, width=WIDTH, dropout=0.0)
        self.network.set_moments(moments_of(made))
        pieces = pieces_of(member.architecture, sizes(made))
        state = state_dict_of(pieces, member.fresh(sizes(made)).weights)
        missing, unexpected = self.network.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(name.startswith(("mean_", "deviation_")) for name in missing)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=recipe.weight_decay)
        self.recipe, self.made = recipe, made

    def outputs(self, positions: np.ndarray) -> dict[str, torch.Tensor]:
        batch = self.made.batch(positions)
        states = {
            name: HiddenStates(torch.split(batch.inputs[name], list(widths), dim=1)) for name, widths in WIDTHS.items()
        }
        return self.network(states, batch.present)

    def step(self, positions: np.ndarray, learning_rate: float) -> float:
        batch, outputs = self.made.batch(positions), self.outputs(positions)
        loss = torch.zeros(())
        for task in TASKS:
            weights = batch.labelled[task.name].float()
            if task.class_weights:
                weights = weights * torch.tensor(task.class_weights)[batch.targets[task.name].long().clamp(min=0)]
            if weights.any():
                found = TASK_KIND_REGISTRY[task.kind].loss(outputs[task.name], batch.targets[task.name])
                loss = loss + task.share * (found * weights).sum() / weights.sum()
        self.optimizer.param_groups[0]["lr"] = learning_rate
        for parameter in self.network.parameters():  # what a batch says nothing of still decays, as in the stack
            parameter.grad = torch.zeros_like(parameter)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        return float(loss.detach())


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_a_stack_learns_as_networks_do_one_by_one(gaps: bool) -> None:
    made, recipe = rows(gaps), Recipe(dropout=0.0)
    members = [Member(one) for one in mixed(40, seed=1)]
    stack = FusionStack(members, sizes(made), TASKS, recipe)
    losses, outputs = trained(stack, made), everything(stack, made)
    positions = [p for epoch in range(20) for p in shuffled(ROWS, 16, 0, epoch)][:STEPS]
    for number, member in enumerate(members):
        reference = Reference(member, made, recipe)
        wanted = [reference.step(p, rate(at)) for at, p in enumerate(positions)]
        torch.testing.assert_close(losses[:, number], torch.tensor(wanted), atol=1e-4, rtol=1e-4)
        told = torch.cat(list(reference.outputs(np.arange(ROWS)).values()), dim=1).T
        torch.testing.assert_close(outputs[number], told, atol=1e-3, rtol=1e-3)


def test_fresh_weights_begin_where_networks_begin() -> None:
    made = rows(False)
    for architecture in mixed(12):
        pieces = pieces_of(architecture, sizes(made))
        network = FusionNetwork(architecture, WIDTHS, TASKS, width=WIDTH)
        assert {name: tuple(p.shape) for name, p in network.named_parameters()} == {
            name: piece.shape for name, piece in pieces.items()
        }
        fresh = state_dict_of(pieces, Member(architecture).fresh(sizes(made)).weights)
        for name, parameter in network.named_parameters():
            piece = pieces[name]
            for values in (parameter.detach(), fresh[name]):
                assert float((values - piece.centre).abs().max()) <= piece.bound + 1e-6
            if piece.bound and piece.size > 20:
                assert float(fresh[name].std()) == pytest.approx(float(parameter.detach().std()), rel=0.6)


def test_a_stack_of_mixed_ages() -> None:
    made = rows(True)
    architectures = mixed(12, seed=2)
    old = FusionStack([Member(one) for one in architectures[:6]], sizes(made), TASKS)
    trained(old, made, 0, 20)
    young = [Member(one) for one in architectures[6:]]
    both = FusionStack([*young, *old.members()], sizes(made), TASKS)
    losses = trained(both, made, 20, 30)
    close(losses[:, 6:], trained(old, made, 20, 30))
    close(losses[:, :6], trained(FusionStack(young, sizes(made), TASKS), made, 20, 30))
    assert [member.steps for member in both.members()] == [30] * 6 + [50] * 6


def test_a_neighbour_that_is_no_number_disturbs_nobody() -> None:
    made = rows(True)
    members = [Member(one) for one in mixed(16, seed=3)]
    healthy = FusionStack(members, sizes(made), TASKS)
    stack = FusionStack(members, sizes(made), TASKS)
    wanted = trained(healthy, made)
    first = trained(stack, made, 0, 20)
    ill = stack.members()
    ill[5] = replace(ill[5], weights=ill[5].weights * float("nan"))
    rest = trained(FusionStack(ill, sizes(made), TASKS), made, 20, 30)
    assert bool(rest[:, 5].isnan().all())
    others = [number for number in range(16) if number != 5]
    close(torch.cat([first, rest])[:, others], wanted[:, others])


def test_survivors_go_on_as_if_nothing_had_happened() -> None:
    made = rows(False)
    stack = FusionStack([Member(one) for one in mixed(20, seed=4)], sizes(made), TASKS)
    trained(stack, made, 0, 20)
    kept = [17, 3, 4, 11]
    survivors = stack.take(kept)
    for one, other in zip(survivors.members(), [stack.members()[at] for at in kept], strict=True):
        assert torch.equal(one.weights, other.weights)
        assert torch.equal(one.moments, other.moments)
        assert (one.architecture, one.steps) == (other.architecture, 20)
    close(trained(survivors, made, 20, 10), trained(stack, made, 20, 10)[:, kept])


@settings(max_examples=15, deadline=None)
@given(numbers=st.lists(st.integers(0, SPACE.size() - 1), min_size=2, max_size=9, unique=True), gaps=st.booleans())
def test_company_does_not_matter(numbers: Sequence[int], gaps: bool) -> None:
    made = rows(gaps, seed=5)
    members = [Member(SPACE[number], seed=7) for number in numbers]
    together = trained(FusionStack(members, sizes(made), TASKS), made, 0, 6)
    backwards = trained(FusionStack(members[::-1], sizes(made), TASKS), made, 0, 6)
    close(together, backwards.flip(1))
    close(together[:, :1], trained(FusionStack(members[:1], sizes(made), TASKS), made, 0, 6))


def test_one_seed_one_result_and_another_seed_another() -> None:
    made, (architecture,) = rows(False), mixed(1)
    losses: Callable[[int], torch.Tensor] = lambda seed: trained(  # noqa: E731
        FusionStack([Member(architecture, seed)], sizes(made), TASKS), made, 0, 5
    )
    assert torch.equal(losses(0), losses(0))
    assert not torch.equal(losses(0), losses(1))


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    made = rows(False)
    stack = FusionStack([Member(one) for one in mixed(30)], sizes(made), TASKS, Recipe(dropout=0.25))
    drawn = stack._dropout(stack._room(64))
    assert float((drawn == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(drawn.mean()) == pytest.approx(1, abs=0.02)
    drawn = drawn.clone()
    stack._done = 1
    again = stack._dropout(stack._room(64))
    assert float((drawn == again).float().mean()) < 0.7  # as far apart as two draws are


def test_a_child_inherits_the_same_cell_and_source() -> None:
    made = rows(False)
    parent = Architecture.parse("c1 = relu(concat(image.1, sound.1)); c2 = relu(concat(text.1, c1))")
    child = Architecture.parse("c1 = tanh(concat(image.1, sound.2)); c2 = relu(product(text.1, c1))")
    learned = torch.full_like(Member(parent).fresh(sizes(made)).weights, 9.0)
    vector = Member(child).fresh(sizes(made)).weights.clone()
    fresh = vector.clone()
    count = inherited(vector, child, sizes(made), [(parent, learned)])
    state = state_dict_of(pieces_of(child, sizes(made)), vector)
    assert float(state["cells.0.projections.0.weight"].min()) == 9, "image.1 of the first cell"
    assert float(state["cells.0.projections.1.weight"].max()) < 9, "the parent reads another layer of the sound"
    assert float(state["cells.1.projections.0.weight"].max()) < 9, "another operation is another use of the layer"
    assert float(state["heads.0.weight"].min()) == 9
    assert count == int((vector != fresh).sum())


def test_a_task_without_a_label_in_the_batch_says_nothing() -> None:
    made = rows(False)
    made.labelled["size"][:] = False
    stack = FusionStack([Member(one) for one in mixed(6)], sizes(made), TASKS)
    before = stack.members()
    trained(stack, made, 0, 3)
    pieces = [pieces_of(member.architecture, sizes(made)) for member in before]
    for was, now, known in zip(before, stack.members(), pieces, strict=True):
        moved = state_dict_of(known, now.moments[0])
        assert float(moved["heads.2.weight"].abs().max()) == 0
        assert float(moved["heads.0.weight"].abs().max()) > 0
        assert was.architecture == now.architecture
