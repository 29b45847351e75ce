"""Turn the terms of the loss into gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from plait._registry import Registry


class Combiner(ABC):
    """Turns named loss terms into gradients on the parameters. Stateless combiners need no more than `backward`."""

    @abstractmethod
    def backward(self, terms: Mapping[str, Tensor]) -> float:
        """Write gradients; returns the total loss."""


COMBINERS: Registry[type[Combiner]] = Registry("combiner")
"""Combiners by name."""


@COMBINERS.register("sum")
class WeightedSum(Combiner):
    """The sum of all terms, each times its weight (1 unless named).

    Args:
        weights: Weights by term, or by the part of its name before the first slash.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = dict(weights or {})

    def weight(self, name: str) -> float:
        """The weight of a term."""
        return self.weights.get(name, self.weights.get(name.split("/", 1)[0], 1.0))

    def backward(self, terms: Mapping[str, Tensor]) -> float:
        """Gradients of the weighted sum."""
        total = sum((self.weight(name) * term for name, term in terms.items()), start=0.0 * next(iter(terms.values())))
        torch.autograd.backward(total)
        return float(total.detach())
