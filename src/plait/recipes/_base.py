"""What a recipe is: a published data set, how it becomes a table, and what is told when plait has learned it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from plait.exceptions import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

RECIPES = {"sentiment": "plait.recipes.sentiment:Sentiment", "toxicity": "plait.recipes.toxicity:Toxicity"}
"""Recipes by name, and where each is; loaded when asked for."""


@dataclass(frozen=True)
class Budget:
    """What a recipe may spend.

    Attributes:
        trials: Fusion architectures to try; None goes by time.
        time_limit: Seconds for the fit; None for the default.
        seed: Decides everything that is drawn.
    """

    trials: int | None = None
    time_limit: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Told:
    """What came of a recipe.

    Attributes:
        figures: Plain data: what plait reached, and what it is set beside.
        lines: The same to be read.
    """

    figures: dict[str, Any]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """A table ready to be fitted.

    Attributes:
        train: Rows to learn from and to choose by.
        test: Rows to judge by.
        targets: What is learned.
        options: More arguments of `plait.fit`.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    targets: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


class Recipe(ABC):
    """A worked application.

    Order of calls: `prepare`, then `plait.fit` on what it gives, then `tell`.

    Attributes:
        name: What it is called.
        summary: One line: what is learned from what.
        file: The file it reads, below the data folder.
        options: Its own switches: name and what each does.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    file: ClassVar[str]
    options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, switches: Sequence[str] = ()) -> None:
        self.switches = frozenset(switches)

    @abstractmethod
    def prepare(self, table: pd.DataFrame) -> Prepared:
        """The table to be fitted, from the published one."""

    @abstractmethod
    def tell(self, predictor: Any, prepared: Prepared, seed: int) -> Told:
        """What the predictor reached on the test rows, beside simpler models on the same rows."""

    def run(self, data: Path, out: Path, budget: Budget, resume: bool = False, narrator: Any = None) -> Told:
        """Read, fit, tell.

        Args:
            data: The folder that holds `file`, or the file itself.
            out: The run folder to write.
            budget: What may be spent.
            resume: Go on with the run in `out`, if there is one.
            narrator: Told what is being done.

        Raises:
            InputError: The file is not there, lacks a column, or the run cannot be written.
        """
        import plait

        prepared = self.prepare(self.read(data))
        predictor = plait.fit(
            prepared.train, prepared.targets, test=prepared.test, out=out, trials=budget.trials,
            time_limit=budget.time_limit, seed=budget.seed, resume=resume, narrator=narrator, **prepared.options,
        )  # fmt: skip
        return self.tell(predictor, prepared, budget.seed)

    def read(self, data: Path) -> pd.DataFrame:
        """The published table."""
        import pandas as pd

        path = data if data.is_file() else data / self.file
        if not path.is_file():
            raise InputError(
                f"The recipe {self.name} reads {self.file}, and there is none in {data}; give its folder by --data."
            )
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as Parquet ({' '.join(str(error).split())[:160]}).") from error

    def require(self, table: pd.DataFrame, columns: Sequence[str]) -> None:
        """Refuse a table without some columns.

        Raises:
            InputError: Names them.
        """
        missing = [name for name in columns if name not in table.columns]
        if missing:
            raise InputError(
                f"The recipe {self.name} needs the columns {', '.join(missing)}; the table has "
                f"{', '.join(map(str, table.columns[:12]))}{', ...' if len(table.columns) > 12 else ''}."
            )


def make_recipe(name: str, switches: Sequence[str] = ()) -> Recipe:
    """A recipe by its name.

    Raises:
        InputError: There is none of that name, or it has no such switch.
    """
    if name not in RECIPES:
        raise InputError(f"There is no recipe {name!r}; {did_you_mean(name, RECIPES)}.")
    module, _, kind = RECIPES[name].partition(":")
    made: type[Recipe] = getattr(import_module(module), kind)
    for switch in switches:
        if switch not in made.options:
            known = did_you_mean(switch, made.options)
            raise InputError(f"The recipe {name} has no switch {switch!r}; {known}.")
    return made(switches)
