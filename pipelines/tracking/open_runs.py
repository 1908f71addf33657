"""What the store knows of MLflow's runs, so that MLflow is asked seldom, and not at all when there is nothing to tell it.

::

    runs/<project>/<run>/mlflow.json               which MLflow run a pipeline run is: a claim, written once
    runs/<project>/<run>/mlflow-<candidate>.json   the same of a candidate's nested run
    runs/<project>/<run>/errors/<node>.json        why a node failed; gone once it has succeeded
    open-runs/<project>/<run>.json                 who holds a run that is open; gone once it is closed
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.scrub import without_password
from pipelines.core.store import Store
from pipelines.tracking.leases import HOLDER, RENEWED, is_old, lease, why_gone

log = logging.getLogger("pipelines")

_AGAIN = "opened again"


@dataclass(frozen=True)
class Claim:
    """An MLflow run and all that writing to it takes."""

    run_id: str
    experiment: str
    artifacts: str
    """Where its artifacts are, a folder or URL."""
    origin: dict[str, str]
    """Provenance as it was when the run was opened."""
    tracking: str
    """The server that has it, without password."""


def claim(store: Store, key: str, mine: Claim) -> bool:
    """Write a claim unless there is one; say whether this call wrote it."""
    return store.create(key, json.dumps(asdict(mine)).encode())


def claimed(store: Store, key: str) -> Claim | None:
    record = store.read_json(key)
    return None if record is None else Claim(**record)


def page(tracking: str, claim: Claim) -> str:
    """Address of the run in MLflow's UI; empty where no server shows it."""
    if urlsplit(tracking).scheme not in ("http", "https"):
        return ""
    return f"{without_password(tracking).rstrip('/')}/#/experiments/{claim.experiment}/runs/{claim.run_id}"


def claim_key(project: str, run: str, candidate: str | None = None) -> str:
    return f"runs/{project}/{run}/mlflow{'-' + candidate if candidate else ''}.json"


# who is at work ---------------------------------------------------------------------------------------------------------


def hold(session: Session, *, again: bool = False) -> bool:
    """Say that a run is open and who holds it; said again later on, it renews the lease.

    Returns whether the run had been closed before it was opened `again`, now or by another process.
    """
    run, key = session.run, _open(session.run.project, session.run.id)
    holder = lease(run) | {f"{run.runner}.{name}": value for name, value in run.engine.items()}
    before = session.store.read_json(key)
    again |= _AGAIN in (before or {})
    if before is None or before[HOLDER] != holder[HOLDER] or is_old(before):
        session.store.replace(key, json.dumps(holder | ({_AGAIN: "yes"} if again else {})).encode())
    return again


def wait(session: Session, longest: timedelta) -> None:
    """Keep an open run for so long although nobody is at work on it: a person is asked. The next `hold` ends that."""
    _renew(session, longest)


@contextlib.contextmanager
def at_work(session: Session) -> Iterator[None]:
    """Renew the lease of an open run while a stage is at work, however long that is. That it cannot be renewed fails no stage."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED.total_seconds()):
            try:
                _renew(session)
            except Exception:
                log.exception("the lease of run %s could not be renewed", session.run.id)

    beside = threading.Thread(target=renew, name="lease", daemon=True)
    beside.start()
    try:
        yield
    finally:
        ended.set()
        beside.join()


def _renew(session: Session, waits: timedelta = timedelta(0)) -> None:
    key = _open(session.run.project, session.run.id)
    if before := session.store.read_json(key):
        session.store.replace(key, json.dumps(before | lease(session.run, waits)).encode())


def held(session: Session) -> bool:
    """Whether the run is open."""
    return is_open(session.store, session.run.project, session.run.id)


def is_open(store: Store, project: str, run: str) -> bool:
    return store.read(_open(project, run)) is not None


def holder(store: Store, project: str, run: str) -> dict[str, str] | None:
    """Who holds a run that is open; None of one that is closed."""
    told: dict[str, str] | None = store.read_json(_open(project, run))
    return told


def over(store: Store, project: str) -> Callable[[str], bool]:
    """Says of a run of the project, by its id, that it is not open: closed, or given up after its lease had ended."""
    return lambda run: not is_open(store, project, run)


def release(store: Store, project: str, run: str) -> None:
    """Say that a run is closed."""
    store.remove(_open(project, run))


def gone(store: Store, project: str, successor: Run | None = None) -> list[str]:
    """Ids of the open pipeline runs that nobody will close any more."""
    found = []
    for key in store.keys(f"open-runs/{project}/"):
        run, holder = PurePosixPath(key).stem, store.read_json(key)
        if holder is None or (successor and run == successor.id):  # closed in the meantime, or our own
            continue
        if why_gone(holder, successor):
            found.append(run)
    return found


def _open(project: str, run: str) -> str:
    return f"open-runs/{project}/{run}.json"


# what went wrong --------------------------------------------------------------------------------------------------------


def remember_error(session: Session, node: str, told: dict[str, str]) -> None:
    """Keep the tags that say why a node failed."""
    session.store.replace(f"{_errors(session)}{node}.json", json.dumps(told).encode())


def forget_error(session: Session, node: str) -> bool:
    """A node has succeeded; say whether it had failed before."""
    key = f"{_errors(session)}{node}.json"
    if session.store.read(key) is None:
        return False
    session.store.remove(key)
    return True


def errors(session: Session) -> list[dict[str, str]]:
    """The tags of every node that has failed and not succeeded since."""
    found = (session.store.read_json(key) for key in session.store.keys(_errors(session)))
    return [told for told in found if told is not None]


def _errors(session: Session) -> str:
    return f"runs/{session.run.project}/{session.run.id}/errors/"
