"""Progress on stderr: bars with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from plait.pipeline.narrator import Narrator


class TerminalNarrator(Narrator):
    """Shows a fit's progress while the `with` block lasts."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=self.console, disable=not self.console.is_terminal,
        )  # fmt: skip
        self.task: TaskID | None = None
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def begin(self, what: str, total: int | None = None) -> None:
        """A new bar; without a terminal, a line with the time since the start."""
        self.task = self.progress.add_task(what, total=total)
        if not self.console.is_terminal:
            size = f" ({total:,})" if total and total != 100 else ""
            self.console.print(f"[{time.monotonic() - self.started:6.1f} s] {what}{size}", markup=False)

    def advance(self, units: int = 1) -> None:
        """Move the bar."""
        if self.task is not None:
            self.progress.advance(self.task, units)

    def fraction(self, done: float) -> None:
        """Set the bar."""
        if self.task is not None:
            self.progress.update(self.task, completed=100 * done)

    def tell(self, sentence: str) -> None:
        """Print a sentence above the bars."""
        self.console.print(sentence, markup=False)

    def note(self, sentence: str) -> None:
        """Print a sentence above the bars."""
        self.console.print(f"note: {sentence}", markup=False)

    def end(self) -> None:
        """Fill the bar."""
        if self.task is not None:
            total = self.progress.tasks[self.task].total or 1
            self.progress.update(self.task, total=total, completed=total)
        self.task = None
