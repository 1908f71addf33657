"""What Airflow calls when a training run has not ended by its deadline."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipelines.alerts import ended, send
from pipelines.alerts import missed as told


def missed(project: str, context: Any = None) -> None:
    """Tell people; the run goes on."""
    run, deadline = context["dag_run"], context["deadline"]
    session = ended(project, f"{run['dag_id']}.{run['dag_run_id']}")
    due = datetime.fromisoformat(str(deadline["deadline_time"]))
    send(session.store, told(session, f"{due:%Y-%m-%d %H:%M} UTC"))
