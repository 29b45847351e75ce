"""Weights that a search may need again: survivors of a rung, and parents; written before the ledger names the rung."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from plait.data.digest import key_of
from plait.fusion.architecture import Architecture
from plait.fusion.stack import Member
from plait.training.checkpoints import from_json_tensor, json_tensor, load_tensors, save_tensors


class KeptWeights:
    """Members of one strategy, in memory, and on disk as they were at the end of its last rung.

    Args:
        folder: Where files go; None keeps nothing beyond this process.
        name: The strategy.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self.folder, self.name = folder, name
        self.members: dict[str, Member] = {}

    def path(self, rung: int) -> Path | None:
        """The file of a rung."""
        return None if self.folder is None else self.folder / f"search-{key_of([self.name])[:12]}.{rung}.safetensors"

    def keep(self, members: Iterable[Member], texts: Iterable[str]) -> None:
        """Remember these members, and of the others those of the texts alone."""
        wanted = set(texts)
        self.members = {text: member for text, member in self.members.items() if text in wanted}
        self.members |= {str(member.architecture): member for member in members}

    def write(self, rung: int) -> None:
        """Write what is remembered, whole or not at all."""
        path = self.path(rung)
        if path is None or not self.members:
            return
        tensors: dict[str, Tensor] = {}
        told = []
        for number, (text, member) in enumerate(self.members.items()):
            told.append({"text": text, "seed": member.seed, "steps": member.steps})
            if member.weights is not None:
                tensors[f"{number}/weights"] = member.weights
            if member.moments is not None:
                tensors[f"{number}/moments"] = member.moments
        tensors["told"] = json_tensor(told)
        save_tensors(path, tensors)

    def read(self, rung: int) -> None:
        """Take up what was written at the end of a rung, if anything was."""
        path = self.path(rung)
        if path is None or not path.exists():
            return
        tensors = load_tensors(path)
        for number, told in enumerate(from_json_tensor(tensors.pop("told"))):
            self.members.setdefault(
                str(told["text"]),
                Member(
                    Architecture.parse(told["text"]), int(told["seed"]), tensors.get(f"{number}/weights"),
                    tensors.get(f"{number}/moments"), int(told["steps"]),
                ),
            )  # fmt: skip

    def sweep(self, rung: int | None) -> None:
        """Remove all files but that of a rung."""
        if self.folder is None:
            return
        kept = None if rung is None else self.path(rung)
        for path in self.folder.glob(f"search-{key_of([self.name])[:12]}.*.safetensors"):
            if path != kept:
                path.unlink(missing_ok=True)

    def get(self, architecture: Architecture) -> Member | None:
        """A member as it is remembered."""
        return self.members.get(str(architecture))
