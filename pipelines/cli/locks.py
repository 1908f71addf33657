"""One run of a project at a time in one installation: a lock that the operating system frees when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.cli.output import marked, note
from pipelines.core.errors import InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.files import disk_errors
from pipelines.core.settings import Settings


def lock_file(settings: Settings, project: str) -> Path:
    return settings.home / "locks" / f"{project}.lock"


@contextlib.contextmanager
def only_run_of(session: Session, *, wait: bool) -> Iterator[None]:
    """Hold the project's lock. Raises InfrastructureError when another process holds it and we are not to wait: later it may work."""
    path = lock_file(session.settings, session.run.project)
    with disk_errors(f"locking {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = f"{session.run.project} is being run by {described(holder_of(path))}"
            if not wait:
                raise InfrastructureError(f"{holder}; wait for it with --wait, or look at what it does first") from None
            note(marked("[yellow]waiting:[/] {}", holder))
            fcntl.flock(stream, fcntl.LOCK_EX)
        stream.truncate(0)
        json.dump({"pid": os.getpid(), "run": session.run.id, "since": datetime.now(UTC).isoformat()}, stream)
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def holder_of(path: Path) -> dict[str, Any]:
    """Who wrote into a lock last: process, run, since when; empty when nobody did."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def described(holder: dict[str, Any]) -> str:
    """A holder in words."""
    if not holder:
        return "another process"
    return f"process {holder['pid']} ({holder['run']}, since {datetime.fromisoformat(holder['since']):%H:%M:%S} UTC)"
