"""The errors plait raises: one small tree, with messages written for the person who made the call."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class PlaitError(Exception):
    """Base of every error that plait raises on purpose."""


class InputError(PlaitError):
    """Something the caller gave cannot be used: an option, a table, a cell, a run folder.

    All mistakes found in one call are told together. The command line prints the message alone and exits with 2.

    Args:
        problems: One sentence per mistake: what was given, what was expected, how to mend it.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class BadCell(PlaitError):  # noqa: N818 - not the end of a call: readers turn it into a row of the list of bad rows
    """One cell of a table could not be read; the message says why, without the cell's place."""


class Problems:
    """Gathers mistakes so that one call tells them all.

    Example:
        >>> problems = Problems()
        >>> problems.add("--trials is 0: give 1 or more.")
        >>> len(problems.found)
        1
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        """Note one mistake."""
        if problem not in self.found:
            self.found.append(problem)

    def collect(self, error: InputError) -> None:
        """Note every mistake of an error caught elsewhere."""
        for problem in error.problems:
            self.add(problem)

    def raise_if_any(self) -> None:
        """Raise one `InputError` that tells every mistake noted so far, if there is any."""
        if self.found:
            raise InputError(self.found)


def one_line(error: BaseException, length: int = 300) -> str:
    """The text of an error on one line, cut to a length."""
    return " ".join(" ".join(str(part) for part in error.args).split())[:length] or type(error).__name__


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A half-sentence that names the nearest known word, or lists the known ones.

    Example:
        >>> did_you_mean("imge", ["image", "audio"])
        'did you mean image? (known: audio, image)'
    """
    words = sorted({str(word) for word in known})
    near = difflib.get_close_matches(str(given), words, n=1)
    listed = ", ".join(words[:20]) + (", ..." if len(words) > 20 else "")
    return f"did you mean {near[0]}? (known: {listed})" if near else f"known: {listed or 'none'}"


def listed(words: Sequence[str], most: int = 10) -> str:
    """Words in a row, and how many more there are.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    return ", ".join(words[:most]) + (f" and {len(words) - most:,} more" if len(words) > most else "")
