"""Where Airflow's database is SQLite, the API server's writing requests take turns; elsewhere nothing is changed."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from pipelines.runners.airflow_sqlite import TakeTurns


class Sqlite(AirflowPlugin):
    """What Airflow loads."""

    name = "pipelines_sqlite"
    fastapi_root_middlewares: ClassVar[list[Any]] = (
        [{"middleware": TakeTurns, "args": [], "kwargs": {}, "name": "Take turns"}]
        if conf.get("database", "sql_alchemy_conn").startswith("sqlite")
        else []
    )
