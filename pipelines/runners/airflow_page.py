"""The Models page, served by Airflow's API server behind its login. `plugins/models.py` mounts it.

Who may look is Airflow's business: without a login nobody, and of the projects those whose DAGs the user may read. Projects
that Airflow has no DAG of are shown to everybody who may see its website.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from pipelines.core.errors import ConfigError, DataError
from pipelines.core.settings import Settings
from pipelines.page import html, reports
from pipelines.page.reading import Glance, Reader
from pipelines.runners.airflow_facts import Facts, facts
from pipelines.tracking.client import Pulse

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
"""Nothing but our own files, whatever a name on the page holds."""

APART = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:"
"""A report may draw with its own scripts, but not as this site: it reaches neither cookies nor Airflow."""

app = FastAPI(title="Models", docs_url=None, redoc_url=None, openapi_url=None)
app.mount("/static", StaticFiles(directory=html.STATIC), name="static")
allowed = Depends(requires_access_view(AccessView.WEBSITE))


@app.get("/", dependencies=[allowed], response_class=HTMLResponse)
def overview(request: Request, user: GetUserDep, q: str = "", only: str = "") -> HTMLResponse:
    """Every project the user may see."""
    fault, glances = "", list[Glance]()
    try:
        glances = _reader().glances()
    except ConfigError as error:
        fault = str(error)
    known = _facts(request, user, [one.name for one in glances])
    shown = [one for one in glances if one.name not in known.hidden]
    return _page(html.overview(_setting(request), shown, known.scheduled, q, only, fault))


@app.get("/projects/{name}", dependencies=[allowed], response_class=HTMLResponse)
def project(request: Request, user: GetUserDep, name: str) -> HTMLResponse:
    """One project's past."""
    known = _facts(request, user, [name])
    with _found(name, known):
        story = _reader().story(name)
    return _page(html.project(_setting(request), story, known.scheduled[name]))


@app.get("/projects/{name}/card/{version}", dependencies=[allowed], response_class=HTMLResponse)
def card(request: Request, user: GetUserDep, name: str, version: int) -> HTMLResponse:
    """The model card of one version."""
    with _found(name, _facts(request, user, [name])):
        return _page(reports.card(_reader().store, name, version), policy=APART)


@app.get("/projects/{name}/drift/{run}", dependencies=[allowed], response_class=HTMLResponse)
def drift(request: Request, user: GetUserDep, name: str, run: str) -> HTMLResponse:
    """The drift report behind an alarm."""
    with _found(name, _facts(request, user, [name])):
        return _page(reports.drift(_reader().store, name, run), policy=APART)


@app.exception_handler(HTTPException)
async def refused(request: Request, error: HTTPException) -> HTMLResponse:
    """What the login refuses, or what is not there, as a page for people."""
    return _page(html.refusal(_setting(request, ask=False), error.status_code, str(error.detail)), error.status_code)


@contextmanager
def _found(name: str, known: Facts) -> Iterator[None]:
    """403 for a project whose DAGs the user may not read, 404 with the reason for what is not there."""
    if name in known.hidden:
        raise HTTPException(403, f"You may not read the DAGs of {name}.")
    try:
        yield
    except (ConfigError, DataError) as error:
        raise HTTPException(404, str(error)) from error


def _page(content: str, status: int = 200, policy: str = POLICY) -> HTMLResponse:
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return HTMLResponse(content, status, {**headers, "X-Content-Type-Options": "nosniff"})


def _setting(request: Request, *, ask: bool = True) -> html.Setting:
    return html.Setting(here=_here(request), now=datetime.now(UTC), silent=_mlflow().fault() if ask else "")


def _facts(request: Request, user: Any, names: Sequence[str]) -> Facts:
    return facts(user, names, _here(request).rpartition("/")[0])


def _here(request: Request) -> str:
    """Path of this application as the browser sees it."""
    return str(request.scope["root_path"]).rstrip("/")


@cache
def _reader() -> Reader:
    return Reader(Settings.load())


@cache
def _mlflow() -> Pulse:
    return Pulse(Settings.load().tracking)
