"""Trainings in stacks: each member as it would be alone, in one go or in pieces, whatever memory and time allow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_search import BOTH, KIND, SIZE, evaluator_of, labels_of, presence_of

from plait.fusion import Architecture, FusionSpace
from plait.fusion.operations import OPERATIONS
from plait.fusion.stack import FusionStack, Member
from plait.search import Evaluator
from plait.search.stacked import Learned, StackTrainer, _is_out_of_memory
from plait.tasks.score import score
from plait.training import Plan

SPACE = FusionSpace({"a": (0, 1, 2), "b": (0, 1, 2)}, activations=("relu", "tanh", "sigmoid"), max_cells=3)
PLAN = Plan(epochs=4, batch_size=16, learning_rate=1e-2)
OUT_OF_MEMORY = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "numpy": MemoryError("Unable to allocate 7.28 PiB for an array"),
    "linux": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    "windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
}


def architectures(count: int, seed: int = 0) -> list[Architecture]:
    """Different ones of all levels; every operation is among thirteen or more."""
    rng = np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    for level in itertools.cycle((1, 2, 3)):
        found[SPACE.sample(rng, level)] = None
        if len(found) == count:
            break
    assert count < 13 or {cell.operation for one in found for cell in one.cells} == set(OPERATIONS)
    return list(found)


def members(count: int, seed: int = 0) -> list[Member]:
    return [Member(one, 5) for one in architectures(count, seed)]


def trainer_of(stack: int = 64, **how) -> StackTrainer:
    """A trainer of its own."""
    return evaluator_with(stack, **how).trainer


def evaluator_with(stack: int = 64, **how) -> Evaluator:
    evaluator = evaluator_of(**how)
    evaluator.stack = stack
    return evaluator


def alike(one: Sequence[Learned], other: Sequence[Learned], tolerance: float = 1e-5) -> None:
    """The same members with the same scores, outputs, weights and moments."""
    assert [learned.member.architecture for learned in one] == [learned.member.architecture for learned in other]
    assert [learned.member.steps for learned in one] == [learned.member.steps for learned in other]
    near = {"atol": tolerance, "rtol": tolerance}
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.score is None) == (theirs.score is None)
        assert mine.score == (None if theirs.score is None else pytest.approx(theirs.score, abs=tolerance))
        assert mine.outputs.keys() == theirs.outputs.keys()
        for name, values in mine.outputs.items():
            np.testing.assert_allclose(values, theirs.outputs[name], **near)
        torch.testing.assert_close(mine.member.weights, theirs.member.weights, equal_nan=True, **near)
        torch.testing.assert_close(mine.member.moments, theirs.member.moments, equal_nan=True, **near)


@pytest.mark.parametrize("metric", [None, "mae"])
def test_a_whole_training_in_stacks_is_one_after_another(metric) -> None:
    tasks = BOTH if metric is None else (SIZE,)
    made = members(14)
    together = trainer_of(tasks=tasks).whole(made, PLAN, metric)
    alike(together, trainer_of(1, tasks=tasks).whole(made, PLAN, metric))
    alike(together, trainer_of(5, tasks=tasks).whole(made, PLAN, metric))
    assert len({learned.score for learned in together}) == 14
    assert all(learned.seconds > 0 for learned in together)
    with pytest.raises(AssertionError):  # two members are not alike
        alike(together[:1], together[1:2])


def test_company_and_order_do_not_matter() -> None:
    made = members(9)
    backwards = trainer_of().whole(made[::-1], PLAN, None)[::-1]
    alike(trainer_of().whole(made, PLAN, None), backwards)


def test_members_are_networks() -> None:
    """The outputs, with absent modalities too, are those of a network with the same weights."""
    evaluator = evaluator_with(present=presence_of(120, share=0.6))
    for learned in evaluator.trainer.whole(members(13), PLAN, None):
        told = evaluator._outputs(evaluator.network(learned.member))
        for name, values in learned.outputs.items():
            np.testing.assert_allclose(values, told[name], atol=1e-5)
        assert learned.score == pytest.approx(score(BOTH, told, evaluator.labels), abs=1e-5)


def passes_of(trainer: StackTrainer, monkeypatch) -> list[int]:
    """How many passes each stack is trained; filled while it is."""
    found: list[int] = []
    plain = StackTrainer._epoch

    def epoch(self, stack, plan, number, spent):
        if number == 0:
            found.append(0)
        found[-1] += 1
        return plain(self, stack, plan, number, spent)

    monkeypatch.setattr(StackTrainer, "_epoch", epoch)
    return found


@pytest.mark.parametrize("patience", [1, 2])
def test_each_member_has_its_own_patience(monkeypatch, patience) -> None:
    """Some are done early, and what a stack trains on for the others does them no harm."""
    plan = replace(PLAN, epochs=12, learning_rate=5e-2, patience=patience)
    made = members(10)
    alone = trainer_of(1)
    passes = passes_of(alone, monkeypatch)
    apart = alone.whole(made, plan, None)
    monkeypatch.undo()
    assert len(set(passes)) > 2, "they end at different times"
    assert min(passes) < 12
    together = trainer_of().whole(made, plan, None)
    for mine, theirs in zip(together, apart, strict=True):  # but how long its stack went on
        mine.member = replace(mine.member, steps=0, moments=theirs.member.moments)
        theirs.member = replace(theirs.member, steps=0)
    alike(together, apart, 1e-4)
    patient = trainer_of().whole(made, replace(plan, patience=None), None)
    assert any(one.score > other.score + 1e-3 for one, other in zip(patient, together, strict=True))
    assert all(one.score >= other.score - 1e-4 for one, other in zip(patient, together, strict=True))


def test_a_stack_ends_when_the_last_patience_is_out(monkeypatch) -> None:
    plan = replace(PLAN, epochs=40, learning_rate=0.0, patience=3)
    trainer = trainer_of()
    passes = passes_of(trainer, monkeypatch)
    trainer.whole(members(5), plan, None)
    assert passes == [4], "the first pass is the best, three are no better"


@pytest.mark.parametrize("stack", [1, 4, 64])
def test_pieces_come_to_the_same_as_one_go(stack) -> None:
    made = members(14)
    plan = replace(PLAN, epochs=3)
    whole = trainer_of().piece(made, plan, 0, 3, None)
    trainer = trainer_of(stack)
    first = trainer.piece(made, plan, 0, 1, None)
    assert {learned.member.steps for learned in first} == {4}
    kept = [9, 2, 13, 5]
    rest = trainer_of(stack).piece([first[at].member for at in kept], plan, 1, 3, None)
    alike(rest, [whole[at] for at in kept])
    assert {learned.member.steps for learned in rest} == {12}
    assert all(learned.outputs == {} for learned in rest)


def test_a_piece_is_scored_by_what_it_tells() -> None:
    """Scored from its losses alone: the same number as from all outputs, and as by any other metric."""
    for metric, tasks in ((None, BOTH), ("auroc", (KIND,)), ("mae", (SIZE,))):
        evaluator = evaluator_with(tasks=tasks)
        for learned in evaluator.trainer.piece(members(6), PLAN, 0, 2, metric):
            told = evaluator._outputs(evaluator.network(learned.member))
            assert learned.score == pytest.approx(score(tasks, told, evaluator.labels, metric), abs=1e-5)


def test_which_weights_are_best_the_default_score_decides() -> None:
    made, plan = members(8), replace(PLAN, epochs=10, learning_rate=5e-2)
    plain = trainer_of(tasks=(KIND,)).whole(made, plan, None)
    other = trainer_of(tasks=(KIND,)).whole(made, plan, "auroc")
    for one, two in zip(plain, other, strict=True):
        assert torch.equal(one.member.weights, two.member.weights)
        assert 0.5 < two.score <= 1
        assert two.score != one.score


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
@pytest.mark.parametrize(("where", "whole"), [("__init__", False), ("step", True)], ids=["made", "stepped"])
def test_stacks_are_halved_when_memory_runs_out(monkeypatch, error, where, whole) -> None:
    """To be had again: no member is trained twice or left out, and later stacks stay small."""
    made, told = members(13), []

    def train(trainer: StackTrainer) -> list[Learned]:
        return trainer.whole(made, PLAN, None, None, told.append) if whole else trainer.piece(made, PLAN, 0, 2, None)

    wanted = train(trainer_of(3))
    assert not trainer_of(3).shrunk
    told.clear()
    plain = getattr(FusionStack, where)
    tries: list[int] = []

    def short(self, first, *rest, **more):
        count = len(first) if where == "__init__" else len(self)
        tries.append(count)
        if count > 4:
            raise error
        return plain(self, first, *rest, **more)

    monkeypatch.setattr(FusionStack, where, short)
    trainer = trainer_of(64)
    found = train(trainer)
    assert trainer.shrunk
    assert trainer.stack == 3
    assert [count for count in tries if count > 4] == [13, 6]
    alike(found, wanted, 0.0)
    assert told == ([3, 3, 3, 3, 1] if whole else [])
    assert trainer.cut == 0
    train(trainer)
    assert max(tries[2:]) == 3


def test_how_torch_says_that_memory_ran_out_here() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert _is_out_of_memory(caught.value)
    assert not _is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def fails(monkeypatch, error: BaseException, most: int = 0) -> None:
    """Steps fail in stacks of more than so many members."""
    plain = FusionStack.step

    def step(self, batch, rate):
        if len(self) > most:
            raise error
        return plain(self, batch, rate)

    monkeypatch.setattr(FusionStack, "step", step)


@pytest.mark.parametrize("count", [1, 3])
def test_memory_that_does_not_do_for_one_is_an_error(monkeypatch, count) -> None:
    fails(monkeypatch, OUT_OF_MEMORY["cuda"])
    for train in (lambda t: t.whole(members(count), PLAN, None), lambda t: t.piece(members(count), PLAN, 0, 1, None)):
        trainer = trainer_of()
        with pytest.raises(torch.OutOfMemoryError):
            train(trainer)
        assert trainer.stack == (64 if count == 1 else 1)


def test_another_error_is_no_want_of_memory(monkeypatch) -> None:
    fails(monkeypatch, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    trainer = trainer_of()
    with pytest.raises(RuntimeError, match="mat1"):
        trainer.whole(members(3), PLAN, None)
    assert not trainer.shrunk
    assert trainer.stack == 64


@pytest.mark.parametrize("metric", [None, "auroc"])
@pytest.mark.parametrize("share", [1.0, 0.01], ids=["all", "some"])
def test_a_member_that_is_no_number_has_no_score_and_disturbs_nobody(metric, share) -> None:
    trainer = trainer_of(tasks=(KIND,))
    made = [member.fresh(trainer.sizes) for member in members(8)]
    ill = list(made)
    wrong = torch.rand(len(made[3].weights), generator=torch.Generator().manual_seed(0)) < share
    assert wrong.any()
    ill[3] = replace(made[3], weights=torch.where(wrong, torch.nan, made[3].weights))
    plan = replace(PLAN, patience=2)
    for train in (lambda m: trainer.whole(m, plan, metric), lambda m: trainer.piece(m, plan, 0, 2, metric)):
        healthy, found = train(made), train(ill)
        assert [learned.score is None for learned in found] == [number == 3 for number in range(8)]
        assert all(learned.score is not None for learned in healthy)
        others = [number for number in range(8) if number != 3]
        alike([found[at] for at in others], [healthy[at] for at in others], 0.0)


def test_no_time_still_makes_a_result() -> None:
    asked: list[int] = []

    def seconds(left: int) -> float:
        asked.append(left)
        return 0.0

    trainer = trainer_of(4)
    found = trainer.whole(members(10), PLAN, None, seconds)
    assert asked == [10, 6, 2]
    assert [learned.member.steps for learned in found] == [1] * 10, "one step"
    assert all(learned.score is not None and learned.outputs for learned in found)
    assert trainer.cut == 10


def test_enough_time_is_as_good_as_no_limit() -> None:
    trainer = trainer_of(4)
    alike(trainer.whole(members(6), PLAN, None, lambda left: 1e9), trainer.whole(members(6), PLAN, None), 0.0)
    assert trainer.cut == 0


def test_time_ends_a_stack_at_work_and_no_further_one_is_begun() -> None:
    """Four steps a pass; the clock is read before all stacks but the first, and after every step."""
    made = members(7)
    whole = trainer_of(2).piece(made, PLAN, 0, 1, None)
    ends = [(0, [1]), (1, [2]), (3, [4]), (4, [4]), (5, [4, 1]), (7, [4, 3]), (8, [4, 4]), (9, [4, 4]), (14, [4, 4, 4])]
    for looks, steps in ends:
        left = iter([1.0] * looks)
        found = trainer_of(2).piece(made, PLAN, 0, 1, None, lambda left=left: next(left, 0.0))
        assert [one.member.steps for one in found] == [step for step in steps for _ in range(2)]
        assert [one.cut for one in found] == [step < 4 for step in steps for _ in range(2)]
        assert all(one.score is not None for one in found)
        done = [one for one in found if not one.cut]
        alike(done, whole[: len(done)], 0.0)


def test_without_validation_labels_the_newest_weights_count() -> None:
    labels = labels_of(120)
    for mask in labels.labelled.values():
        mask[60:] = False
    trainer = trainer_of(labels=labels)
    plan = replace(PLAN, patience=1)
    whole, piece = trainer.whole(members(5), plan, None), trainer.piece(members(5), plan, 0, plan.epochs, None)
    for one, other in zip(whole, piece, strict=True):
        assert one.score is None
        assert other.score is None
        assert torch.equal(one.member.weights, other.member.weights)
        assert one.member.steps == 16
        assert all(np.isfinite(values).all() for values in one.outputs.values())


def test_one_task_without_validation_labels_is_left_out() -> None:
    labels = labels_of(120)
    labels.labelled["size"][60:] = False
    evaluator = evaluator_with(labels=labels)
    for learned in evaluator.trainer.piece(members(5), PLAN, 0, 2, None):
        told = evaluator._outputs(evaluator.network(learned.member))
        assert learned.score == pytest.approx(score((KIND,), told, evaluator.labels), abs=1e-5)


def test_without_validation_rows_there_are_no_scores() -> None:
    (learned,) = trainer_of(validation=0).whole(members(1), PLAN, None)
    assert learned.score is None
    assert {name: values.shape for name, values in learned.outputs.items()} == {"kind": (0, 2), "size": (0, 1)}


@pytest.mark.parametrize("absent", ["b", "ab"])
def test_validation_rows_without_a_modality(absent) -> None:
    """Who reads nothing else tells the same of every row; the others go by what is there."""
    present = presence_of(120)
    for name in absent:
        present[name][60:] = False
    evaluator = evaluator_with(present=present)
    made = [*members(8), Member(Architecture.parse("c1 = relu(concat(b.1))"))]
    found = evaluator.trainer.whole(made, PLAN, None)
    alike(found, evaluator_with(1, present=present).trainer.whole(made, PLAN, None))
    for learned in found:
        told = evaluator._outputs(evaluator.network(learned.member))
        reads = {s.state[0] for cell in learned.member.architecture.cells for s in cell.sources if s.state is not None}
        for name, values in learned.outputs.items():
            np.testing.assert_allclose(values, told[name], atol=1e-5)
            if reads <= set(absent):
                assert np.ptp(values, axis=0).max() < 1e-6
    assert np.ptp(found[-1].outputs["size"]) < 1e-6
