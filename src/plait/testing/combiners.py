"""The contract of combiners: laws of what turns loss terms into gradients; a subclass gives the fixture `combiner`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from plait.testing.devices import OnDevices
from plait.training.combiners import Combiner


class CombinerSuite(OnDevices):
    """Base of the suites."""

    @pytest.fixture
    def combiner(self) -> Combiner:
        """The combiner under test, a fresh one; a subclass must give it."""
        raise NotImplementedError("give a fixture `combiner` that returns a Combiner")

    @pytest.fixture
    def parameters(self, device: torch.device) -> list[nn.Parameter]:
        """Parameters that terms depend on."""
        random = torch.Generator().manual_seed(0)
        return [nn.Parameter(torch.randn(size, generator=random).to(device)) for size in (3, 5)]


def _terms(parameters: list[nn.Parameter]) -> dict[str, Tensor]:
    one, two = parameters
    return {"a/x": (one**2).sum() + two.sum(), "a/y": torch.sin(one).sum(), "b": (two**2).mean()}


class CombinerGradients(CombinerSuite):
    """Gradients are written to every parameter that a term depends on, and point downhill."""

    def test_single_term(self, combiner: Combiner, parameters: list[nn.Parameter]) -> None:
        """One term alone gives its own gradient, and its own value."""
        expected = torch.autograd.grad(_terms(parameters)["a/x"], parameters)
        total = combiner.backward({"a/x": _terms(parameters)["a/x"]})
        assert isinstance(total, float)
        assert total == pytest.approx(float(_terms(parameters)["a/x"].detach()), rel=1e-5)
        for parameter, slope in zip(parameters, expected, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, slope)

    def test_all_parameters(self, combiner: Combiner, parameters: list[nn.Parameter]) -> None:
        """Several terms give finite gradients everywhere, along which their sum falls."""
        before = sum(float(term.detach()) for term in _terms(parameters).values())
        combiner.backward(_terms(parameters))
        with torch.no_grad():
            for parameter in parameters:
                assert parameter.grad is not None, "a parameter has no gradient"
                assert bool(parameter.grad.isfinite().all()), "a gradient is not finite"
                parameter.sub_(1e-3 * parameter.grad)
        assert sum(float(term.detach()) for term in _terms(parameters).values()) < before

    def test_order(self, combiner: Combiner, parameters: list[nn.Parameter]) -> None:
        """The order in which terms are given does not matter."""
        found = []
        arrange: tuple[Callable[[list[str]], list[str]], ...] = (list, lambda names: names[::-1])
        for order in arrange:
            for parameter in parameters:
                parameter.grad = None
            terms = _terms(parameters)
            combiner.backward({name: terms[name] for name in order(list(terms))})
            found.append([p.grad.clone() for p in parameters if p.grad is not None])
        torch.testing.assert_close(found[0], found[1])
