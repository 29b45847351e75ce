"""Builders of benchmark tables from public ingredients, one file each; importing this enters them in the registry."""

from plait.data.build._base import BUILDERS, Builder, BuildOptions
from plait.data.build.av_mnist import AvMnist

__all__ = ["BUILDERS", "AvMnist", "BuildOptions", "Builder"]
