"""Surrogates of progressive search, one file each; importing this package registers them."""

from plait.search.surrogates import forest, lstm
from plait.search.surrogates._base import SURROGATES

__all__ = ["SURROGATES", "forest", "lstm"]
