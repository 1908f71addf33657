"""What Airflow's tables say of projects, and that nobody sees a project whose DAGs they may not read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.page.engine import Scheduled
from pipelines.runners import airflow_facts

MONDAY = datetime(2026, 3, 2, 4, tzinfo=UTC)


class Tables:
    """Answers the three questions that are asked, in their order."""

    def __init__(self, *dags: Any) -> None:
        asked = [("churn_training", "manual__2026-03-01T00:00:00+00:00")]
        self.answers, self.running = [list(dags), asked], ["churn_monitoring"]

    def execute(self, statement: Any) -> list[Any]:
        return self.answers.pop(0)

    def scalars(self, statement: Any) -> list[str]:
        return self.running


def dag(name: str, *, paused: bool = False, stale: bool = False) -> Any:
    return SimpleNamespace(dag_id=name, next_dagrun_create_after=MONDAY, is_paused=paused, is_stale=stale)


def known(monkeypatch: pytest.MonkeyPatch, readable: set[str], *dags: Any) -> airflow_facts.Facts:
    @contextlib.contextmanager
    def session() -> Iterator[Tables]:
        yield Tables(*dags)

    manager = SimpleNamespace(get_authorized_dag_ids=lambda user: readable)
    monkeypatch.setattr(airflow_facts, "create_session", session)
    monkeypatch.setattr(airflow_facts, "get_auth_manager", lambda: manager)
    return airflow_facts.facts("ada", ["churn", "toy"], "/airflow")


def test_what_is_scheduled_runs_and_waits_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"churn_training", "churn_monitoring"}
    found = known(monkeypatch, both, dag("churn_training"), dag("churn_monitoring", paused=True))
    assert found.hidden == frozenset()
    assert found.scheduled["toy"] == Scheduled()
    assert found.scheduled["churn"] == Scheduled(
        next_run=MONDAY,
        running=("monitoring",),
        training="/airflow/dags/churn_training",
        monitoring="/airflow/dags/churn_monitoring",
        approvals=("/airflow/dags/churn_training/runs/manual__2026-03-01T00%3A00%3A00%2B00%3A00/tasks/approve",),
    )


def test_a_project_is_hidden_from_who_may_not_read_one_of_its_dags(monkeypatch: pytest.MonkeyPatch) -> None:
    dags = (dag("churn_training"), dag("churn_monitoring"), dag("toy_training"))
    assert known(monkeypatch, {"churn_training", "toy_training"}, *dags).hidden == {"churn"}
    assert known(monkeypatch, set(), *dags).hidden == {"churn", "toy"}


def test_a_dag_that_is_gone_is_not_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known(monkeypatch, set(), dag("toy_training", stale=True)).scheduled["toy"] == Scheduled()
