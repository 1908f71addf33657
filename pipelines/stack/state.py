"""What is known of a running stack, kept in a file from the first process on, so that a half-finished start is known too."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipelines.core.errors import InfrastructureError
from pipelines.core.files import disk_errors, write_atomically
from pipelines.core.settings import Settings
from pipelines.stack.environment import Ports, own_mlflow
from pipelines.stack.processes import Started


class State(BaseModel):
    """The processes that were started, and with what."""

    ports: Ports
    settings: str
    """Digest of everything the processes were started with; another digest means they must be started anew."""
    processes: tuple[Started, ...] = ()

    @property
    def alive(self) -> bool:
        return bool(self.processes) and all(process.alive for process in self.processes)


def _file(home: Path) -> Path:
    return home / "stack" / "state.json"


def load(home: Path) -> State | None:
    """The last known state, which may be stale; None when there is none or it cannot be read."""
    try:
        return State.model_validate_json(_file(home).read_text())
    except (OSError, ValidationError):
        return None


def served(settings: Settings) -> Settings:
    """These settings, with MLflow behind the server of this home's running stack where there is one."""
    stack = load(settings.home)
    if not own_mlflow(settings) or stack is None or not stack.alive:
        return settings
    return settings.model_copy(update={"tracking": stack.ports.mlflow_url})


def save(home: Path, state: State) -> None:
    write_atomically(_file(home), state.model_dump_json(indent=1).encode())


def forget(home: Path) -> None:
    _file(home).unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(home: Path, say: Callable[[str], None], patience: float = 120) -> Iterator[None]:
    """Let one `up` or `down` at a time work on this home. The lock is the system's: it goes with the process that held it."""
    file = home / "stack" / "lock"
    with disk_errors(f"opening {file}"):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, file, say, patience)
        with contextlib.suppress(OSError):  # only told to those who wait; a stack can be stopped on a full disk too
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, file: Path, say: Callable[[str], None], patience: float) -> None:
    end, told = time.monotonic() + patience, False
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 20, 0).decode() or "unknown"
        if time.monotonic() > end:
            raise InfrastructureError(
                f"process {holder} has been starting or stopping this stack for more than {patience:.0f} s (lock {file}); "
                "wait for it or end it, then run again"
            )
        if not told:
            say(f"waiting for process {holder}, which is starting or stopping this stack")
            told = True
        time.sleep(0.1)
