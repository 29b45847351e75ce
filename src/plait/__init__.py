"""plait: give it a table of several kinds of data; it finds out how to combine them and shows what it found."""

from typing import TYPE_CHECKING, Any

from plait._version import __version__
from plait.exceptions import InputError, PlaitError

if TYPE_CHECKING:
    from plait.predictor import Predictor, fit, load, schema

__all__ = ["InputError", "PlaitError", "Predictor", "__version__", "fit", "load", "schema"]


def __getattr__(name: str) -> Any:
    """Load the front door when it is first asked for: importing plait itself loads no torch."""
    if name in ("Predictor", "fit", "load", "schema"):
        from plait import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module 'plait' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
