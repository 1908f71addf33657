"""When a DAG run of a project ends, tell people what is worth telling.

Airflow calls a listener in the scheduler's own process and waits for it, so all it does is start another process.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger("pipelines")

GRAPHS = ("training", "monitoring")


class Ended:
    """Listens for the end of DAG runs."""

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        tell(dag_run, "success")

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        tell(dag_run, "failed")


def tell(dag_run: Any, state: str) -> None:
    """Start the process that tells; its output is in the logs of the stack."""
    project, _, graph = dag_run.dag_id.rpartition("_")
    if not project or graph not in GRAPHS:
        return
    arguments = [sys.executable, "-m", "pipelines.alerts", project, graph, f"{dag_run.dag_id}.{dag_run.run_id}", state]
    try:
        with _output() as output:
            subprocess.Popen(arguments, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError:
        log.exception("the alerts of %s could not be told", dag_run.run_id)


def _output() -> Any:
    from pipelines.core.settings import Settings

    logs = Settings.load().home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return (logs / "alerts.log").open("ab")


class Alerts(AirflowPlugin):
    """What Airflow loads."""

    name = "pipelines_alerts"
    listeners = [Ended()]  # noqa: RUF012
