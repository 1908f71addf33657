"""Numbers on what runs come to, for dashboards and alarms of one's own: off unless `PIPELINES_METRICS` says where they go.

As with alerts, what there is to tell follows from the records that runs leave, so a stage never waits for a collector.
"""

from __future__ import annotations

from pipelines.core.execution import Session
from pipelines.core.store import Store
from pipelines.metrics.measures import CATALOG, Measure, of_project, of_run
from pipelines.metrics.push import is_on, push

__all__ = ["CATALOG", "Measure", "of_project", "of_run", "tell_project", "tell_run"]


def tell_run(session: Session, state: str) -> None:
    """Send the numbers of a run that has ended, `success` or `failed`, and of its project. Nothing that fails here is raised.

    Every number says how things stand now, so a rehearsal and a backfill, which look at the past, send none.
    """
    if is_on() and not session.run.looks_back:
        push(lambda: [*of_project(session.store, session.run.project), *of_run(session, state)])


def tell_project(store: Store, project: str) -> None:
    """Send the numbers of a project, after something that no run did; none of what a rehearsal decided."""
    if is_on() and not store.rehearsal:
        push(lambda: of_project(store, project))
