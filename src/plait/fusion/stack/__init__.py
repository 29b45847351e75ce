"""Many fusion architectures trained as one network."""

from plait.fusion.stack.inputs import StackFeed
from plait.fusion.stack.stack import FusionStack, Member, Recipe, learned_by
from plait.fusion.stack.weights import Sizes

__all__ = ["FusionStack", "Member", "Recipe", "Sizes", "StackFeed", "learned_by"]
