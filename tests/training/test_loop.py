"""The training loop: patience, best weights, seeds, checkpoints, limits, and what it leaves untouched."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_training import KIND, SIZE, model_of, rows_of

from plait.data.batches import shuffled
from plait.encoders.cache import weights_digest
from plait.exceptions import InputError
from plait.objectives import Objective, Supervised
from plait.training import Hook, Model, Plan, Trainer, loop
from plait.training.loop import rate_at, seeded_build

PLAN = Plan(epochs=6, batch_size=16, seed=3)


def trained(plan: Plan = PLAN, checkpoint: Path | None = None, rows: int = 60, **given) -> Trainer:
    trainer = Trainer(model_of(), given.pop("objectives", [Supervised()]), plan, checkpoint=checkpoint, **given)
    trainer.fit(rows_of(rows), rows_of(40, seed=1))
    return trainer


def same_weights(one: Model, two: Model) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Scripted(Trainer):
    """A trainer whose validation scores are given."""

    script: ClassVar[list[float | None]] = []

    def score(self, rows):
        return self.script[len(self.history)]


def scripted(scores: list[float | None], patience: int | None = None) -> tuple[Scripted, list[dict[str, torch.Tensor]]]:
    seen: list[dict[str, torch.Tensor]] = []

    class Copy(Hook):
        def on_epoch(self, trainer, record):
            seen.append({name: tensor.clone() for name, tensor in trainer.model.state_dict().items()})

    trainer = Scripted(model_of(), [Supervised()], replace(PLAN, epochs=len(scores), patience=patience), hooks=[Copy()])
    trainer.script = scores
    trainer.fit(rows_of(40), rows_of(10, seed=1))
    return trainer, seen


def test_it_learns() -> None:
    plan = replace(PLAN, epochs=25, learning_rate=1e-2)
    trainer = trained(plan, rows=300)
    first, last = trainer.history[0], trainer.history[-1]
    assert last.loss < 0.6 * first.loss
    assert trainer.best_score > 0.35
    assert trainer.best_score > first.score


def test_the_best_weights_are_kept() -> None:
    trainer, seen = scripted([0.1, 0.5, 0.3, 0.5, 0.4])
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in trainer.model.state_dict().items())
    assert trainer.best_score == 0.5
    assert not trainer.model.training


@pytest.mark.parametrize(
    ("scores", "patience", "epochs"),
    [
        ([0.1, 0.2, 0.2, 0.2, 0.9, 0.9], 2, 4),
        ([0.1, 0.2, 0.1, 0.3, 0.1, 0.2, 0.1], 3, 7),
        ([0.3, 0.2, 0.1], 1, 2),
        ([0.3, 0.2, 0.1], None, 3),
        ([None] * 5, 1, 5),
        ([-math.inf, -math.inf, -math.inf], 1, 3),
        ([-math.inf, 0.1, -math.inf, -math.inf], 2, 4),
        ([-5.0, -4.0, -4.5, -4.6, -1.0], 2, 4),
    ],
)
def test_patience(scores, patience, epochs) -> None:
    trainer, _ = scripted(scores, patience)
    assert len(trainer.history) == epochs
    assert [record.epoch for record in trainer.history] == list(range(epochs))


def test_without_validation_labels_the_last_weights_are_the_best() -> None:
    trainer, seen = scripted([None, None, None])
    assert all(torch.equal(tensor, seen[2][name]) for name, tensor in trainer.model.state_dict().items())
    unlabelled = rows_of(10, seed=1)
    unlabelled = replace(unlabelled, labelled={name: np.zeros(10, bool) for name in unlabelled.labelled})
    other = Trainer(model_of(), [Supervised()], replace(PLAN, patience=1))
    assert [record.score for record in other.fit(rows_of(40), unlabelled)] == [None] * 6
    nothing = rows_of(10).at(np.zeros(0, np.int64))
    assert len(Trainer(model_of(), [Supervised()], PLAN).fit(rows_of(40), nothing)) == 6


def test_scores_are_those_of_the_best_weights() -> None:
    trainer = trained()
    assert trainer.score(rows_of(40, seed=1)) == pytest.approx(trainer.best_score, abs=1e-7)
    assert trainer.best_score == max(record.score for record in trainer.history)


def test_same_seed_same_weights_and_another_seed_others() -> None:
    one, same, other = trained(), trained(), trained(replace(PLAN, seed=4))
    assert same_weights(one.model, same.model)
    assert one.history == same.history
    assert not same_weights(one.model, other.model)


def test_same_seed_same_weights_in_another_process() -> None:
    code = "from test_loop import trained, weights_digest\nprint(weights_digest(trained().model))"
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == weights_digest(trained().model)


class Killed(BaseException):
    pass


class KillAt(Hook):
    """Kills a training, after some step, or after some epoch: before its checkpoint is written."""

    def __init__(self, step: int | None = None, epoch: int | None = None) -> None:
        self.step, self.epoch = step, epoch

    def on_step(self, trainer, progress):
        if trainer.steps == self.step:
            raise Killed

    def on_epoch(self, trainer, record):
        if record.epoch == self.epoch:
            raise Killed


@pytest.mark.parametrize("kill", [{"step": 1}, {"step": 9}, {"epoch": 0}, {"epoch": 2}, {"epoch": 5}], ids=str)
@pytest.mark.parametrize("patience", [None, 2])
def test_resumed_is_uninterrupted_to_the_bit(tmp_path, kill, patience) -> None:
    plan = replace(PLAN, patience=patience)
    whole = trained(plan)
    path = tmp_path / "checkpoint"
    try:
        trained(plan, path, hooks=[KillAt(**kill)])
    except Killed:
        pass
    else:
        assert patience is not None  # it stopped by itself before
    resumed = trained(plan, path)
    assert same_weights(resumed.model, whole.model)
    assert resumed.history == whole.history
    assert resumed.steps == whole.steps
    assert resumed.best_score == whole.best_score


def test_a_training_that_is_done_is_not_repeated(tmp_path) -> None:
    whole = trained(checkpoint=tmp_path / "c")
    again = trained(checkpoint=tmp_path / "c", hooks=[KillAt(step=whole.steps + 1)])
    assert same_weights(again.model, whole.model)
    assert again.history == whole.history


def test_a_checkpoint_of_another_training_is_not_used(tmp_path) -> None:
    path = tmp_path / "c"

    def begun() -> None:
        with pytest.raises(Killed):
            trained(checkpoint=path, hooks=[KillAt(epoch=3)])

    begun()
    seeded = replace(PLAN, seed=4)
    assert same_weights(trained(seeded, path).model, trained(seeded).model)
    begun()
    shorter = replace(PLAN, epochs=5)
    assert same_weights(trained(shorter, path).model, trained(shorter).model)
    begun()
    assert same_weights(trained(checkpoint=path, rows=50).model, trained(rows=50).model)
    begun()
    rows = rows_of(60)
    rows.targets["kind"][0] = 1 - rows.targets["kind"][0]
    fresh = [Trainer(model_of(), [Supervised()], PLAN, checkpoint=where) for where in (path, None)]
    for trainer in fresh:
        trainer.fit(rows, rows_of(40, seed=1))
    assert same_weights(fresh[0].model, fresh[1].model)
    begun()
    other = [Trainer(model_of(seed=1), [Supervised()], PLAN, checkpoint=where) for where in (path, None)]
    for trainer in other:
        trainer.fit(rows_of(60), rows_of(40, seed=1))
    assert same_weights(other[0].model, other[1].model)


def test_a_checkpoint_under_a_time_limit_is_used_whatever_is_left_of_it(tmp_path) -> None:
    """The seconds left differ with every call; between going by the clock and by counts there is no going on."""
    path, steps = tmp_path / "c", 24

    def made(seconds: float | None) -> int:
        with pytest.raises(Killed):
            trained(replace(PLAN, seconds=1000.0), path, hooks=[KillAt(epoch=3)])
        seen: list[int] = []

        class Count(Hook):
            def on_step(self, trainer, progress):
                seen.append(trainer.steps)

        trained(replace(PLAN, seconds=seconds), path, hooks=[Count()])
        path.unlink()
        return len(seen)

    assert made(500.0) == steps // 2
    assert made(None) == steps


def test_a_damaged_checkpoint_says_so(tmp_path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"rubbish")
    with pytest.raises(InputError, match="is damaged"):
        trained(checkpoint=path)


class Clock:
    """A clock that a step moves on by one second."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


class Tick(Hook):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step(self, trainer, progress):
        self.clock.now += 1


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 1), (0.5, 1), (2.5, 3), (6.5, 7), (1000.0, 24)])
def test_time_limit(monkeypatch, seconds, steps) -> None:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    trainer = trained(replace(PLAN, seconds=seconds), hooks=[Tick(clock)])
    # the hook of a step is called after its progress is known: one more step may begin
    assert steps <= trainer.steps <= steps + 1
    assert trainer.history[-1].score is not None
    assert trainer.best


def test_even_without_time_a_step_is_made_that_learns() -> None:
    trainer = trained(replace(PLAN, seconds=0.0))
    assert trainer.steps == 1
    assert not same_weights(trainer.model, model_of())
    moved = [
        not torch.equal(one, two) for one, two in zip(trainer.model.parameters(), model_of().parameters(), strict=True)
    ]
    assert sum(moved) > len(moved) / 2


def test_no_clock_is_read_without_a_limit(monkeypatch) -> None:
    class NoClock:
        def monotonic(self) -> float:
            raise AssertionError("the clock was read")

    monkeypatch.setattr(loop, "time", NoClock())
    trained()


def test_a_real_limit_holds() -> None:
    started = time.monotonic()
    trained(Plan(epochs=100_000, batch_size=16, seconds=0.3), rows=200)
    assert time.monotonic() - started < 3


def test_rows_without_labels_contribute_nothing() -> None:
    """Weights do not move where a batch has no label at all; nor does the loss of such batches count."""
    rows = rows_of(60)
    nothing = replace(rows, labelled={name: np.zeros(60, bool) for name in rows.labelled})
    trainer = Trainer(model_of(), [Supervised()], PLAN)
    trainer.fit(nothing, rows_of(40, seed=1))
    for one, two in zip(trainer.model.parameters(), model_of().parameters(), strict=True):
        assert torch.equal(one, two)
    assert [record.loss for record in trainer.history] == [None] * 6


def test_hidden_labels_do_not_matter() -> None:
    rows = rows_of(60)
    rubbish = {"kind": 1 - rows.targets["kind"], "size": np.full(60, 9e9, np.float32)}
    hidden = {name: np.where(rows.labelled[name], values, rubbish[name]) for name, values in rows.targets.items()}
    trainer = Trainer(model_of(), [Supervised()], PLAN)
    trainer.fit(replace(rows, targets=hidden), rows_of(40, seed=1))
    assert same_weights(trainer.model, trained().model)


@given(st.integers(2, 70), st.integers(2, 9))
def test_no_batch_has_a_single_row(rows, size) -> None:
    batches = shuffled(rows, size, 0, 0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
    assert all(2 <= len(batch) <= size + 1 for batch in batches)


def test_one_row_is_refused_and_two_are_enough() -> None:
    trainer = Trainer(model_of(), [Supervised()], PLAN)
    with pytest.raises(InputError, match=r"1 labelled row\(s\) to train on; at least two are needed"):
        trainer.fit(rows_of(1), rows_of(5))
    assert len(trainer.fit(rows_of(2), rows_of(5))) == 6


@pytest.mark.parametrize("rows", [17, 33])
def test_a_rest_of_one_row_joins_its_neighbours(rows) -> None:
    assert trained(rows=rows).history[-1].loss is not None  # batch normalisation would refuse a batch of one


def test_torchs_random_numbers_and_threads_are_untouched() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    trained()
    with seeded_build(1, "x"):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_random_numbers_are_restored_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(Killed):
        trained(hooks=[KillAt(step=3)])
    with pytest.raises(ZeroDivisionError), seeded_build(1, "x"):
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)


def test_numpys_random_numbers_are_untouched() -> None:
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    trained()
    assert (np.random.get_state()[1] == before).all()


def test_other_devices_are_not_seeded(monkeypatch) -> None:
    def refuse(*seed: int) -> None:
        raise AssertionError("a generator of another device was seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    monkeypatch.setattr(torch, "manual_seed", refuse)
    trained()
    with seeded_build(0, "x"):
        pass


def test_seeded_build_depends_on_seed_and_names_alone() -> None:
    def drawn(seed: int, *names: str) -> list[float]:
        with seeded_build(seed, *names):
            return torch.rand(2).tolist()

    torch.rand(3)
    assert drawn(0, "a") == drawn(0, "a")
    assert len({tuple(drawn(*given)) for given in ((0, "a"), (1, "a"), (0, "b"), (0, "a", "b"))}) == 4


class Broken(Objective):
    """Adds a term that is not finite, from some step on."""

    name = "broken"
    supervised = False

    def __init__(self, value: float, steps: range) -> None:
        self.value, self.steps, self.step = value, steps, 0

    def terms(self, model, batch):
        self.step += 1
        if self.step - 1 not in self.steps:
            return {}
        return {"broken": self.value * model.outputs(model.hidden(batch), batch)["size"].sum()}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_does_not_destroy_the_weights(value) -> None:
    """24 steps, the last twelve spoilt: the weights of the first twelve are kept, and all that is told is finite."""
    trainer = trained(objectives=[Supervised(), Broken(value, range(12, 99))])
    assert all(bool(tensor.isfinite().all()) for tensor in trainer.model.state_dict().values())
    assert all(record.score is not None and math.isfinite(record.score) for record in trainer.history)
    assert [record.loss is None for record in trainer.history] == [False] * 3 + [True] * 3
    assert trainer.score(rows_of(40, seed=1)) == pytest.approx(trainer.best_score)
    assert trainer.best_score == max(record.score for record in trainer.history)


def test_one_bad_step_is_left_out_and_training_goes_on() -> None:
    trainer = trained(objectives=[Supervised(), Broken(math.nan, range(1))])
    assert trainer.history[0].loss is None
    assert trainer.history[-1].loss is not None
    assert trainer.history[-1].loss < 1.5


def test_weights_that_turn_nan_are_not_the_best() -> None:
    class Spoil(Hook):
        def on_epoch(self, trainer, record):
            if record.epoch == 2:
                next(trainer.model.parameters()).data.fill_(math.nan)

    trainer = trained(hooks=[Spoil()])
    assert [record.score is None for record in trainer.history] == [False] * 3 + [True] * 3
    assert all(bool(tensor.isfinite().all()) for tensor in trainer.model.state_dict().values())
    unlabelled = rows_of(10, seed=1).at(np.zeros(0, np.int64))
    blind = Trainer(model_of(), [Supervised()], PLAN, hooks=[Spoil()])
    blind.fit(rows_of(60), unlabelled)
    assert all(bool(tensor.isfinite().all()) for tensor in blind.model.state_dict().values())


def test_the_order_of_rows_comes_from_the_seed_and_the_epoch() -> None:
    def orders(seed: int) -> list[tuple[int, ...]]:
        seen: list[int] = []

        class Note(Supervised):
            def before_batch(self, batch):
                seen.extend(batch.rows.tolist())
                return batch

        trained(Plan(epochs=2, batch_size=16, seed=seed), objectives=[Note()])
        return [tuple(seen[:60]), tuple(seen[60:])]

    found = [*orders(3), *orders(4)]
    assert all(sorted(order) == list(range(60)) for order in found)
    assert len(set(found)) == 4
    assert orders(3) == found[:2]


def test_order_of_calls() -> None:
    calls: list[str] = []

    class Told(Supervised):
        def before_batch(self, batch):
            calls.append("before_batch")
            return replace(batch, weights=batch.weights * 2)

        def terms(self, model, batch):
            calls.append(f"terms {float(batch.weights[0])}")
            return super().terms(model, batch)

        def after_step(self, model):
            calls.append("after_step")

    class Watch(Hook):
        def on_step(self, trainer, progress):
            calls.append(f"step {progress:.2f}")

        def on_epoch(self, trainer, record):
            calls.append("epoch")

    trained(Plan(epochs=2, batch_size=30), objectives=[Told()], hooks=[Watch()])
    one = ["before_batch", "terms 2.0", "after_step"]
    assert calls == [*one, "step 0.25", *one, "step 0.50", "epoch", *one, "step 0.75", *one, "step 1.00", "epoch"]


def test_learning_rate() -> None:
    assert rate_at(0.0) == pytest.approx(0.1)
    assert rate_at(0.05) == pytest.approx(0.55)
    assert rate_at(0.1) == pytest.approx(1.0)
    assert rate_at(0.55) == pytest.approx(0.5)
    assert rate_at(1.0) == pytest.approx(0.0)
    rates = [rate_at(step / 200) for step in range(201)]
    assert max(abs(one - two) for one, two in itertools.pairwise(rates)) < 0.05


def test_gradients_are_clipped() -> None:
    norms: list[float] = []

    class Loud(Supervised):
        def terms(self, model, batch):
            return {name: 1e6 * term for name, term in super().terms(model, batch).items()}

        def after_step(self, model):
            norms.append(float(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()))

    trained(Plan(epochs=1, batch_size=30, clip_norm=0.5), objectives=[Loud()])
    assert norms == pytest.approx([0.5, 0.5], rel=1e-4)


def test_frozen_parameters_stay() -> None:
    model = model_of()
    model.networks[0].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.networks[0].named_parameters()}
    trainer = Trainer(model, [Supervised()], PLAN)
    trainer.fit(rows_of(60), rows_of(40, seed=1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.networks[0].named_parameters())
    assert not same_weights(model, model_of())


@pytest.mark.gpu
def test_training_on_cuda() -> None:
    before = torch.cuda.get_rng_state()
    trainer = trained(device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert trainer.best_score == pytest.approx(trained().best_score, abs=0.05)
    assert {task.name for task in trainer.model.tasks} == {KIND.name, SIZE.name}
