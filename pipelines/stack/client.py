"""Airflow's REST API, as much of it as we use."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

import httpx

from pipelines.core.errors import ConfigError, InfrastructureError
from pipelines.stack.secrets import ADMIN

PATIENCE = 30.0
"""Seconds for which the server may be silent before we give up."""


class Airflow:
    """A logged-in client. Every method raises InfrastructureError when the server stays silent or fails."""

    def __init__(self, url: str, password: str, user: str = ADMIN) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def __enter__(self) -> Airflow:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer, or None when there is no such thing."""
        answer = self._call("GET", path, params=query)
        return None if answer.status_code == 404 else self._json(answer)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Change something. Raises ConfigError with Airflow's own words when it refuses the request."""
        answer = self._call(method, path, json=body)
        if answer.status_code in (400, 404, 409, 422):
            raise ConfigError(f"Airflow refused {method} {path}: {_detail(answer)}")
        return self._json(answer)

    def _json(self, answer: httpx.Response) -> Any:
        if answer.is_error:
            raise InfrastructureError(
                f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {_detail(answer)}"
            )
        return answer.json() if answer.content else None

    def _call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if "Authorization" not in self._http.headers:
                    self._authorize()
                answer = self._http.request(method, f"/api/v2{path}", **rest)
                if answer.status_code == 401:
                    self._authorize()
                    answer = self._http.request(method, f"/api/v2{path}", **rest)
                if not _undone(answer) or time.monotonic() > end:
                    return answer
                time.sleep(0.5)
            except httpx.TransportError as error:
                # A request that changes something is only repeated when it cannot have arrived.
                if (method != "GET" and not isinstance(error, httpx.ConnectError)) or time.monotonic() > end:
                    raise InfrastructureError(
                        f"Airflow at {self.url} does not answer: {error}; `pipelines stack status` shows why"
                    ) from error
                time.sleep(0.5)

    def _authorize(self) -> None:
        answer = self._http.post("/auth/token", json=self._login)
        if answer.is_error:
            raise InfrastructureError(
                f"Airflow at {self.url} refused the log-in as {self._login['username']!r}: {_detail(answer)}"
            )
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _undone(answer: httpx.Response) -> bool:
    """Whether Airflow's database has refused the request and rolled it back, so that it may be repeated.

    On SQLite a request that has read cannot write any more once another process has written: Airflow takes back what it made.
    """
    if answer.status_code not in (500, 503):
        return False
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return False
    return "Database is locked" in detail if isinstance(detail, str) else detail.get("reason") == "Database error"


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]
    return detail if isinstance(detail, str) else str(detail)[:1000]
