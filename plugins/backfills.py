"""A backfill of training rehearses a history: each week's model is compared with the champion of the week before.

So its runs take turns, whatever number at once was asked for; Airflow's command line asks for ten where nobody says.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.models.backfill import Backfill
from airflow.plugins_manager import AirflowPlugin
from sqlalchemy import event

from pipelines.core.discovery import find_projects

log = logging.getLogger("pipelines")


def in_turn(_mapper: Any, _connection: Any, backfill: Any) -> None:
    """Before a backfill is stored: one run at a time, if it is of a project's training."""
    project, _, graph = backfill.dag_id.rpartition("_")
    if graph == "training" and project in find_projects() and backfill.max_active_runs != 1:
        log.warning("%s: the weeks of a backfill are trained one after another", backfill.dag_id)
        backfill.max_active_runs = 1


event.listen(Backfill, "before_insert", in_turn)


class Backfills(AirflowPlugin):
    """What Airflow loads."""

    name = "pipelines_backfills"
