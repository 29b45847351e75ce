"""The training loop, the only one: fit > epoch > step > losses; a method overrides one rung or brings an objective."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from plait.data.batches import Batch, Rows, shuffled
from plait.data.digest import key_of
from plait.encoders.cache import weights_digest
from plait.exceptions import InputError
from plait.fusion.moddrop import kept_modalities
from plait.objectives._base import Objective
from plait.tasks.score import Labels, score
from plait.training.checkpoints import from_json_tensor, json_tensor, load_into, load_tensors, save_tensors
from plait.training.combiners import Combiner, WeightedSum
from plait.training.model import Model


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        epochs: Passes over the training rows, at most.
        batch_size: Rows per step.
        learning_rate: The highest one; it rises linearly over the first tenth and falls as a cosine to 0.
        weight_decay: Of AdamW (Loshchilov & Hutter 2019).
        clip_norm: Gradients are scaled down to this norm.
        patience: Epochs without a better validation score before training stops; None never stops early.
        seed: Decides initial weights, batches and dropout.
        seconds: Wall-clock limit; None goes by counts alone, and no clock is read.
        modality_dropout: How often a modality of a training row is dropped, 0 to 1 (ModDrop, Neverova et al. 2016).
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    clip_norm: float = 1.0
    patience: int | None = None
    seed: int = 0
    seconds: float | None = None
    modality_dropout: float = 0.0


def passes(steps: int, rows: int, batch_size: int, fewest: int, most: int) -> int:
    """How many passes over the rows come to about so many steps, within bounds."""
    return int(np.clip(math.ceil(steps / max(1, rows / batch_size)), fewest, most))


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: Its number, from 0.
        loss: Mean training loss over the steps that had one; None if there were none, or it was not finite.
        score: Validation score; None without labels there, or with outputs that are not finite.
    """

    epoch: int
    loss: float | None
    score: float | None


class Hook:
    """Looks on while a model is trained; every method does nothing by default."""

    def on_epoch(self, trainer: Trainer, record: EpochRecord) -> None:
        """Called after every epoch, with the validation score known."""

    def on_step(self, trainer: Trainer, progress: float) -> None:
        """Called after every step; `progress` runs from 0 to 1."""


class Trainer:
    """Trains a model on rows and keeps the weights with the best validation score.

    Args:
        model: The model; trained in place.
        objectives: Terms of the loss.
        plan: How to train.
        combiner: Turns terms into gradients; by default their sum.
        hooks: Onlookers.
        checkpoint: A file to write after every epoch and to go on from if it is there (same result as in one go); one
            that belongs to another plan, model or other rows is not used.
        device: Where to train.

    `history` has a record per epoch; `cut` says whether time ended the training.
    """

    def __init__(
        self, model: Model, objectives: Sequence[Objective], plan: Plan, *, combiner: Combiner | None = None,
        hooks: Sequence[Hook] = (), checkpoint: Path | None = None, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.model, self.objectives, self.plan = model.to(device), list(objectives), plan
        self.combiner, self.hooks = combiner or WeightedSum(), list(hooks)
        self.checkpoint, self.device = checkpoint, torch.device(device)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay)
        self.history: list[EpochRecord] = []
        self.best: dict[str, Tensor] = {}
        self.best_score = -math.inf
        self.total_steps = 1
        self.steps = 0
        self.cut = False
        self.started = 0.0
        self.identity = ""

    def fit(self, train: Rows, validation: Rows) -> list[EpochRecord]:
        """Train until the plan is done, patience or time is out; the model ends with its best weights.

        Args:
            train: Rows to learn from, two at least.
            validation: Rows to judge by; the model never learns from them.
        """
        if len(train) < 2:
            raise InputError(f"{len(train)} labelled row(s) to train on; at least two are needed.")
        self.total_steps = self.plan.epochs * len(shuffled(len(train), self.plan.batch_size, 0, 0))
        self.started = time.monotonic() if self.plan.seconds is not None else 0.0
        self.identity = self.identify(train, validation)
        self.resume()
        with _own_randomness(self.device):
            for epoch in range(len(self.history), self.plan.epochs):
                if self.stops(epoch):
                    break
                loss = self.epoch(train, epoch)
                self.judge(epoch, loss, validation)
        self.cut = self.plan.seconds is not None and self.steps < self.total_steps and self.progress >= 1
        self.keep_best()
        return self.history

    def epoch(self, train: Rows, epoch: int) -> float | None:
        """One pass over the training rows; returns the mean loss. Ends early when time is out."""
        _seed_generators(self.device, mixed_seed(self.plan.seed, epoch))
        losses = []
        self.model.train()
        for positions in shuffled(len(train), self.plan.batch_size, self.plan.seed, epoch):
            losses.append(self.step(train.batch(positions).to(self.device)))
            if self.progress >= 1 and self.plan.seconds is not None:
                break
        known = [loss for loss in losses if loss is not None]
        return float(np.mean(known)) if known and all(map(math.isfinite, known)) else None

    def step(self, batch: Batch) -> float | None:
        """One step of the optimiser; returns the loss, None where no objective had anything to say.

        Gradients that are not finite change nothing: the step is left out.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * rate_at(self.progress)
        if self.plan.modality_dropout:
            batch = without_some(batch, self.plan.modality_dropout)
        for objective in self.objectives:
            batch = objective.before_batch(batch)
        terms = self.losses(batch)
        self.steps += 1
        if not terms:
            return None
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.combiner.backward(terms)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.plan.clip_norm)
        if norm.isfinite():
            self.optimizer.step()
            for objective in self.objectives:
                objective.after_step(self.model)
        for hook in self.hooks:
            hook.on_step(self, self.progress)
        return loss

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of all objectives."""
        return {name: term for part in self.objectives for name, term in part.terms(self.model, batch).items()}

    def judge(self, epoch: int, loss: float | None, validation: Rows) -> None:
        """Score the validation rows, keep the weights if they are the best so far, tell the hooks, write a checkpoint.

        Where validation cannot tell (no labels), the last weights are the best.
        """
        value = self.score(validation)
        finite = value is not None and math.isfinite(value)
        self.history.append(EpochRecord(epoch, loss, value if finite else None))
        if value is None or value > self.best_score or not self.best:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
            self.best_score = value if value is not None else self.best_score
        for hook in self.hooks:
            hook.on_epoch(self, self.history[-1])
        self.save()

    def score(self, rows: Rows) -> float | None:
        """The default score (1 - loss / loss of the constant predictor) of labelled rows.

        Returns:
            None without labels; -inf where weights or outputs are not finite.
        """
        told = self.model.predict(rows)
        outputs = {name: values.numpy() for name, values in told.items()}
        labels = Labels(
            {name: values[rows.index] for name, values in rows.targets.items()},
            {name: values[rows.index] for name, values in rows.labelled.items()},
        )
        value = score(self.model.tasks, outputs, labels)
        if value is None and not all(
            bool(t.isfinite().all()) for t in (*told.values(), *self.model.state_dict().values())
        ):
            return -math.inf
        return value

    def stops(self, epoch: int) -> bool:
        """Whether to stop before this epoch: time is out, or the score has not risen for `patience` epochs."""
        if epoch == 0:
            return False
        if self.plan.seconds is not None and self.progress >= 1:
            return True
        scores = [record.score if record.score is not None else -math.inf for record in self.history]
        if self.plan.patience is None or max(scores) == -math.inf:  # nothing to lose patience with
            return False
        return len(scores) - 1 - int(np.argmax(scores)) >= self.plan.patience

    @property
    def progress(self) -> float:
        """How far training is, 0 to 1: by steps, or by time where that is further; 0 until a step was made."""
        done = self.steps / self.total_steps
        if self.plan.seconds is None or self.steps == 0:
            return min(1.0, done)
        return min(1.0, max(done, (time.monotonic() - self.started) / max(self.plan.seconds, 1e-9)))

    def keep_best(self) -> None:
        """Load the best weights seen."""
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.eval()

    def save(self) -> None:
        """Write the checkpoint: weights, best weights, optimiser, history."""
        if self.checkpoint is None:
            return
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
        history = [asdict(record) for record in self.history]
        told = {"identity": self.identity, "history": history, "steps": self.steps}
        tensors["told"] = json_tensor(told)
        save_tensors(self.checkpoint, tensors)

    def identify(self, train: Rows, validation: Rows) -> str:
        """A digest of all that decides the result: plan (but the seconds), fresh model, rows and their labels."""
        if self.checkpoint is None:
            return ""
        plan = replace(self.plan, seconds=None if self.plan.seconds is None else 0.0)
        weighed = [(task.share, task.class_weights) for task in self.model.tasks]
        parts: list[str | bytes] = [repr(plan), repr(weighed), weights_digest(self.model)]
        for rows in (train, validation):
            parts += [rows.index.tobytes(), *(values[rows.index].tobytes() for values in rows.targets.values())]
            parts += [values[rows.index].tobytes() for values in rows.labelled.values()]
        return key_of(parts)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one of the same training."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        tensors = load_tensors(self.checkpoint)
        told = from_json_tensor(tensors.pop("told")) if "told" in tensors else {}
        if told.get("identity") != self.identity:
            return
        self.history = [EpochRecord(**record) for record in told["history"]]
        self.steps = told["steps"]
        self.best_score = max((r.score for r in self.history if r.score is not None), default=-math.inf)
        self.best = _part(tensors, "best/")
        load_into(self.model, _part(tensors, "model/"), f"The checkpoint {self.checkpoint}")
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "optimizer/").items():
            index, slot = name.split("/")
            state.setdefault(int(index), {})[slot] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def without_some(batch: Batch, rate: float) -> Batch:
    """The batch with some modalities of its rows dropped, drawn from torch's own generator."""
    kept = kept_modalities(torch.stack(list(batch.present.values())), rate)
    return replace(batch, present=dict(zip(batch.present, kept, strict=True)))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def rate_at(progress: float) -> float:
    """Share of the highest learning rate: up over the first tenth, then a cosine down to 0."""
    if progress < 0.1:
        return 0.1 + 9 * progress
    return 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9))


def mixed_seed(*seeds: int) -> int:
    """One seed for torch from several numbers."""
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _own_randomness(device: torch.device) -> AbstractContextManager[None]:
    """Inside, torch's global generators may be seeded; outside, they are as they were."""
    return torch.random.fork_rng(devices=[_cuda_index(device)] if device.type == "cuda" else [])


def _cuda_index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _seed_generators(device: torch.device, seed: int) -> None:
    """Seed the generators that are used on a device, and no other (`torch.manual_seed` seeds those of all devices)."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[_cuda_index(device)].manual_seed(seed)


def seeded_build(seed: int, *names: str) -> AbstractContextManager[None]:
    """Inside, fresh weights come from the seed and the names alone.

    Args:
        seed: Seed of the run.
        names: What is built: the same names give the same weights, in any company.
    """
    return _Seeded(mixed_seed(seed, *(byte for name in names for byte in name.encode())))


class _Seeded(AbstractContextManager[None]):
    def __init__(self, seed: int) -> None:
        self.seed, self.fork = seed, torch.random.fork_rng(devices=[])

    def __enter__(self) -> None:
        self.fork.__enter__()
        _seed_generators(torch.device("cpu"), self.seed)

    def __exit__(self, *error: object) -> None:
        self.fork.__exit__(None, None, None)
