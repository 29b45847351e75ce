"""Builders of benchmark tables, from public ingredients or made up; importing this enters them in the registry."""

from plait.data.build._base import BUILDERS, Builder, BuildOptions
from plait.data.build.av_mnist import AvMnist
from plait.data.build.many_modalities import ManyModalities

__all__ = ["BUILDERS", "AvMnist", "BuildOptions", "Builder", "ManyModalities"]
