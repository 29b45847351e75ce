"""Tells what a fit is doing: the pipeline speaks, faces (terminal, tests) listen."""

from __future__ import annotations


class Narrator:
    """Listens to a fit; every method does nothing by default."""

    def begin(self, what: str, total: int | None = None) -> None:
        """A piece of work begins; `total` units of it are to come, None if nobody knows."""

    def advance(self, units: int = 1) -> None:
        """Some units of the current work are done."""

    def fraction(self, done: float) -> None:
        """The current work stands at this share, 0 to 1."""

    def note(self, sentence: str) -> None:
        """Something the user should know."""

    def end(self) -> None:
        """The current work is done."""
