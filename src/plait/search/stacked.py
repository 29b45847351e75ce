"""Trains many architectures at once on cached hidden states: whole trainings, and pieces of them for halving."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plait.data.batches import Rows, shuffled
from plait.fusion.moddrop import kept_modalities
from plait.fusion.stack import FusionStack, Member, Recipe, Sizes, StackFeed, learned_by
from plait.fusion.stack.inputs import Moments, States
from plait.tasks._base import TASK_KIND_REGISTRY, Task
from plait.tasks.score import Labels, Outputs, constant_rows, mean_score, score
from plait.training.loop import Plan, mixed_seed, rate_at

STACK = 64
"""Architectures of one stack."""

ASKED_AT_ONCE = 256
"""Rows per forward pass where nothing is learned."""

NO_MEMORY = ("not enough memory", "can't allocate memory")
"""What torch says when main memory ran out, on one system and on another."""


@dataclass
class Learned:
    """What came of a member.

    Attributes:
        member: As it was when it was best, or as it is now.
        score: By the metric; None where it has none, or its outputs are not finite.
        outputs: Outputs on the validation rows; empty where they were not asked for.
        seconds: Its share of the wall-clock time of its stack.
        cut: Whether time ended its training in a piece.
    """

    member: Member
    score: float | None
    outputs: Outputs = field(default_factory=dict)
    seconds: float = 0.0
    cut: bool = False


class StackTrainer:
    """Trains architectures in stacks of a set size, all on the same batches in the same order.

    Args:
        train: Rows to learn from.
        validation: Rows to judge by.
        labels: Encoded targets of the validation rows.
        sizes: What the architectures have in common.
        tasks: The tasks.
        moments: Mean and deviation of every layer over training rows.
        device: Where.
        stack: Architectures of one stack, at most; halved for good when memory runs out.

    `shrunk` says whether memory ran out; `cut` counts the architectures whose training time ended.
    """

    def __init__(
        self, train: Rows, validation: Rows, labels: Labels, sizes: Sizes, tasks: Sequence[Task], moments: Moments,
        device: str = "cpu", stack: int = STACK,
    ) -> None:  # fmt: skip
        self.sizes, self.tasks, self.labels, self.device, self.stack = sizes, tuple(tasks), labels, device, stack
        self.train, self.validation = (
            States(rows, sizes.layer_widths, moments, device) for rows in (train, validation)
        )
        self.constant = np.array([constant_rows(task, labels).sum() for task in self.tasks])
        self.shrunk = False
        self.cut = 0

    @property
    def _has_labels(self) -> bool:
        return bool((self.constant > 0).any())

    def whole(
        self, members: Sequence[Member], plan: Plan, metric: str | None,
        seconds: Callable[[int], float] | None = None, advance: Callable[[int], None] | None = None,
    ) -> list[Learned]:  # fmt: skip
        """Train to the end of a plan, each member until its patience is out; the best weights of each count.

        Args:
            members: What to train.
            plan: How; its seconds are not looked at.
            metric: What to score by in the end; which weights are best, the default score decides.
            seconds: Asked before every stack with the number of members still to be trained: the time limit of each.
            advance: Told after every stack how many members are done.

        Returns:
            One for each member, with outputs.
        """

        def train(part: Sequence[Member], left: int) -> list[Learned]:
            limit = seconds(left) * len(part) if seconds else None
            stack = self._stack(part, plan)
            best = _Best(stack, plan.patience)
            started, epoch, done = time.monotonic(), 0, 0.0

            def spent() -> float:
                return 0.0 if limit is None else (time.monotonic() - started) / max(limit, 1e-9)

            while epoch < plan.epochs and done < 1 and not best.stopped(epoch).all():
                done = self._epoch(stack, plan, epoch, None if limit is None else spent)
                best.judge(self._scores(self._losses(stack), part), self._has_labels, epoch)
                epoch += 1
            stack.restore()
            self.cut += len(part) if limit is not None and done >= 1 and epoch < plan.epochs else 0
            return self._told(stack, metric, outputs=True)

        return self._in_stacks(members, train, advance)

    def piece(
        self, members: Sequence[Member], plan: Plan, first: int, last: int, metric: str | None,
        left: Callable[[], float] | None = None,
    ) -> list[Learned]:  # fmt: skip
        """Train on, from pass `first` up to pass `last` of a plan, and score what has come of it.

        Args:
            members: What to train; all of the same age.
            plan: How, and over how many passes the learning rate falls.
            first: Passes done before.
            last: Passes done after.
            metric: What to score by.
            left: Seconds left; once they are gone, the stack at work ends with its step, and is told as cut, and no
                further one is begun. They decide nothing else: a score does not depend on how long it took.

        Returns:
            One for each member, in order; fewer where time has run out.
        """

        def train(part: Sequence[Member], still: int) -> list[Learned]:
            if left is not None and still < len(members) and left() <= 0:
                return []
            stack = self._stack(part, plan)
            spent = None if left is None else lambda: float(left() <= 0)
            epoch, done = first, 0.0
            while epoch < last and done < 1:
                done = self._epoch(stack, plan, epoch, spent)
                epoch += 1
            steps = len(shuffled(len(self.train.rows), plan.batch_size, plan.seed, first)) if done >= 1 else 0
            due = (last - first) * steps
            told = self._told(stack, metric, outputs=False)
            return [replace(one, cut=one.member.steps - old.steps < due) for one, old in zip(told, part, strict=True)]

        return self._in_stacks(members, train, None)

    def _in_stacks(
        self,
        members: Sequence[Member],
        train: Callable[[Sequence[Member], int], list[Learned]],
        advance: Callable[[int], None] | None,
    ) -> list[Learned]:
        """Stack after stack; where memory runs out, stacks of half the size from there on."""
        found: list[Learned] = []
        while len(found) < len(members):
            part = members[len(found) : len(found) + self.stack]
            started = time.monotonic()
            try:
                made = train(part, len(members) - len(found))
            except (MemoryError, RuntimeError) as error:
                if self.stack == 1 or len(part) == 1 or not _is_out_of_memory(error):
                    raise
                self.stack, self.shrunk = max(1, min(self.stack, len(part)) // 2), True
                continue
            for one in made:
                one.seconds = (time.monotonic() - started) / len(made)
            found += made
            if advance:
                advance(len(made))
            if len(made) < len(part):
                break
        return found

    def _stack(self, members: Sequence[Member], plan: Plan) -> FusionStack:
        recipe = Recipe(plan.weight_decay, plan.clip_norm)
        return FusionStack(members, self.sizes, self.tasks, recipe, self.device)

    def _epoch(self, stack: FusionStack, plan: Plan, epoch: int, spent: Callable[[], float] | None) -> float:
        """One pass over the training rows; returns how much of the time is spent, 0 without a limit."""
        order = shuffled(len(self.train.rows), plan.batch_size, plan.seed, epoch)
        steps = plan.epochs * len(order)
        done = 0.0
        for batch in StackFeed(stack.layout, self.train, self._kept(plan, epoch)).batches(order):
            stack.step(batch, lambda step, late=done: plan.learning_rate * rate_at(max(late, min(1.0, step / steps))))  # type: ignore[misc]
            done = spent() if spent is not None else 0.0
            if done >= 1:
                break
        return done

    def _kept(self, plan: Plan, epoch: int) -> dict[str, NDArray[np.bool_]]:
        """By modality, [training rows] of bool: what is not dropped in this pass, whatever the company."""
        if not plan.modality_dropout:
            return {}
        rows = self.train.rows
        names = sorted(rows.present)
        present = torch.from_numpy(np.stack([np.asarray(rows.present[name][rows.index]) for name in names]))
        draws = torch.Generator().manual_seed(mixed_seed(plan.seed, epoch, 0xD809))
        kept = kept_modalities(present, plan.modality_dropout, draws)
        return dict(zip(names, kept.numpy(), strict=True))

    def _chunks(self) -> list[NDArray[np.int64]]:
        rows = np.arange(len(self.validation.rows))
        return np.split(rows, range(ASKED_AT_ONCE, len(rows), ASKED_AT_ONCE)) if len(rows) else []

    def _losses(self, stack: FusionStack) -> NDArray[np.float64]:
        """Loss per task and member, summed over labelled validation rows, [tasks, members]."""
        total = np.zeros((len(self.tasks), len(stack)))
        for batch in StackFeed(stack.layout, self.validation).batches(self._chunks()):
            logits, start = stack.outputs(batch), 0
            for number, task in enumerate(self.tasks):
                part = logits[:, start : start + task.outputs]
                start += task.outputs
                mask = batch.labelled[task.name]
                losses, _ = TASK_KIND_REGISTRY[task.kind].losses(part, batch.targets[task.name])
                total[number] += torch.where(mask, losses, 0.0).double().sum(dim=1).cpu().numpy()
        return total

    def _scores(self, losses: NDArray[np.float64], members: Sequence[Member]) -> list[float | None]:
        """The default score of every member from its summed losses [tasks, members], by the tasks that it learns."""
        if not self._has_labels:
            return [None] * losses.shape[1]
        known = (self.constant > 0)[:, None]
        known = known & learned_by(members, self.tasks)
        each = np.where(known, 1 - losses / np.where(known, self.constant[:, None], 1), np.nan)
        # Losses that are not finite lose against everything; as NaN they would be left out of the mean.
        found = mean_score(self.tasks, np.where(known & ~np.isfinite(each), -np.inf, each))
        return [float(value) if math.isfinite(value) else None for value in found]

    def _told(self, stack: FusionStack, metric: str | None, outputs: bool) -> list[Learned]:
        members = stack.members()
        if metric is None and not outputs:
            return [Learned(m, s) for m, s in zip(members, self._scores(self._losses(stack), members), strict=True)]
        feed = StackFeed(stack.layout, self.validation)
        pieces = [stack.outputs(batch).clone().cpu() for batch in feed.batches(self._chunks())]
        empty = torch.zeros(len(stack), sum(self.sizes.outputs), 0)
        told = torch.cat(pieces, dim=2) if pieces else empty
        found = []
        for member, one in zip(members, told, strict=True):
            answers = self._by_task(one)
            value = score(self.tasks, answers, self.labels, metric) if len(self.labels) else None
            found.append(Learned(member, value, answers if outputs else {}))
        return found

    def _by_task(self, outputs: Tensor) -> dict[str, NDArray[np.float32]]:
        """Outputs of one member [outputs, rows] as arrays [rows, outputs of the task]."""
        parts = torch.split(outputs, [task.outputs for task in self.tasks])
        return {task.name: part.T.contiguous().numpy() for task, part in zip(self.tasks, parts, strict=True)}


class _Best:
    """The best weights that every member of a stack has had, until its patience is out.

    Args:
        stack: The stack.
        patience: Passes without a better score before a member stops; None never stops early.
    """

    def __init__(self, stack: FusionStack, patience: int | None) -> None:
        self.stack, self.patience = stack, math.inf if patience is None else patience
        self.score = np.full(len(stack), -math.inf)
        self.at = np.full(len(stack), -1)

    def judge(self, scores: Sequence[float | None], labels: bool, epoch: int) -> None:
        """Keep what is better than before; without labels, what is newest."""
        found = np.array([-math.inf if value is None else value for value in scores])
        better = ~self.stopped(epoch) & ((found > self.score) | (not labels) | (self.at < 0))
        self.stack.keep(better.tolist())
        self.score, self.at = np.where(better, found, self.score), np.where(better, epoch, self.at)

    def stopped(self, epoch: int) -> NDArray[np.bool_]:
        """[members]: whose patience was out before this pass; only of one that had a score at all."""
        return np.asarray((self.score > -math.inf) & (epoch - 1 - self.at >= self.patience))


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on any device; torch tells that of the main memory by its words alone."""
    told = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in told for words in NO_MEMORY)
