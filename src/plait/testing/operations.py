"""The contract of fusion operations: each class is one capability, each test one law; a subclass gives `case`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from plait.fusion.operations import OPERATIONS, Operation

WIDTH = 5
ROWS = 12
MOST_TRIED = 12
"""As many sources are tried where an operation combines any number of them."""


@dataclass(frozen=True)
class OperationCase:
    """An operation, by its name in the registry, over some sources. All numbers are float64.

    Legend: S sources, B rows, C columns, W width, K stacked cells.
    """

    operation: str
    sources: int

    def __str__(self) -> str:
        return f"{self.operation}-{self.sources}"

    def made(self) -> Operation:
        """A fresh operation."""
        return OPERATIONS[self.operation]()

    def columns(self, *stacked: int, seed: int = 0) -> Tensor:
        """Made columns [S, *, B, C]."""
        random = torch.Generator().manual_seed(seed)
        count = self.made().columns(WIDTH, self.sources)
        return torch.randn(self.sources, *stacked, ROWS, count, generator=random, dtype=torch.float64)

    def present(self, *stacked: int, seed: int = 0) -> Tensor:
        """Made presence [S, *, B]: all in the first row, none in the second, one in the third and the fourth."""
        random = torch.Generator().manual_seed(seed + 1)
        mask = torch.rand(self.sources, *stacked, ROWS, generator=random) < 0.6
        mask[..., 0], mask[..., 1:4] = True, False
        mask[0, ..., 2] = mask[-1, ..., 3] = True
        return mask

    def weights(self, *stacked: int, seed: int = 0) -> dict[str, Tensor]:
        """Made values of its own weights, [*, shape]."""
        random = torch.Generator().manual_seed(seed + 2)
        shapes = self.made().weights(WIDTH, self.sources)
        return {
            name: torch.randn(*stacked, *shape, generator=random, dtype=torch.float64) for name, shape in shapes.items()
        }

    def answer(self, columns: Tensor, present: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """What a fresh operation makes of them, [*, B, W]."""
        return self.made().combine(columns.unbind(), present, weights)


def operation_cases() -> list[OperationCase]:
    """Every registered operation over one, two, three and four sources, as far as it combines so many."""
    return [
        OperationCase(name, sources)
        for name in OPERATIONS
        for sources in range(1, 1 + min(OPERATIONS[name].most_sources or 4, 4))
    ]


class OperationSuite:
    """Base of the suites."""

    @pytest.fixture
    def case(self) -> OperationCase:
        """The operation under test; a subclass must give it."""
        raise NotImplementedError("give a fixture `case` that returns an OperationCase")

    def permuted(self, case: OperationCase, weights: Mapping[str, Tensor], order: Sequence[int]) -> dict[str, Tensor]:
        """The operation's own weights for sources in another order; a subclass may know better.

        A first axis of S entries stands for the sources, one of n^S for their outer product; weights whose shape does
        not go by the number of sources stay as they are.
        """
        others = [case.made().weights(WIDTH, sources) for sources in range(1, case.sources + 3)]
        return {
            name: value if len({shapes.get(name) for shapes in others}) == 1 else _reordered(value, order)
            for name, value in weights.items()
        }


def _reordered(value: Tensor, order: Sequence[int]) -> Tensor:
    """The weight with the sources that its first axis stands for in another order."""
    size, count = len(value), len(order)
    if size == count:
        return value[list(order)]
    base = round(size ** (1 / count))
    assert base**count == size, "say in `permuted` how this weight goes with the order of sources"
    axes = value.reshape([base] * count + list(value.shape[1:]))
    return axes.permute(*order, *range(count, axes.dim())).reshape(value.shape)


class OperationNumbers(OperationSuite):
    """What it says of itself before it combines anything."""

    def test_columns_and_weights(self, case: OperationCase) -> None:
        """It asks for columns, and its weights start finite in the shapes that it names."""
        made = case.made()
        for width, sources in itertools.product((1, 2, 64), (1, case.sources)):
            assert made.columns(width, sources) >= 1, "it asks for no columns"
            for name, shape in made.weights(width, sources).items():
                assert all(size >= 1 for size in shape), f"{name} has no entries"
                assert math.isfinite(made.own_bound(name, shape)), f"{name} starts with what is no number"

    def test_start_of_projections(self, case: OperationCase) -> None:
        """Projections start with finite weights that are not all 0, and finite biases."""
        made = case.made()
        for width in (1, 8, 512):
            bound = made.bound(width, width * case.sources)
            assert math.isfinite(bound), "the bound is no number"
            assert bound > 0, "all weights would start at 0"
        assert math.isfinite(made.bias(case.sources)), "the bias is no number"
        assert made.bias(case.sources) >= 0, "the bias is negative"

    def test_result(self, case: OperationCase) -> None:
        """The result is [B, W] in the type of the columns, and finite even for rows without any source."""
        result = case.answer(case.columns(), case.present(), case.weights())
        assert tuple(result.shape) == (ROWS, WIDTH)
        assert result.dtype == torch.float64
        assert bool(result.isfinite().all()), "a result is not finite"

    def test_most_sources(self, case: OperationCase) -> None:
        """It combines as many sources as it says, two at least."""
        most = case.made().most_sources
        assert most is None or most >= 2, "it combines nothing"
        many = OperationCase(case.operation, MOST_TRIED if most is None else most)
        result = many.answer(many.columns(), many.present(), many.weights())
        assert tuple(result.shape) == (ROWS, WIDTH)
        assert bool(result.isfinite().all()), "a result is not finite"

    def test_fresh_values(self, case: OperationCase) -> None:
        """Fresh from `own_bound`, `bound` and `bias`, it answers with numbers that differ from row to row."""
        made, random = case.made(), torch.Generator().manual_seed(0)
        count = made.columns(WIDTH, case.sources)
        inputs = torch.randn(case.sources, ROWS, 8, generator=random, dtype=torch.float64)
        uniform = torch.rand(case.sources, 8, count, generator=random, dtype=torch.float64) * 2 - 1
        columns = inputs @ (uniform * made.bound(8, 8 * case.sources)) + made.bias(case.sources)
        own = {
            n: (torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1) * made.own_bound(n, shape)
            for n, shape in made.weights(WIDTH, case.sources).items()
        }
        result = made.combine(columns.unbind(), torch.ones(case.sources, ROWS, dtype=torch.bool), own)
        assert float(result.abs().max()) < 100, "fresh results are huge"
        assert float(result.std(dim=0).max()) > 1e-3, "fresh results do not tell rows apart"


class OperationAbsence(OperationSuite):
    """Absent sources have no say."""

    @pytest.mark.parametrize("rubbish", [1e30, -1e30, math.inf, math.nan])
    def test_rubbish(self, case: OperationCase, rubbish: float) -> None:
        """What stands in the columns of an absent source does not matter, to the bit."""
        columns, present, weights = case.columns(), case.present(), case.weights()
        other = torch.where(present[..., None], columns, rubbish)
        some = present.any(dim=0)
        expected = case.answer(columns, present, weights)
        assert torch.equal(case.answer(other, present, weights)[some], expected[some]), "an absent source has a say"

    def test_presence_matters(self, case: OperationCase) -> None:
        """Whether a source is there makes a difference, in some row at least."""
        if case.sources == 1:
            return
        columns, weights = case.columns(), case.weights()
        everything = torch.ones(case.sources, ROWS, dtype=torch.bool)
        without = everything.clone()
        without[0] = False
        whole, part = case.answer(columns, everything, weights), case.answer(columns, without, weights)
        assert not torch.equal(whole, part), "an absent source is not missed"

    def test_gradients(self, case: OperationCase) -> None:
        """Gradients are finite everywhere, and 0 for the columns of absent sources."""
        columns, present = case.columns().requires_grad_(), case.present()
        weights = {name: value.requires_grad_() for name, value in case.weights().items()}
        case.answer(columns, present, weights).square().sum().backward()  # type: ignore[no-untyped-call]
        for name, value in {"the columns": columns, **weights}.items():
            assert value.grad is not None, f"{name} get no gradient"
            assert bool(value.grad.isfinite().all()), f"a gradient of {name} is not finite"
        assert columns.grad is not None
        absent = (~present & present.any(dim=0))[..., None]
        assert not bool((columns.grad * absent).any()), "an absent source gets a gradient"
        assert bool(columns.grad[:, 0].any()), "sources that are there get no gradient"


class OperationIndependence(OperationSuite):
    """Neither the order of sources, nor other rows, nor other cells of a stack have a say."""

    def test_order(self, case: OperationCase) -> None:
        """The order of sources does not matter."""
        columns, present, weights = case.columns(), case.present(), case.weights()
        expected = case.answer(columns, present, weights)
        for order in itertools.permutations(range(case.sources)):
            found = case.answer(columns[list(order)], present[list(order)], self.permuted(case, weights, order))
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)

    def test_company(self, case: OperationCase) -> None:
        """A row has the same result alone and among others, in whatever order."""
        columns, present, weights = case.columns(), case.present(), case.weights()
        expected = case.answer(columns, present, weights)
        alone = [case.answer(columns[:, i : i + 1], present[:, i : i + 1], weights) for i in range(ROWS)]
        torch.testing.assert_close(torch.cat(alone), expected, rtol=1e-10, atol=1e-10)
        turned = case.answer(columns.flip(1), present.flip(1), weights).flip(0)
        torch.testing.assert_close(turned, expected, rtol=1e-10, atol=1e-10)

    def test_nothing_absent(self, case: OperationCase) -> None:
        """None in the place of the mask is a mask of all sources."""
        columns, weights = case.columns(), case.weights()
        everywhere = torch.ones_like(case.present())
        expected = case.answer(columns, everywhere, weights)
        torch.testing.assert_close(
            case.made().combine(columns.unbind(), None, weights), expected, rtol=1e-10, atol=1e-10
        )

    @pytest.mark.parametrize("stacked", [(1,), (4,), (2, 3)], ids=str)
    def test_stacked(self, case: OperationCase, stacked: tuple[int, ...]) -> None:
        """Stacked cells [K], or [K, K'], each have the result that they have alone; so with one mask for them all."""
        columns, weights = case.columns(*stacked), case.weights(*stacked)
        for present in (case.present(*stacked), case.present()):
            together = case.answer(columns, present, weights)
            assert tuple(together.shape) == (*stacked, ROWS, WIDTH)
            for place in _places(stacked):
                own = {name: value[place] for name, value in weights.items()}
                mask = present if present.dim() == 2 else present.movedim(0, -2)[place]
                alone = case.answer(columns.movedim(0, -3)[place], mask, own)
                torch.testing.assert_close(together[place], alone, rtol=1e-10, atol=1e-10)


def _places(stacked: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, stacked))
