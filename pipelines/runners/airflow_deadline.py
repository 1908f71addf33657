"""What Airflow calls when a training run has not ended by its deadline."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipelines.alerts import missed as told
from pipelines.alerts import send
from pipelines.core.execution import Session
from pipelines.core.run import Run


def missed(project: str, context: Any = None) -> None:
    """Tell people; the run goes on."""
    run, deadline = context["dag_run"], context["deadline"]
    session = Session(Run(project=project, id=f"{run['dag_id']}.{run['dag_run_id']}", runner="airflow"))
    due = datetime.fromisoformat(str(deadline["deadline_time"]))
    send(session.store, told(session, f"{due:%Y-%m-%d %H:%M} UTC"))
