"""Tells what a fit is doing: the pipeline speaks, faces (terminal, tests) listen."""

from __future__ import annotations

import logging


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

    def tell(self, sentence: str) -> None:
        """Something of interest that calls for nothing."""

    def end(self) -> None:
        """The current work is done."""


class LogNarrator(Narrator):
    """Passes everything on to the log called `plait`: notes as warnings, the rest as information.

    Python prints warnings on stderr unless the caller has set logging up otherwise.
    """

    log = logging.getLogger("plait")

    def begin(self, what: str, total: int | None = None) -> None:
        """Log what begins."""
        self.log.info("%s", what)

    def tell(self, sentence: str) -> None:
        """Log what is of interest."""
        self.log.info("%s", sentence)

    def note(self, sentence: str) -> None:
        """Log what the user should know."""
        self.log.warning("%s", sentence)
