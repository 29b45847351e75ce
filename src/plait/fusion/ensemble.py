"""An ensemble: several ways to decide, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from plait.encoders._base import HiddenStates
from plait.fusion.late import FLOOR
from plait.tasks._base import TASK_KIND_REGISTRY, Task


def averaged(task: Task, outputs: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of several outputs: of probabilities for classes, of predictions for numbers.

    Args:
        task: The task.
        outputs: [members, B, outputs].
        weights: [members], of sum 1.

    Returns:
        [B, outputs]: log probabilities, or numbers.
    """
    kind = TASK_KIND_REGISTRY[task.kind]
    mean = (kind.probabilities(outputs) * weights[:, None, None]).sum(dim=0)
    return mean.clamp_min(FLOOR).log() if kind.classification else mean


class _Together(nn.Module):
    """Several ways to decide as one.

    Args:
        members: Late rules, architectures, single modalities.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that any member reads, sorted."""
        return tuple(sorted({str(name) for member in self.members for name in member.modalities}))  # type: ignore[union-attr]


class Ensemble(_Together):
    """A weighted mean of what its members say.

    Args:
        members: Late rules, architectures, single modalities.
        counts: How often each member counts, 1 or more.
        tasks: The tasks.
    """

    def __init__(self, members: Sequence[nn.Module], counts: Sequence[int], tasks: Sequence[Task]) -> None:
        super().__init__(members)
        self.tasks = tuple(tasks)
        self.weights: Tensor
        self.register_buffer("weights", torch.tensor(counts, dtype=torch.float32) / sum(counts))

    def forward(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs].

        Args:
            states: Hidden states by modality.
            present: [B] of bool by modality.
        """
        told = [member(states, present) for member in self.members]
        return {
            task.name: averaged(task, torch.stack([one[task.name] for one in told]), self.weights)
            for task in self.tasks
        }


class Apart(_Together):
    """Several ways to decide, each of which answers some of the tasks alone.

    Args:
        members: Late rules, architectures, single modalities.
        answers: Per member, names of the tasks that it answers.
    """

    def __init__(self, members: Sequence[nn.Module], answers: Sequence[Sequence[str]]) -> None:
        super().__init__(members)
        self.answers = [tuple(names) for names in answers]

    def forward(self, states: Mapping[str, HiddenStates], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by task, [B, outputs].

        Args:
            states: Hidden states by modality.
            present: [B] of bool by modality.
        """
        found: dict[str, Tensor] = {}
        for member, names in zip(self.members, self.answers, strict=True):
            told = member(states, present)
            found |= {name: told[name] for name in names}
        return found
