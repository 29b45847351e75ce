"""Weights on disk: whole or not there, checked when they are read."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plait.exceptions import InputError
from plait.training.checkpoints import load_into, load_tensors, save_tensors


def test_round_trip(tmp_path) -> None:
    tensors = {
        "a": torch.randn(3, 2).T,  # not contiguous
        "b": torch.arange(4),
        "c": torch.tensor(2.5),
        "d": torch.zeros(0, 3),
        "e": torch.ones(5, requires_grad=True),
    }
    save_tensors(tmp_path / "deep" / "w", tensors)
    found = load_tensors(tmp_path / "deep" / "w")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["w"]


def test_tensors_that_share_memory(tmp_path) -> None:
    whole = torch.arange(6.0)
    save_tensors(tmp_path / "w", {"all": whole, "head": whole[:2]})
    assert load_tensors(tmp_path / "w")["head"].tolist() == [0, 1]


@pytest.mark.parametrize("damage", [b"", b"rubbish", "cut", "grown"])
def test_damaged(tmp_path, damage) -> None:
    path = tmp_path / "w"
    save_tensors(path, {"a": torch.randn(50)})
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[:-9], "grown": whole + b"x"}.get(damage, damage) if isinstance(damage, str) else damage
    )
    with pytest.raises(InputError, match=r"is damaged .*; fit again, or restore the file"):
        load_tensors(path)


def test_missing(tmp_path) -> None:
    with pytest.raises(InputError, match=r"w cannot be read \(No such file"):
        load_tensors(tmp_path / "w")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "w"
    save_tensors(path, {"a": torch.zeros(3)})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="cannot be written"):
        save_tensors(path, {"a": torch.ones(3)})
    assert load_tensors(path)["a"].tolist() == [0, 0, 0]


def test_load_into() -> None:
    module = nn.Linear(2, 1)
    load_into(module, {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([3.0])}, "The file")
    assert module.weight.tolist() == [[1, 2]]
    assert module.weight.requires_grad
    for wrong in (
        {"weight": torch.zeros(1, 2)},
        {"weight": torch.zeros(2, 1), "bias": torch.zeros(1)},
        {"weight": torch.zeros(1, 2), "bias": torch.zeros(1), "more": torch.zeros(1)},
    ):
        with pytest.raises(InputError, match=r"The file does not hold the weights it should: .*Was it altered\?"):
            load_into(module, wrong, "The file")
    assert module.weight.tolist() == [[1, 2]]
