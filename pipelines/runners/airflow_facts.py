"""What Airflow's own tables say of our projects: next runs, runs at work, questions to people, and who may read what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select

from pipelines.page.engine import Scheduled

KINDS = ("training", "monitoring")
WAITS = (TaskInstanceState.AWAITING_INPUT, TaskInstanceState.DEFERRED)


@dataclass(frozen=True)
class Facts:
    """By project."""

    scheduled: dict[str, Scheduled]
    hidden: frozenset[str]
    """Projects with a DAG that the user may not read."""


def facts(user: Any, projects: Sequence[str], root: str) -> Facts:
    """What Airflow knows of these projects, as far as the user may read their DAGs; `root` is the path of Airflow's UI."""
    ids = [f"{project}_{kind}" for project in projects for kind in KINDS]
    with create_session() as session:
        columns = (DagModel.dag_id, DagModel.next_dagrun_create_after, DagModel.is_paused, DagModel.is_stale)
        dags = {row.dag_id: row for row in session.execute(select(*columns).where(DagModel.dag_id.in_(ids))) if not row.is_stale}
        running = _running(session, ids)
        asked = _asked(session, ids)
    readable = get_auth_manager().get_authorized_dag_ids(user=user)
    found, hidden = dict[str, Scheduled](), set[str]()
    for project in projects:
        known = {kind: dag for kind in KINDS if (dag := dags.get(f"{project}_{kind}"))}
        if any(dag.dag_id not in readable for dag in known.values()):
            hidden.add(project)
        pages = {kind: f"{root}/dags/{quote(dag.dag_id)}" for kind, dag in known.items()}
        training = known.get("training")
        found[project] = Scheduled(
            next_run=training.next_dagrun_create_after if training else None,
            paused=bool(training and training.is_paused),
            running=tuple(kind for kind in known if f"{project}_{kind}" in running),
            approvals=tuple(f"{pages['training']}/runs/{run}/tasks/approve" for run in asked[f"{project}_training"] if training),
            training=pages.get("training", ""),
            monitoring=pages.get("monitoring", ""),
        )
    return Facts(found, frozenset(hidden))


def _running(session: Any, ids: Sequence[str]) -> set[str]:
    """DAGs with a run at work."""
    states = (DagRunState.RUNNING, DagRunState.QUEUED)
    return set(session.scalars(select(DagRun.dag_id).where(DagRun.state.in_(states), DagRun.dag_id.in_(ids))))


def _asked(session: Any, ids: Sequence[str]) -> dict[str, list[str]]:
    """Runs in which a person is asked for approval, by DAG."""
    waiting = (TaskInstance.task_id == "approve", TaskInstance.state.in_(WAITS), TaskInstance.dag_id.in_(ids))
    found = defaultdict(list)
    for dag, run in session.execute(select(TaskInstance.dag_id, TaskInstance.run_id).where(*waiting)):
        found[dag].append(quote(run))
    return found
