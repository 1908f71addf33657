"""`pipelines doctor`: is this installation sound, and what can be mended at once?

An examination is a small function that yields findings; `EXAMINATIONS` lists them. One that fails is itself a finding.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from pipelines.cli.output import emit, streams
from pipelines.cli.projects import Json

if TYPE_CHECKING:
    from pipelines.core.settings import Settings

State = Literal["ok", "mended", "note", "wrong"]


class Finding(NamedTuple):
    """What one examination found."""

    name: str
    state: State
    what: str


def doctor(
    mend: Annotated[
        bool, typer.Option(help="Close dead runs, set aliases right, freeze missing references; --no-mend only looks.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Examine this installation and mend what can be mended: dead runs, aliases that left the history, missing drift references.

    Exits 1 when something is wrong that you must mend.

    [bold]Examples[/]

      pipelines doctor
      pipelines doctor --no-mend --json
    """
    from pipelines.core.settings import Settings

    settings = Settings.load()
    findings = list(examined(settings, mend=mend, told=(lambda finding: None) if as_json else _show))
    if as_json:
        emit([finding._asdict() for finding in findings])
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


def examined(settings: Settings, *, mend: bool, told: Callable[[Finding], None] = lambda finding: None) -> Iterator[Finding]:
    """All findings, each told as it comes."""
    for name, examine in EXAMINATIONS.items():
        try:
            found = [Finding(name, state, what) for state, what in examine(Case(settings, mend))]
        except Exception as error:
            found = [Finding(name, "wrong", f"{error}" if str(error) else type(error).__name__)]
        for finding in found:
            told(finding)
            yield finding


def _show(finding: Finding) -> None:
    from rich.text import Text

    sign, style = {"ok": ("✓", "green"), "mended": ("+", "cyan"), "note": ("·", "yellow"), "wrong": ("✗", "bold red")}[
        finding.state
    ]
    streams().result.print(Text.assemble((f"{sign} ", style), (f"{finding.name:<12}", "bold"), finding.what), soft_wrap=True)


# examinations -----------------------------------------------------------------------------------------------------------

Found = Iterator[tuple[State, str]]


@dataclass(frozen=True)
class Case:
    """What is examined, and whether to mend it."""

    settings: Settings
    mend: bool


def python(_: Case) -> Found:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        yield "ok", f"Python {found}, {sys.executable}"
    else:
        yield "wrong", f"Python {found}; expected 3.11, for which requirements.lock was made"


def packages(_: Case) -> Found:
    """Installed versions against requirements.lock."""
    from importlib.metadata import distributions

    from pipelines.core.fingerprint import LOCK

    if not LOCK.is_file():
        yield "wrong", f"{LOCK} is missing; restore it, or write it with `make lock`"
        return
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE))
    installed = {_plain(one.metadata["Name"]): one.version for one in distributions() if one.metadata["Name"]}
    wrong = {
        name: (version, installed.get(_plain(name)))
        for name, version in locked.items()
        if (have := installed.get(_plain(name))) is None or have.partition("+")[0] != version.partition("+")[0]
    }
    if wrong:
        shown = "; ".join(f"{name} {have or 'not installed'}, locked {want}" for name, (want, have) in list(wrong.items())[:5])
        yield (
            "wrong",
            f"{len(wrong)} of {len(locked)} packages differ from requirements.lock ({shown}); `make setup` installs them",
        )
    else:
        yield "ok", f"{len(locked)} packages as in requirements.lock"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def disk(case: Case) -> Found:
    """Room, and where it went."""
    places = {name: size for name in ("home", "data") if (size := _size(getattr(case.settings, name)))}
    room = shutil.disk_usage(_existing(case.settings.home)).free
    parts = {child.name: _size(child) for child in case.settings.home.iterdir()} if case.settings.home.is_dir() else {}
    largest = sorted(parts.items(), key=lambda item: -item[1])[:4]
    where = f" ({', '.join(f'{name} {_amount(size)}' for name, size in largest if size)})" if any(parts.values()) else ""
    told = ", ".join(f"{getattr(case.settings, name)} {_amount(size)}" for name, size in places.items()) or "nothing written yet"
    state: State = "wrong" if room < 500e6 else "ok"
    yield state, f"{_amount(room)} free{'; too little for a run' if state == 'wrong' else ''}; {told}{where}"


def _size(folder: Path) -> int:
    if folder.is_file():
        return folder.stat().st_size
    total = 0
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(root, file)).st_size  # noqa: PTH118  # many files: no Path for each
            except OSError:
                continue
    return total


def _amount(size: float) -> str:
    """Bytes for people.

    >>> _amount(532), _amount(5_320_000), _amount(12e9)
    ('532 B', '5.3 MB', '12.0 GB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size:.0f} B"


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def folders(case: Case) -> Found:
    """Whether the folders can be written."""
    from pipelines.core.files import write_atomically

    for place in (case.settings.home, case.settings.data):
        probe = place / ".doctor"
        write_atomically(probe, b"")
        probe.unlink()
        yield "ok", f"{place} can be written"


def store(case: Case) -> Found:
    from pipelines.core.store import Store

    opened = Store.open(case.settings.store, case.settings.home / "cache" / "store")
    opened.replace("doctor/probe.json", b"{}")
    if opened.read("doctor/probe.json") != b"{}":
        yield "wrong", f"{case.settings.store} does not give back what was written"
    else:
        yield "ok", f"{case.settings.store} reads and writes"


def definitions(case: Case) -> Found:
    """What `pipelines lint` finds, and folders of projects that are not there."""
    from pipelines.core.discovery import find_projects
    from pipelines.core.lint import lint

    for place in case.settings.projects:
        if not place.is_dir():
            yield "wrong", f"{place} of PIPELINES_PROJECTS is no folder; make it, or take it out"
    for name, definition in find_projects().items():
        if faults := lint(definition):
            yield "wrong", f"{name}: {len(faults)} faults; `pipelines lint {name}` lists them"
        else:
            yield "ok", f"{name} is sound"


def locks(case: Case) -> Found:
    """Who runs a project now. A lock whose holder died holds nobody up: the system frees it."""
    from pipelines.cli.locks import described, holder_of
    from pipelines.core.files import is_locked

    held = [file for file in sorted((case.settings.home / "locks").glob("*.lock")) if is_locked(file)]
    for file in held:
        yield "note", f"{file.stem} is being run by {described(holder_of(file))}"
    if not held:
        yield "ok", "no run is going on in this installation"


def stack(case: Case) -> Found:
    from pipelines.stack import status

    found = status(case.settings)
    dead = [name for name, process in found.items() if process["state"] == "dead"]
    if dead:
        yield "wrong", f"{', '.join(dead)} died; `pipelines stack up` starts anew, `pipelines stack down` stops the rest"
    elif found:
        urls = ", ".join(process["url"] for process in found.values() if process["url"])
        yield "ok", f"{len(found)} processes run: {urls}"
    else:
        yield "ok", "not started"


def listening(case: Case) -> Found:
    """Whether the usual ports are free for the stack, and that what it started listens on loopback only."""
    from pipelines.stack import state
    from pipelines.stack.environment import Ports

    known = state.load(case.settings.home)
    if known and known.alive:
        family = {process.pid for one in known.processes for process in one.family()}
        ours = sorted({(address, port) for address, port, pid in _listeners() if pid in family})
        for address, port in ours:
            if not address.startswith("127.") and address != "::1":
                yield "wrong", f"the stack listens on {address}:{port}, beyond this machine; stop it with `pipelines stack down`"
        yield "ok", f"the stack listens on {', '.join(f'{address}:{port}' for address, port in ours)}"
        return
    used = {port for _, port, _ in _listeners()}
    for name, port in Ports().model_dump().items():
        if port in used:
            yield "note", f"port {port}, usual for {name}, is taken by another program; the stack will choose another"
    if not used & set(Ports().model_dump().values()):
        yield "ok", f"{', '.join(map(str, Ports().model_dump().values()))} are free"


def _listeners() -> Iterator[tuple[str, int, int | None]]:
    """Address, port and process of everything that listens on this machine."""
    import psutil

    for one in psutil.net_connections("inet"):
        if one.status == psutil.CONN_LISTEN and one.laddr:
            yield one.laddr[0], one.laddr[1], one.pid


def telemetry(_: Case) -> Found:
    from pipelines.core.settings import NO_TELEMETRY

    on = [name for name, value in NO_TELEMETRY.items() if os.environ.get(name, value) != value]
    if on:
        yield (
            "note",
            f"{', '.join(on)} {'is' if len(on) == 1 else 'are'} set otherwise in your environment: libraries may phone home",
        )
    else:
        yield "ok", "off in every library"


def tracking(case: Case) -> Found:
    """MLflow answers; runs that nobody will finish are closed; aliases are what the history says."""
    from pipelines.core.discovery import find_projects
    from pipelines.core.scrub import without_password
    from pipelines.tracking.client import connect

    if case.settings.tracking.startswith("sqlite:///") and not Path(case.settings.tracking.removeprefix("sqlite:///")).is_file():
        yield "ok", "the embedded MLflow database is made by the first run"
        return
    connect(case.settings)
    yield "ok", f"MLflow answers at {without_password(case.settings.tracking)}"
    for name in find_projects():
        yield from _dead_runs(case, name)
        yield from _aliases(case, name)


def _dead_runs(case: Case, project: str) -> Found:
    from pipelines.tracking.runs import MlflowTracker

    tracker = MlflowTracker(case.settings)
    if case.mend and (closed := tracker.sweep(project)):
        yield "mended", f"{project}: {len(closed)} runs whose process was killed are closed as failed: {', '.join(closed)}"
    elif not case.mend and (dead := tracker.dead(project)):
        what = f"{len(dead)} runs whose process was killed are open in MLflow: {', '.join(dead)}"
        yield "note", f"{project}: {what}; `pipelines doctor` closes them, and so does the next run"


def _aliases(case: Case, project: str) -> Found:
    from pipelines.tracking import registry
    from pipelines.tracking.versions import Versions

    wanted = registry.derived_aliases(registry.history(project, case.settings))
    found = Versions(case.settings, project).aliases()
    if found == wanted:
        return
    if not case.mend:
        yield "wrong", f"{project}: MLflow's aliases are {found}, the history says {wanted}; `pipelines doctor` mends it"
        return
    done = registry.repair(project, case.settings)
    if done["moved"]:
        moves = ", ".join(
            f"{alias} {before or 'nothing'} → {after or 'nothing'}" for alias, (before, after) in done["moved"].items()
        )
        yield "mended", f"{project}: MLflow's aliases follow the history again: {moves}"
    if done["lost"]:
        yield (
            "wrong",
            f"{project}: MLflow has lost version {', '.join(map(str, done['lost']))}; restore its database from a backup",
        )


def references(case: Case) -> Found:
    """Every champion has its drift reference, without which monitoring cannot judge it."""
    from pipelines.core.discovery import find_projects
    from pipelines.core.errors import PipelineError
    from pipelines.tracking import registry
    from pipelines.tracking.references import freeze

    sound = True
    for name in find_projects():
        past = registry.history(name, case.settings)
        if past.champion is None or past.baseline is not None:
            continue
        sound, lacks = False, f"{name}: version {past.champion.version} serves and has no drift reference"
        if not case.mend:
            yield "wrong", f"{lacks}; `pipelines doctor` freezes one"
            continue
        try:
            freeze(case.settings, name)
        except PipelineError as error:
            yield "wrong", f"{lacks}, and none can be frozen: {error}"
        else:
            yield (
                "mended",
                f"{name}: version {past.champion.version} had no drift reference; one is frozen from its run's test rows",
            )
    if sound:
        yield "ok", "every champion has its drift reference"


EXAMINATIONS: dict[str, Callable[[Case], Found]] = {
    "python": python,
    "packages": packages,
    "disk": disk,
    "folders": folders,
    "store": store,
    "projects": definitions,
    "locks": locks,
    "stack": stack,
    "ports": listening,
    "telemetry": telemetry,
    "mlflow": tracking,
    "references": references,
}
