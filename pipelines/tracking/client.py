"""The one door to MLflow: a client that fails within seconds, says where and what to do, and phones nobody."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from pipelines.core.errors import InfrastructureError
from pipelines.core.files import disk_errors
from pipelines.core.scrub import without_password
from pipelines.core.settings import Settings, quiet_environment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_PING_SECONDS = 3.0
_ANSWERED_LATELY = 10.0
_PULSE = 5.0
_answered: dict[tuple[int, str], float] = {}
"""When a server last answered a ping of a process, on the monotonic clock."""


def connect(settings: Settings) -> MlflowClient:
    """A client of the tracking server or database, checked to answer. Raises InfrastructureError within seconds."""
    quiet_environment()
    ping(settings.tracking)
    return _client(os.getpid(), settings.tracking)


def ping(uri: str) -> None:
    """Raise InfrastructureError unless something answers at an HTTP tracking URI, or did seconds ago; a database is not asked."""
    asked = (os.getpid(), uri)
    if urlsplit(uri).scheme not in ("http", "https") or time.monotonic() - _answered.get(asked, -math.inf) < _ANSWERED_LATELY:
        return
    import requests

    try:
        _health(urlsplit(uri))
    except (OSError, HTTPException, requests.RequestException) as error:
        raise unreachable(uri, _root_cause(error)) from error
    _answered[asked] = time.monotonic()


def _health(server: SplitResult) -> None:
    """Any answer will do. Encryption and proxies are for requests, which takes ten times as long as a server at hand does."""
    if server.scheme == "http" and server.hostname in ("127.0.0.1", "localhost", "::1"):
        with contextlib.closing(HTTPConnection(server.hostname, server.port or 80, timeout=_PING_SECONDS)) as connection:
            connection.request("GET", f"{server.path.rstrip('/')}/health")
            connection.getresponse()
    else:
        import requests

        requests.get(f"{server.geturl().rstrip('/')}/health", timeout=_PING_SECONDS)


class Pulse:
    """Whether a tracking server answers, for a page that has no time to wait: asked in the background, every few seconds."""

    def __init__(self, uri: str, patience: float = 0.3) -> None:
        self.uri, self.patience = uri, patience
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pulse")
        self._asked: Future[None] | None = None
        self._at = -math.inf

    def fault(self) -> str:
        """Why the server cannot be reached; empty when it answers. Waits for `patience` seconds at most, once a question."""
        patience = 0.0
        if self._asked is None or (self._asked.done() and time.monotonic() - self._at > _PULSE):
            self._asked, self._at, patience = self._pool.submit(ping, self.uri), time.monotonic(), self.patience
        try:
            self._asked.result(patience)
        except TimeoutError:
            return f"MLflow at {without_password(self.uri)} has not answered yet"
        except InfrastructureError as error:
            return str(error).partition(". ")[0]  # what follows is advice for who runs a stage
        return ""


@contextlib.contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn what MLflow raises when it is down, busy or beside itself into an InfrastructureError with URI and remedy.

    A refusal of our own arguments is a fault of the program and passes.
    """
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        if is_error(error, "INVALID_PARAMETER_VALUE"):
            raise
        raise unreachable(uri, str(error).splitlines()[0][:300]) from error


def unreachable(uri: str, cause: str) -> InfrastructureError:
    return InfrastructureError(
        f"MLflow at {without_password(uri)} does not answer as it should: {cause}. Start it (`pipelines stack up`), or unset "
        "MLFLOW_TRACKING_URI to use the embedded database, and run again; finished stages are kept and not repeated"
    )


def is_error(error: Exception, *codes: str) -> bool:
    """Whether an MlflowException carries one of these codes, such as RESOURCE_ALREADY_EXISTS."""
    return getattr(error, "error_code", None) in codes


@cache
def _client(_process: int, uri: str) -> MlflowClient:
    """One client a process: a database connection does not survive a fork, hence the process id in the key."""
    from mlflow.tracking import MlflowClient

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        with _creating_database(uri):
            return MlflowClient(uri, uri)
    except InfrastructureError:
        raise
    except Exception as error:  # the database driver's own, before MLflow has a store to speak for it
        raise unreachable(uri, str(error).splitlines()[0][:300]) from error


@contextlib.contextmanager
def _creating_database(uri: str) -> Iterator[None]:
    """Let one process at a time create the tables of an SQLite file; MLflow's migrations do not bear company."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    with disk_errors(f"opening MLflow's database {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("a")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _root_cause(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error) or type(error).__name__
