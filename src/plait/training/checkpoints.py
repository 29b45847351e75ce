"""Weights on disk: safetensors, whole or not there, checked when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from plait.data.atomic import write_atomic
from plait.exceptions import InputError

EXTRA_STATE: Final = "_extra_state"
"""How torch calls what a module keeps beside its weights."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors atomically as safetensors; texts may travel with them."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomic(path, save(plain, dict(metadata or {})))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors written by `save_tensors`.

    Raises:
        InputError: Missing, cut off, or not safetensors.
    """
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged ({error}); fit again, or restore the file.") from error


def json_tensor(told: Any) -> Tensor:
    """What survives JSON, as a tensor of bytes that travels among others."""
    return torch.tensor(list(json.dumps(told).encode()), dtype=torch.uint8)


def from_json_tensor(tensor: Tensor) -> Any:
    """What `json_tensor` was given."""
    return json.loads(bytes(tensor.tolist()))


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict, every tensor of it and no other.

    Raises:
        InputError: Names or shapes differ from the module's; what torch calls extra state may have any shape.
    """
    expected = module.state_dict()
    wrong = sorted(set(expected) ^ set(tensors))
    both = {name for name in set(expected) & set(tensors) if not name.endswith(EXTRA_STATE)}
    wrong += sorted(name for name in both if expected[name].shape != tensors[name].shape)
    if wrong:
        raise InputError(f"{what} does not hold the weights it should: {', '.join(wrong[:5])}. Was it altered?")
    with torch.no_grad():
        module.load_state_dict(dict(tensors))


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
