"""ModDrop: single rows lose whole modalities, weights begin block-diagonal, what is most alike is merged first."""

import numpy as np
import torch

from plait.data.batches import Rows
from plait.encoders._base import HiddenStates
from plait.fusion.architecture import concat_of
from plait.fusion.candidates import Candidate
from plait.fusion.moddrop import block_diagonal, kept_modalities, merged_by_likeness
from plait.fusion.network import FusionNetwork
from plait.fusion.stack import Sizes
from plait.fusion.stack.weights import fresh_weights, pieces_of, state_dict_of
from plait.search.competitors import MODDROP, competitors
from plait.search.evaluator import Evaluator
from plait.tasks import Task
from plait.tasks.score import Labels
from plait.training.loop import Plan, without_some

LIKENESS = {("hand", "head"): 0.2, ("hand", "sound"): 0.9, ("head", "sound"): 0.4}
WIDTHS = {"hand": (4, 6, 2), "head": (3, 5, 2), "sound": (2, 4, 2)}
LABELS = Task(name="label", kind="binary", label_type="int", classes=("0", "1"), prior=(-0.7, -0.7))


def test_modalities_are_dropped_row_by_row_with_the_given_chance() -> None:
    present = torch.ones(3, 20_000, dtype=torch.bool)
    kept = kept_modalities(present, 0.3, torch.Generator().manual_seed(0))
    assert kept.any(dim=0).all()  # never all that a row has
    none_left = 0.3**3
    torch.testing.assert_close(kept.float().mean(1), torch.full((3,), 0.7 + none_left / 3), atol=0.015, rtol=0)
    patterns = {tuple(column) for column in kept.T.tolist()}
    assert len(patterns) == 7  # per row, not per batch: every pattern but the empty one is there


def test_what_is_absent_stays_absent_and_the_only_one_stays() -> None:
    present = torch.tensor([[True, False, False], [False, True, False]]).repeat(1, 100)
    kept = kept_modalities(present, 0.9, torch.Generator().manual_seed(0))
    torch.testing.assert_close(kept, present)


def test_a_batch_loses_no_row_and_its_inputs_stay() -> None:
    made = Rows(
        {name: np.ones((50, 2), np.float32) for name in "ab"}, {name: np.ones(50, bool) for name in "ab"},
        index=np.arange(50),
    ).batch(np.arange(50))  # fmt: skip
    torch.manual_seed(0)
    less = without_some(made, 0.5)
    assert list(less.present) == ["a", "b"]
    assert not less.present["a"].all()
    assert (less.present["a"] | less.present["b"]).all()
    assert less.inputs is made.inputs


def test_what_is_most_alike_is_merged_first() -> None:
    layers = {"head": 1, "hand": 1, "sound": 1}
    assert str(merged_by_likeness(layers, LIKENESS)) == (
        "c1 = relu(concat(hand.1, sound.1)); c2 = relu(concat(head.1, c1))"
    )
    other = LIKENESS | {("hand", "head"): 1.0}
    assert str(merged_by_likeness(layers, other)) == "c1 = relu(concat(hand.1, head.1)); c2 = relu(concat(sound.1, c1))"


def test_at_first_no_unit_hears_two_modalities() -> None:
    architecture = merged_by_likeness({"head": 1, "hand": 1, "sound": 1}, LIKENESS)
    sizes = Sizes(WIDTHS, (2,), 16)
    pieces = pieces_of(architecture, sizes)
    fresh = fresh_weights(architecture, sizes, 3)
    before = fresh.clone()
    network = FusionNetwork(architecture, WIDTHS, [LABELS], width=16, dropout=0.0)
    network.load_state_dict(
        network.state_dict() | state_dict_of(pieces, block_diagonal(architecture, sizes, fresh))
    )  # fmt: skip
    assert torch.equal(fresh, before)
    states = {name: torch.randn(1, 5 if name == "head" else widths[1]) for name, widths in WIDTHS.items()}
    leaves = {name: values.requires_grad_() for name, values in states.items()}
    present = {name: torch.ones(1, dtype=torch.bool) for name in WIDTHS}
    hidden = {
        name: HiddenStates((torch.zeros(1, WIDTHS[name][0]), leaf, torch.zeros(1, 2))) for name, leaf in leaves.items()
    }
    (*_, (_, last)) = network._run(hidden, present)
    heard = []
    for unit in range(16):
        slopes = torch.autograd.grad(last[0, unit], list(leaves.values()), retain_graph=True)
        heard.append({name for name, slope in zip(leaves, slopes, strict=True) if slope.abs().sum() > 0})
    assert all(len(names) <= 1 for names in heard)
    assert set().union(*heard) == set(WIDTHS)  # and nobody is left out


def evaluated(dropped: float) -> tuple[Evaluator, Candidate, object, Labels]:
    rng = np.random.default_rng(0)
    count = 400
    labels = rng.integers(0, 2, count).astype(np.float32)
    states = {
        name: (rng.normal(size=(count, 12)) + labels[:, None] * strength).astype(np.float32)
        for name, strength in (("hand", 1.2), ("sound", 0.6))
    }
    present = {name: np.ones(count, bool) for name in states}
    widths = dict.fromkeys(states, (4, 6, 2))
    told = Labels({"label": labels}, {"label": np.ones(count, bool)})
    plan = Plan(epochs=8, batch_size=32, learning_rate=1e-2, seed=0)
    evaluator = Evaluator(
        states, present, widths, (LABELS,), told, np.arange(300), np.arange(300, count), plan, seeds=1
    )  # fmt: skip
    (candidate,) = [one for one in competitors(widths, None, {("hand", "sound"): 0.5}) if one.name == MODDROP]
    candidate = candidate.model_copy(update={"modality_dropout": dropped})
    (trial,) = evaluator.evaluate([candidate])
    return evaluator, candidate, trial, told


def test_cross_modal_weights_are_learned_and_a_lost_modality_costs_less() -> None:
    alone = {}
    for rate in (0.0, 0.4):
        evaluator, candidate, trial, _ = evaluated(rate)
        network = candidate.build(evaluator.widths, [LABELS])
        network.load_state_dict(trial.weights)
        half = network.cells[0].cell.sources.index(candidate.architecture.cells[0].sources[0])
        weight = network.cells[0].projections[half].weight
        rows = evaluator.validation
        model = evaluator._model(network)
        less = Rows(
            rows.inputs, rows.present | {"hand": np.zeros_like(rows.present["hand"])}, rows.targets, rows.labelled,
            rows.index,
        )  # fmt: skip
        told = model.predict(less)["label"].argmax(1).numpy()
        alone[rate] = float((told == evaluator.labels.targets["label"])[rows.present["sound"][rows.index]].mean())
        if rate:
            units = weight.shape[0] // 2
            assert all(part.abs().sum() > 0 for part in (weight[units:], weight[:units]))  # borders are crossed
    assert alone[0.4] > alone[0.0]


def test_the_same_seed_gives_the_same_weights_in_any_company() -> None:
    evaluator, candidate, trial, _ = evaluated(0.4)
    deeper = candidate.model_copy(update={"name": "deeper", "architecture": concat_of({"hand": 0, "sound": 1}, 2)})
    plain = candidate.model_copy(update={"name": "plain", "modality_dropout": 0.0})
    *_, again = evaluator.evaluate([plain, deeper, candidate])
    for name, tensor in trial.weights.items():
        torch.testing.assert_close(tensor, again.weights[name])
