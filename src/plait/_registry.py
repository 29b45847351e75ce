"""The table of one plug-in kind: names to classes, filled by a decorator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from plait.exceptions import InputError, did_you_mean

T = TypeVar("T")
P = TypeVar("P")


class Registry(Generic[T]):
    """Names and plug-ins of one kind.

    Args:
        kind: What the plug-ins are, in words of an error message: "encoder", "objective".

    Example:
        >>> encoders: Registry[type] = Registry("encoder")
        >>> @encoders.register("dummy")
        ... class Dummy: ...
        >>> encoders["dummy"].__name__
        'Dummy'
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[P], P]:
        """Decorator that enters a plug-in under `name`.

        Raises:
            ValueError: The name is taken by another plug-in.
        """

        def enter(plugin: P) -> P:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice: {self._entries[name]} and {plugin}")
            self._entries[name] = plugin  # type: ignore[assignment]
            return plugin

        return enter

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise InputError(f"There is no {self.kind} called {name!r}: {did_you_mean(name, self._entries)}.")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
