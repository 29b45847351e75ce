"""The run folder: what a fit writes and a predictor reads; one writer at a time; every file whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from plait.data.atomic import write_json
from plait.exceptions import InputError

FORMAT: Final = 1
"""Version of the run folder's format; a newer one is refused."""

MANIFEST: Final = "plait.json"

WRITTEN: Final = ("weights.safetensors", "trials.sqlite", "splits.parquet", "log.jsonl", "report.html")
"""What a run folder holds beside the manifest and the stages' results."""


class RunFolder:
    """A run folder being written.

    Args:
        path: The folder.
        resume: Whether to go on with a run that is there.

    Raises:
        InputError: A file is in the way, the folder cannot be written, holds a run and `resume` is False, or another
            process is writing it.
    """

    def __init__(self, path: Path, resume: bool = False) -> None:
        self.path = path
        self.check(path, resume)
        self.is_new = not path.exists()
        self.held_run = (path / MANIFEST).exists() or (path / "stages").exists()
        try:
            self.stages.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / ".lock", timeout=0)
            self._lock.acquire()
        except Timeout as error:
            raise InputError(
                f"Another process is writing the run {path}; wait for it, or give another --out."
            ) from error
        except OSError as error:
            raise InputError(
                f"The run folder {path} cannot be written ({error.strerror}); give another --out."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which may write to the log, and holds no lock."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    @staticmethod
    def check(path: Path, resume: bool) -> None:
        """Refuse a place where no run can be written, before anything is written.

        Raises:
            InputError: As the class says.
        """
        if path.exists() and not path.is_dir():
            raise InputError(f"--out {path} is a file; give the path of a folder that does not exist yet.")
        is_run = (path / MANIFEST).exists() or (path / "stages").exists()
        others = [name for name in WRITTEN if (path / name).exists()]
        if others and not is_run:
            raise InputError(
                f"--out {path} is no run, but holds {', '.join(others)}, which a fit would write over; give another "
                "folder."
            )
        if not resume and is_run:
            raise InputError(f"--out {path} holds a run. Go on with it by --resume, or give another folder.")
        parent = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(f"--out {path} cannot be written: {parent} is not a writable folder. Give another --out.")

    @property
    def stages(self) -> Path:
        """Where stages leave their results."""
        return self.path / "stages"

    def marker(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage left, or None."""
        try:
            found = json.loads((self.stages / f"{stage}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def mark(self, stage: str, key: str, result: dict[str, Any], seconds: float) -> None:
        """Write down that a stage is done, for these inputs (`key`), with this result."""
        write_json(self.stages / f"{stage}.json", {"key": key, "seconds": seconds, "result": result})

    def log(self, event: str, **facts: Any) -> None:
        """Append one event to `log.jsonl`."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **facts}, default=str)
        with suppress(OSError), (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def close(self) -> None:
        """Let other processes write."""
        self._lock.release()

    def discard(self) -> None:
        """Remove what this call made, as long as it holds nothing worth keeping; what was there before stays."""
        self.close()
        if self.is_new:
            shutil.rmtree(self.path, ignore_errors=True)
        elif not self.held_run:
            shutil.rmtree(self.stages, ignore_errors=True)
            for name in ("splits.parquet", "log.jsonl", ".lock"):
                (self.path / name).unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The content of a finished run's `plait.json`.

    Raises:
        InputError: No run there, an unfinished one, one of a newer version, or a damaged file.
    """
    folder = Path(path)
    manifest = folder / MANIFEST
    if not folder.is_dir():
        raise InputError(
            f"There is no run folder {folder}; `plait fit TABLE --target COLUMN --out {folder}` makes one."
        )
    if not manifest.exists():
        if (folder / "stages").exists():
            raise InputError(f"The run {folder} is not finished; go on with it: the same `plait fit` with --resume.")
        raise InputError(f"{folder} holds no run: there is no {MANIFEST} in it.")
    try:
        content = json.loads(manifest.read_bytes())
        version = int(content["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{manifest} is damaged ({error}); restore it, or fit again.") from error
    if version > FORMAT:
        raise InputError(
            f"The run {folder} has format {version}, written by plait {content.get('versions', {}).get('plait', '?')}; "
            f"this plait reads up to format {FORMAT}: update plait."
        )
    return dict(content)


LEADERBOARD_KEYS: Final = ("name", "kind", "validation", "test", "seconds", "chosen")


def leaderboard_rows(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The leaderboard of a run as plain data, best first; a score that does not exist is None."""
    return [{key: row[key] for key in LEADERBOARD_KEYS} for row in manifest["leaderboard"]]


def describe(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What predicts: its architectures (none for one modality and for late rules), and the modalities it uses."""
    return {
        "architectures": list(manifest["architectures"]),
        "modalities": {"used": list(manifest["used"]), "discarded": list(manifest["discarded"])},
    }
