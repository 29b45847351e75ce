"""The contract of encoders: each class is one capability, each test one law; a subclass gives the fixture `case`.

Example:
    class Mine:
        @pytest.fixture(params=encoder_cases({"mine": MyEncoder}), ids=str)
        def case(self, request):
            return request.param

    class TestStates(Mine, EncoderStates): ...
    class TestIndependence(Mine, EncoderIndependence): ...
    class TestLearning(Mine, EncoderLearning): ...
    class TestWeights(Mine, EncoderWeights): ...
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from plait._registry import Registry
from plait.encoders._base import NEAR_RAW, Encoder, HiddenStates
from plait.testing.devices import OnDevices
from plait.testing.inputs import Sample, samples_of
from plait.training.loop import seeded_build

TOLERANCE = {"cpu": 1e-5, "cuda": 5e-3}
"""How far a row's states may move with its company; CUDA convolves in 19 bits (TF32)."""


@dataclass(frozen=True)
class EncoderCase:
    """An encoder, under its name, and inputs that suit it."""

    name: str
    encoder: type[Encoder]
    sample: Sample

    def __str__(self) -> str:
        return f"{self.name}-{self.sample.name}"

    def build(self, seed: int = 0) -> Encoder:
        """A fresh encoder."""
        with seeded_build(seed, "encoder", self.name):
            return self.encoder.build(self.sample.reader)

    def fitted(self, device: torch.device, seed: int = 0) -> Encoder:
        """An encoder with fitted input that has seen a batch in training, in evaluation mode on a device."""
        encoder = self.build(seed)
        encoder.fit_input(self.sample.values, seed)
        with seeded_build(seed, "dropout"), torch.no_grad():
            encoder.train()(torch.from_numpy(self.sample.values))
        return encoder.eval().to(device)

    def values(self, device: torch.device) -> Tensor:
        """Ordinary rows."""
        return torch.from_numpy(self.sample.values).to(device)


def encoder_cases(encoders: Registry[type[Encoder]] | dict[str, type[Encoder]]) -> list[EncoderCase]:
    """One case per encoder and sample that suits it.

    Raises:
        LookupError: No sample suits an encoder.
    """
    cases = []
    for name in encoders:
        encoder = encoders[name]
        suited = [s for s in samples_of(encoder.kind) if encoder.suits(s.reader) > 0]
        if not suited:
            raise LookupError(f"no sample of plait.testing.inputs suits the encoder {name!r}")
        cases += [EncoderCase(name, encoder, sample) for sample in suited]
    return cases


class EncoderSuite(OnDevices):
    """Base of the suites."""

    @pytest.fixture
    def case(self) -> EncoderCase:
        """The encoder under test; a subclass must give it."""
        raise NotImplementedError("give a fixture `case` that returns an EncoderCase")


class EncoderStates(EncoderSuite):
    """Hidden states are what the encoder declares, for any input."""

    def test_widths(self, case: EncoderCase, device: torch.device) -> None:
        """Layers have the declared widths, in 32-bit floating point, one row per input row."""
        encoder = case.fitted(device)
        states = encoder(case.values(device))
        rows = len(case.sample.values)
        assert len(encoder.widths) >= 2, "an encoder has layer 0 and at least one hidden layer"
        assert [tuple(layer.shape) for layer in states.layers] == [(rows, width) for width in encoder.widths]
        assert all(layer.dtype == torch.float32 for layer in states.layers), "states are 32-bit floating point"

    def test_near_raw(self, case: EncoderCase) -> None:
        """Layer 0 has at most 512 numbers."""
        assert 1 <= case.build().widths[0] <= NEAR_RAW, f"layer 0 has {case.build().widths[0]} numbers"

    def test_tokens(self, case: EncoderCase, device: torch.device) -> None:
        """Where there is a sequence of tokens, there is a mask of the same rows and length."""
        states = case.fitted(device)(case.values(device))
        if states.tokens is None:
            assert states.token_mask is None, "a token mask without tokens"
            return
        assert states.token_mask is not None, "tokens without a mask"
        assert states.tokens.dim() == 3, "tokens are [B, T, d]"
        assert states.token_mask.shape == states.tokens.shape[:2], "the mask is [B, T]"
        assert states.token_mask.dtype == torch.bool, "the mask is of bool"

    def test_one_row(self, case: EncoderCase, device: torch.device) -> None:
        """A batch of one row works in evaluation mode."""
        encoder = case.fitted(device)
        states = encoder(case.values(device)[:1])
        assert [tuple(layer.shape) for layer in states.layers] == [(1, width) for width in encoder.widths]

    def test_zeros(self, case: EncoderCase, device: torch.device) -> None:
        """Absent rows arrive as zeros: their states are finite."""
        _assert_finite(case.fitted(device)(torch.zeros_like(case.values(device))), "zeros")

    def test_extremes(self, case: EncoderCase, device: torch.device) -> None:
        """The smallest, largest and emptiest inputs have finite states."""
        _assert_finite(case.fitted(device)(torch.from_numpy(case.sample.extreme).to(device)), "extreme inputs")

    @pytest.mark.parametrize("rows", [0, 1])
    def test_few_training_rows(self, case: EncoderCase, device: torch.device, rows: int) -> None:
        """Fitted on no row, or on a single one, the states are finite all the same."""
        encoder = case.build()
        encoder.fit_input(case.sample.values[:rows], 0)
        _assert_finite(encoder.eval().to(device)(case.values(device)), f"an input fitted on {rows} rows")

    def test_extreme_training_rows(self, case: EncoderCase, device: torch.device) -> None:
        """Fitted on extreme rows, the states are finite all the same."""
        encoder = case.build()
        encoder.fit_input(case.sample.extreme, 0)
        both = np.concatenate([case.sample.extreme, case.sample.values])
        _assert_finite(encoder.eval().to(device)(torch.from_numpy(both).to(device)), "an input fitted on extreme rows")


class EncoderIndependence(EncoderSuite):
    """In evaluation mode a row's states depend on that row alone."""

    def test_company(self, case: EncoderCase, device: torch.device) -> None:
        """A row has the same states alone and among others."""
        encoder, values = case.fitted(device), case.values(device)
        together = encoder(values)
        for row in range(len(values)):
            _assert_same(encoder(values[row : row + 1]), _rows(together, slice(row, row + 1)), device, "company")

    def test_order(self, case: EncoderCase, device: torch.device) -> None:
        """Rows in another order have the same states."""
        encoder, values = case.fitted(device), case.values(device)
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(values))).to(device)
        _assert_same(encoder(values[order]), _rows(encoder(values), order), device, "order")


class EncoderLearning(EncoderSuite):
    """Every parameter can be learned."""

    def test_gradients(self, case: EncoderCase, device: torch.device) -> None:
        """The gradient of the hidden layers reaches every parameter, and is finite."""
        encoder = case.fitted(device)
        states = encoder(case.values(device))
        weights = torch.Generator().manual_seed(0)
        terms = [
            (layer * torch.randn(layer.shape, generator=weights).to(device)).sum()
            for layer in states.layers
            if layer.requires_grad
        ]
        assert terms, "no layer depends on a parameter"
        torch.autograd.backward(terms)
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None, f"no gradient reaches {name}"
            assert bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite"
            assert bool(parameter.grad.any()), f"the gradient of {name} is 0 everywhere"


class EncoderWeights(EncoderSuite):
    """Weights come from the seed, and all that is learned or fitted is in the state dict."""

    def test_round_trip(self, case: EncoderCase, device: torch.device) -> None:
        """A fresh encoder with another one's state dict gives the same states, to the bit."""
        encoder = case.fitted(device)
        other = case.build(seed=1).eval().to(device)
        other.load_state_dict(encoder.state_dict())
        values = case.values(device)
        for one, two in zip(encoder(values).layers, other(values).layers, strict=True):
            assert torch.equal(one, two), "the state dict does not hold all that was fitted"

    def test_seed(self, case: EncoderCase) -> None:
        """The same seed gives the same weights; another seed, others."""
        one, same, other = (case.build(seed).state_dict() for seed in (3, 3, 4))
        assert list(one) == list(same)
        assert all(torch.equal(one[name], same[name]) for name in one), "the same seed gave other weights"
        assert any(not torch.equal(one[name], other[name]) for name in one), "another seed gave the same weights"


def _rows(states: HiddenStates, rows: slice | Tensor) -> HiddenStates:
    tokens = None if states.tokens is None else states.tokens[rows]
    mask = None if states.token_mask is None else states.token_mask[rows]
    return HiddenStates(tuple(layer[rows] for layer in states.layers), tokens, mask)


def _assert_finite(states: HiddenStates, what: str) -> None:
    for number, layer in enumerate(states.layers):
        assert bool(layer.isfinite().all()), f"layer {number} of {what} is not finite"


def _assert_same(one: HiddenStates, two: HiddenStates, device: torch.device, what: str) -> None:
    tolerance = TOLERANCE[device.type]
    pairs = list(zip(one.layers, two.layers, strict=True))
    if one.tokens is not None and two.tokens is not None:
        pairs.append((one.tokens, two.tokens))
    for number, (first, second) in enumerate(pairs):
        close = torch.allclose(first, second, rtol=tolerance, atol=tolerance)
        furthest = float((first - second).abs().max().detach()) if first.numel() else 0.0
        assert close, f"layer {number} moves by {furthest:.1e} with a row's {what}"
