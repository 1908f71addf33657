"""How far a stage is, told from the process that runs it to whoever watches on the same machine."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from pipelines.core.settings import Settings

EVERY = 0.2
"""Seconds between two notes of one stage."""


class Note:
    """A small file per running stage; it is gone when the stage has ended. Telling must never stop the stage itself."""

    def __init__(self, settings: Settings, run: str, node: str) -> None:
        self._file = _file(settings, run, node)
        self._last = 0.0

    def tell(self, done: int, total: int, message: str) -> None:
        if time.monotonic() - self._last < EVERY and done < total:
            return
        self._last = time.monotonic()
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(".tmp")
            temporary.write_text(json.dumps([done, total, message]))
            temporary.replace(self._file)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
            self._file.parent.rmdir()  # fails, as it should, while other stages of the run have notes


def read(settings: Settings, run: str, node: str) -> tuple[int, int, str] | None:
    """Steps done, steps in all and a word about the newest; None when nothing is known."""
    try:
        done, total, message = json.loads(_file(settings, run, node).read_text())
    except (OSError, ValueError):
        return None
    return done, total, message


def _file(settings: Settings, run: str, node: str) -> Path:
    return settings.home / "progress" / run / f"{node}.json"
