"""Bringing the embedded stack up and down."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from pipelines.core.errors import InfrastructureError
from pipelines.core.files import disk_errors, write_atomically
from pipelines.core.fingerprint import digest_of, environment
from pipelines.core.settings import Settings
from pipelines.stack import health, ports, state
from pipelines.stack.environment import Ports, commands, full_environment, own_mlflow, users
from pipelines.stack.processes import Started, start, stop, tail
from pipelines.stack.secrets import ADMIN, Secrets, load_or_create, password_file
from pipelines.stack.state import State

PATIENCE = 180.0
"""Seconds within which everything must have become healthy."""
BUSY = 15.0
"""Seconds for which a running stack may not answer before it is taken for broken: under load it falls silent for five."""

FULL = 2**20
"""Bytes of free space below which a failed start is put down to a full disk: a database grows by less at a time."""


@dataclass(frozen=True)
class Stack:
    """A running stack, as a caller needs it."""

    airflow_url: str
    mlflow_url: str
    user: str
    password_file: Path
    logs: Path
    reused: bool
    """Whether it ran already."""
    seconds: float


def up(settings: Settings, *, wanted: Ports | None = None, console: Console | None = None, patience: float = PATIENCE) -> Stack:
    """Start what is not running and wait until all of it is healthy; return where it is.

    A healthy stack with the same settings is used as it is. Anything else that is left of an earlier start is stopped
    first. Raises InfrastructureError with the tail of the guilty log, after everything that was started is stopped again.
    """
    console = console or Console(stderr=True)
    began = time.monotonic()
    _require("airflow", *(["mlflow"] if own_mlflow(settings) else []))
    with state.exclusive(settings.home, console.print):
        secrets = load_or_create(settings.home, users())
        known = state.load(settings.home)
        if known and (reason := _unusable(settings, secrets, known)) is None:
            return _stack(settings, known, began, reused=True)
        if known:
            _stop(settings, known, console, f"{reason}: starting anew")
        chosen = ports.choose(wanted or Ports(), console.print)
        current = State(ports=chosen, settings=_digest(settings, chosen, secrets))
        try:
            current = _start(settings, current, secrets, console, patience)
        except BaseException:
            _stop(settings, state.load(settings.home) or current, console, "the start failed")
            raise
        return _stack(settings, current, began, reused=False)


def down(settings: Settings, *, console: Console | None = None) -> int:
    """Stop every process the stack started and nothing else; return how many there were."""
    console = console or Console(stderr=True)
    if not (settings.home / "stack").is_dir():
        return 0
    with state.exclusive(settings.home, console.print):
        known = state.load(settings.home)
        return _stop(settings, known, console) if known else 0


def status(settings: Settings) -> dict[str, dict[str, str]]:
    """By process: its state (healthy, starting, dead), id, address and log. Empty when nothing was started."""
    known = state.load(settings.home)
    if known is None:
        return {}
    healthy = health.healthy(known.ports, known.processes, mlflow=own_mlflow(settings))
    address = {"api-server": known.ports.airflow_url, "mlflow": known.ports.mlflow_url}
    return {
        process.name: {
            "state": "dead" if not process.alive else "healthy" if process.name in healthy else "starting",
            "pid": str(process.pid),
            "url": address.get(process.name, ""),
            "log": str(process.log),
        }
        for process in known.processes
    }


def running(settings: Settings) -> Stack:
    """The stack that runs on this home. Raises InfrastructureError when there is none."""
    known = state.load(settings.home)
    if known is None or not known.alive:
        raise InfrastructureError(f"no stack is running on {settings.home}; start it with `make up` (or `pipelines stack up`)")
    return _stack(settings, known, time.monotonic(), reused=True)


def look_after(settings: Settings) -> None:
    """Raises InfrastructureError when a process of the stack has died, with the end of its log: nothing would go on without it."""
    known = state.load(settings.home)
    if known and (dead := [process for process in known.processes if not process.alive]):
        names = ", ".join(process.name for process in dead)
        what = f"{names} of the stack died; `make up` starts the stack anew, and runs that were begun go on"
        raise _failure(settings, what, dead[0])


def _require(*packages: str) -> None:
    """Raises InfrastructureError when one of them is not installed beside this Python."""
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        raise InfrastructureError(f"{' and '.join(missing)} not found in {sys.prefix}; `make setup` installs what is missing")


def airflow(settings: Settings, arguments: Sequence[str]) -> int:
    """Run a command of Airflow's own CLI against the running stack; its exit code.

    Raises InfrastructureError when the stack is not running.
    """
    known = state.load(settings.home)
    if known is None or not known.alive:
        raise InfrastructureError("the stack is not running; `pipelines stack up` starts it")
    environment = full_environment(settings, known.ports, load_or_create(settings.home))
    return subprocess.run([sys.executable, "-m", "airflow", *arguments], env=environment, check=False).returncode


def _unusable(settings: Settings, secrets: Secrets, known: State) -> str | None:
    """Why a known stack cannot be used as it is; None when it can."""
    if not known.processes or not any(process.alive for process in known.processes):
        return "an earlier stack is gone without having been stopped"
    if dead := [process.name for process in known.processes if not process.alive]:
        return f"{', '.join(dead)} of the running stack died"
    if known.settings != _digest(settings, known.ports, secrets):
        return "settings or installed packages have changed since the stack was started"
    missing, end = _missing(settings, known), time.monotonic() + BUSY
    while missing and time.monotonic() < end:
        time.sleep(0.5)
        missing = _missing(settings, known)
    return f"{', '.join(sorted(missing))} of the running stack is not healthy" if missing else None


def _missing(settings: Settings, known: State) -> set[str]:
    """Processes that do not say they are well."""
    return set(commands(settings, known.ports)) - health.healthy(known.ports, known.processes, mlflow=own_mlflow(settings))


def _digest(settings: Settings, chosen: Ports, secrets: Secrets) -> str:
    env = full_environment(settings, chosen, secrets)
    ours = {name: value for name, value in env.items() if name.startswith(("AIRFLOW", "PIPELINES_", "MLFLOW_"))}
    return digest_of([ours, commands(settings, chosen), environment()])


def _start(settings: Settings, current: State, secrets: Secrets, console: Console, patience: float) -> State:
    env = full_environment(settings, current.ports, secrets)
    logs = settings.home / "logs"
    with disk_errors(f"preparing {settings.home}"):
        for folder in (settings.home / "airflow", logs / "tasks"):
            folder.mkdir(parents=True, exist_ok=True)

    def launch(name: str, command: Sequence[str]) -> Started:
        nonlocal current
        started = start(name, command, env, logs / f"{name}.log")
        current = current.model_copy(update={"processes": (*current.processes, started)})
        try:
            state.save(settings.home, current)
        except BaseException:  # what is not recorded nobody would stop
            stop([started])
            raise
        return started

    with console.status("starting") as spinner:
        todo = commands(settings, current.ports)
        if "mlflow" in todo:  # first, for it makes its database while Airflow makes its own
            launch("mlflow", todo.pop("mlflow"))
        _migrate(settings, launch, spinner.update)
        current = current.model_copy(update={"processes": tuple(p for p in current.processes if p.name != "migrate")})
        for name, command in todo.items():
            launch(name, command)
        _wait(settings, current, spinner.update, patience)
    return current


def _migrate(settings: Settings, launch: Callable[[str, Sequence[str]], Started], say: Callable[[str], None]) -> None:
    """Make or upgrade Airflow's database, once per version of Airflow and database."""
    mark, database = settings.home / "airflow" / "migrated", settings.home / "airflow" / "airflow.db"
    elsewhere = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
    wanted = version("apache-airflow") + (f" {digest_of(elsewhere)}" if elsewhere else "")
    if mark.is_file() and mark.read_text() == wanted and (elsewhere or database.is_file()):
        return
    say("making Airflow's database (first start only)")
    process = launch("migrate", [sys.executable, "-m", "airflow", "db", "migrate"])
    while process.alive:
        time.sleep(0.1)
    if "Database migration done!" not in process.log.read_text(errors="replace"):
        raise _failure(settings, "making Airflow's database failed", process)
    write_atomically(mark, wanted.encode())


def _wait(settings: Settings, current: State, say: Callable[[str], None], patience: float) -> None:
    """Until every process is healthy. Raises InfrastructureError when one dies, or when patience is at an end."""
    names = list(commands(settings, current.ports))
    began = time.monotonic()
    while True:
        for process in current.processes:
            if not process.alive:
                raise _failure(settings, f"{process.name} stopped while starting", process)
        healthy = health.healthy(current.ports, current.processes, mlflow=own_mlflow(settings))
        missing = set(names) - healthy
        if not missing:
            return
        waited = time.monotonic() - began
        if waited > patience:
            guilty = next(process for process in current.processes if process.name in missing)
            raise _failure(settings, f"{', '.join(sorted(missing))} not healthy after {patience:.0f} s", guilty)
        say("starting: " + ", ".join(f"{name} {'✓' if name in healthy else '…'}" for name in names) + f" ({waited:.0f} s)")
        time.sleep(0.2)


def _failure(settings: Settings, what: str, guilty: Started) -> InfrastructureError:
    """What failed, with the end of its log. A full disk is named: a process that meets it can often not even log it."""
    full = shutil.disk_usage(settings.home).free < FULL
    why = f": the disk of {settings.home} is full; free some space and run again" if full else ""
    return InfrastructureError(f"{what}{why}; the end of {guilty.log}:\n{tail(guilty.log)}")


def _stop(settings: Settings, known: State, console: Console, why: str = "") -> int:
    if why:
        console.print(why)
    with console.status("stopping"):
        count = stop(known.processes)
    state.forget(settings.home)
    return count


def _stack(settings: Settings, current: State, began: float, *, reused: bool) -> Stack:
    return Stack(
        airflow_url=current.ports.airflow_url,
        mlflow_url=current.ports.mlflow_url if own_mlflow(settings) else settings.tracking,
        user=ADMIN,
        password_file=password_file(settings.home),
        logs=settings.home / "logs",
        reused=reused,
        seconds=time.monotonic() - began,
    )


__all__ = ["Stack", "Started", "down", "running", "status", "up"]
