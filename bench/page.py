"""How long Airflow's API server takes for the Models page, login, permissions and compression included."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench import history
from bench.api_server import serving
from bench.measure import Timing
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.settings import Settings
from pipelines.core.store import Store

PROJECTS, WEEKS = 200, 52


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Wall seconds of requests on loopback, to a server that does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings.load({"PIPELINES_HOME": folder, "PIPELINES_PROJECTS": str(home / "projects")})
        names = history.write(home / "projects", home / "store", PROJECTS, WEEKS)
        with serving(settings, names) as page:
            first = _timed(page, "/models/", 1)
            again = _timed(page, "/models/", repeats)
            changed = [_changed(settings, page, names[index]) for index in range(repeats)]
            one = _timed(page, f"/models/projects/{names[0]}", repeats)
            ours = _timed(page, "/ui/dags?limit=50", repeats)
            size = len(page.get("/models/").content)
    timings = [
        Timing("all projects, again", again),
        Timing("all projects, one of them changed", changed),
        Timing("all projects, first page after the server's start", first),
        Timing("one project", one),
        Timing("for comparison: what Airflow's own list of 50 DAGs asks its server", ours),
    ]
    return timings, [f"{PROJECTS} projects with {WEEKS} weeks of decisions, verdicts and alarms; a page of {size / 1e3:,.0f} kB."]


def _timed(page: httpx.Client, path: str, repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        page.get(path).raise_for_status()
        seconds.append(time.perf_counter() - started)
    return seconds


def _changed(settings: Settings, page: httpx.Client, project: str) -> float:
    """Seconds for the page that shows a decision made just before."""
    store = Store.open(settings.store, settings.home / "cache" / "store")
    why = f"refused a moment ago, {project}"
    Ledger(store).append(project, Entry(kind="rejection", at=datetime.now(UTC), run="bench", why=why))
    started = time.perf_counter()
    answer = page.get("/models/")
    seconds = time.perf_counter() - started
    if why not in answer.text:
        raise RuntimeError(f"the page does not show the newest decision of {project}")
    return seconds
