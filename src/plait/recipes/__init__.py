"""Worked applications: each reads its data as it is published, and uses plait as anybody would."""

from plait.recipes._base import RECIPES, Recipe, make_recipe

__all__ = ["RECIPES", "Recipe", "make_recipe"]
