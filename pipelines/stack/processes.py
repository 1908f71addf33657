"""Starting, recognising and stopping the stack's processes.

Each is started as the leader of a session of its own, and whatever it starts in turn stays in that session: so a session
is what is stopped. A recorded process is still the one that was started when its id *and* its start time agree, for the
system uses ids again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from pipelines.core.files import disk_errors
from pipelines.core.settings import ROOT

INSISTS = 2.0
"""Seconds until a process that was asked to end is asked again."""


class Started(BaseModel):
    """One process of the stack as it was started."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    """Also the id of its session."""
    at: float
    """Start time, seconds since the epoch, as the system reports it."""
    log: Path

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return self._same(process) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def family(self) -> list[psutil.Process]:
        """The process and all that live in its session, orphans included; empty when the id has gone to a stranger."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if not self._same(psutil.Process(self.pid)):
                return []
        # Nobody else can have got this session id: the system hands out no id that still names a session.
        return [process for process in psutil.process_iter() if _session(process) == self.pid]

    def _same(self, process: psutil.Process) -> bool:
        return abs(process.create_time() - self.at) < 1


def start(name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> Started:
    """Start a process that outlives the caller, its output in `log`; what the one before it said moves to `<log>.1`."""
    with disk_errors(f"starting {name}"):
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_name(f"{log.name}.1"))
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    return Started(name=name, pid=process.pid, at=psutil.Process(process.pid).create_time(), log=log)


def stop(started: Iterable[Started], grace: float = 10) -> int:
    """Stop these processes and their families: ask, ask again, and kill after `grace` seconds. Returns how many ran.

    Airflow's scheduler and triggerer, asked once, wait for what they have begun, the triggerer for ten seconds even when there
    is nothing; asked again, they go. Asked a third time the triggerer would begin anew with what it does before it goes.
    """
    started = tuple(started)
    first = _running(started)
    for sent, patience in ((signal.SIGTERM, INSISTS), (signal.SIGTERM, grace - INSISTS), (signal.SIGKILL, 5.0)):
        for process in _running(started):
            with contextlib.suppress(psutil.Error):
                process.send_signal(sent)
        end = time.monotonic() + patience
        while (left := _running(started)) and time.monotonic() < end:
            psutil.wait_procs(left, timeout=0.2)
    return len(first)


def _running(started: Iterable[Started]) -> list[psutil.Process]:
    found = []
    for process in (process for one in started for process in one.family()):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
            else:
                _reap(process.pid)
    return found


def _reap(pid: int) -> None:
    """Collect the exit status of a child of this very process; others are their own parents' business."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for a message."""
    try:
        text = log.read_text(errors="replace").rstrip()
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
