"""The ledger: every score of every trial in one SQLite file, a transaction at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from plait.exceptions import InputError
from plait.search.evaluator import Trial

SCHEMA = """
CREATE TABLE IF NOT EXISTS trials (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    candidate TEXT NOT NULL,
    proposer TEXT NOT NULL,
    rung INTEGER NOT NULL,
    passes INTEGER,
    seed INTEGER NOT NULL,
    scores TEXT NOT NULL,
    score REAL,
    seconds REAL NOT NULL
)
"""
COLUMNS = "number, name, kind, candidate, proposer, rung, passes, seed, scores, score, seconds"

FORMAT = 2
"""Of the table: a ledger of another one is begun anew."""

OWNER = "CREATE TABLE IF NOT EXISTS owner (key TEXT NOT NULL)"


class Ledger:
    """The trials of one run. One writer at a time: the run's lock sees to it.

    Args:
        path: The SQLite file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path)) as connection, connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(SCHEMA)
                connection.execute(OWNER)
                yield connection
        except sqlite3.OperationalError as error:
            raise InputError(
                f"The ledger {self.path} cannot be written ({error}); what was done before is kept. Make room, or end "
                "what else uses the file, and go on with --resume."
            ) from error
        except sqlite3.DatabaseError as error:
            raise InputError(f"The ledger {self.path} cannot be used ({error}); is the file damaged?") from error

    def record(
        self, trials: Sequence[Trial], proposer: str, rung: int, seed: int, passes: int | None = None
    ) -> None:  # fmt: skip
        """Write one rung's trials in one transaction; an earlier recording of the rung is replaced.

        Args:
            trials: What was scored.
            proposer: Who asked for it.
            rung: Its number, counted for each proposer.
            seed: Of the search.
            passes: Passes over the training rows after which these scores were taken, 0 where time cut them short; None
                for whole trainings.
        """
        rows = [
            (
                trial.candidate.name, trial.candidate.kind, trial.candidate.model_dump_json(exclude_defaults=True),
                proposer, rung, passes, seed, json.dumps(trial.scores), trial.score, trial.seconds,
            )
            for trial in trials
        ]  # fmt: skip
        with self._open() as connection:
            connection.execute("DELETE FROM trials WHERE rung = ? AND proposer = ?", (rung, proposer))
            connection.executemany(
                "INSERT INTO trials (name, kind, candidate, proposer, rung, passes, seed, scores, score, seconds)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def claim(self, key: str) -> bool:
        """Begin or go on with a search: trials of another key are of no use to it and go.

        Args:
            key: A digest of all that scores depend on.

        Returns:
            Whether trials of this key may be here.
        """
        key = f"{FORMAT} {key}"
        with self._open() as connection:
            found = connection.execute("SELECT key FROM owner").fetchone()
            if found is not None and found[0] == key:
                return True
            connection.execute("DROP TABLE trials")
            connection.execute(SCHEMA)
            connection.execute("DELETE FROM owner")
            connection.execute("INSERT INTO owner VALUES (?)", (key,))
        return False

    def read(self) -> list[dict[str, Any]]:
        """All trials in the order they were written, one dict each."""
        with self._open() as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute("SELECT * FROM trials ORDER BY number")]
        return [
            {**row, "scores": json.loads(row["scores"]), "candidate": json.loads(row["candidate"])} for row in found
        ]

    def look(self) -> list[dict[str, Any]]:
        """As `read`, without writing anything: also while a fit is running, and in a folder that is read-only.

        Raises:
            InputError: The file is damaged, or another version of plait wrote it.
        """
        if not self.path.is_file():
            return []
        # Without a journal nobody writes, and nothing need be made beside the file to read it.
        how = "mode=ro" if self.path.with_name(f"{self.path.name}-wal").exists() else "mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?{how}", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                found = [dict(row) for row in connection.execute(f"SELECT {COLUMNS} FROM trials ORDER BY number")]
            return [
                {**row, "scores": json.loads(row["scores"]), "candidate": json.loads(row["candidate"])} for row in found
            ]
        except sqlite3.OperationalError as error:
            raise InputError(
                f"The ledger {self.path} cannot be read ({error}); if another version of plait wrote it, fit again."
            ) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            raise InputError(f"The ledger {self.path} cannot be used ({error}); is the file damaged?") from error
