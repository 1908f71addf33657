"""Where Airflow's database is SQLite, the API server's writing requests take turns, and the scheduler carries on when a run is taken
back; elsewhere nothing is changed."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from pipelines.runners.airflow_sqlite import TakeTurns, carrying_on

ON_SQLITE = conf.get("database", "sql_alchemy_conn").startswith("sqlite")


class Sqlite(AirflowPlugin):
    """What Airflow loads."""

    name = "pipelines_sqlite"
    fastapi_root_middlewares: ClassVar[list[Any]] = (
        [{"middleware": TakeTurns, "args": [], "kwargs": {}, "name": "Take turns"}] if ON_SQLITE else []
    )


if ON_SQLITE and sys.argv[1:2] == ["scheduler"]:
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    # Airflow loads its plugins twice; the second hand has nothing to do
    SchedulerJobRunner._do_scheduling = carrying_on(SchedulerJobRunner._do_scheduling)
