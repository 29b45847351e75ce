"""Files that are either whole or not there: written beside, synced, renamed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from plait.exceptions import InputError


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is the old one or the new one, never a part.

    Raises:
        InputError: It cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); is the disk full, or the folder read-only?"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; NaN and infinity are refused."""
    write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode())
