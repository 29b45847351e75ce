"""The weighted sum of loss terms."""

from __future__ import annotations

import pytest
import torch

from plait.training import WeightedSum


def terms(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"supervised/kind": parameter.sum(), "supervised/size": (parameter**2).sum(), "other": 3 * parameter.sum()}


@pytest.mark.parametrize(
    ("weights", "used"),
    [
        (None, (1, 1, 1)),
        ({"other": 0.5}, (1, 1, 0.5)),
        ({"supervised": 2}, (2, 2, 1)),
        ({"supervised": 2, "supervised/size": 0}, (2, 0, 1)),
    ],
)
def test_weights_by_name_or_by_its_beginning(weights, used) -> None:
    parameter = torch.tensor([1.0, -2.0], requires_grad=True)
    values = [float(term.detach()) for term in terms(parameter).values()]
    total = WeightedSum(weights).backward(terms(parameter))
    assert total == pytest.approx(sum(weight * value for weight, value in zip(used, values, strict=True)))
    expected = used[0] + used[1] * 2 * parameter.detach() + 3 * used[2]
    torch.testing.assert_close(parameter.grad, expected)


def test_gradients_are_added_to_what_is_there() -> None:
    parameter = torch.tensor([1.0], requires_grad=True)
    for _ in range(2):
        WeightedSum().backward({"a": 3 * parameter.sum()})
    assert parameter.grad.tolist() == [6]
