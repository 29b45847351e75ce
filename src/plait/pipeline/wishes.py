"""What a caller said about columns in Python, checked to be names, as the inference takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any

from plait.data.infer import Wishes
from plait.exceptions import Problems


def wishes_of(
    target: Any, group: Any, split_column: Any, ignore: Any, inputs: Any, kinds: Any, modalities: Any
) -> Wishes:  # fmt: skip
    """What was said about columns, checked to be names."""
    problems = Problems()

    def names(given: Any, what: str) -> list[str]:
        found = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
        odd = [name for name in found if not isinstance(name, str)]
        if odd:
            problems.add(f"{what} is {given!r}; give the name of a column (text), or a list of names.")
        return [name for name in found if isinstance(name, str)]

    for name, what in ((group, "group"), (split_column, "split_column")):
        if not isinstance(name, str | NoneType):
            problems.add(f"{what} is {name!r}; give the name of a column (text).")
    if not isinstance(kinds, Mapping | NoneType):
        problems.add(f"kinds is {kinds!r}; give a dict of kinds by column.")
        kinds = None
    if not isinstance(modalities, Mapping | NoneType):
        problems.add(f"modalities is {modalities!r}; give a dict of lists of columns by name.")
        modalities = None
    wishes = Wishes(
        names(target, "target"), group, split_column, names(ignore, "ignore"), names(inputs, "inputs"),
        dict(kinds or {}), {str(name): names(given, f"modality {name}") for name, given in (modalities or {}).items()},
    )  # fmt: skip
    problems.raise_if_any()
    return wishes
