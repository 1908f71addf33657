"""A backfill of training by the real scheduler: past weeks, each judged as it would have been, and nothing that serves moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.core.execution import Session
from pipelines.core.ledger import History
from pipelines.core.run import Run
from tests.integration.airflow.conftest import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

WEEKS = ("2025-03-02", "2025-03-09", "2025-03-16")
"""Sundays, on which `@weekly` falls."""


def by_rest(installation: Installation, dag: str) -> None:
    """As the web page asks for it."""
    asked = {"from_date": f"{WEEKS[0]}T00:00:00Z", "to_date": f"{WEEKS[-1]}T00:00:00Z"}
    installation.airflow.send("POST", "/backfills", {"dag_id": dag, "dag_run_conf": {"profile": "sample"}, **asked})


def by_command(installation: Installation, dag: str) -> None:
    """As a person asks for it at a terminal, also for weeks that were filled before."""
    span = ["--from-date", WEEKS[0], "--to-date", WEEKS[-1], "--reprocess-behavior", "completed"]
    conf = ["--dag-run-conf", '{"profile": "sample"}']
    assert main(["stack", "airflow", "backfill", "create", "--dag-id", dag, *span, *conf]) == 0


def filled(installation: Installation, dag: str) -> list[dict[str, Any]]:
    """The runs of all backfills, once the newest has ended."""
    backfills = installation.airflow.get("/backfills", dag_id=dag)["backfills"]
    assert {one["max_active_runs"] for one in backfills} == {1}, "nobody asked for it, but each week follows from the one before"
    number = max(one["id"] for one in backfills)
    end = time.monotonic() + 300
    while not installation.airflow.get(f"/backfills/{number}")["completed_at"]:
        assert time.monotonic() < end, installation.airflow.get(f"/dags/{dag}/dagRuns", limit=100)
        time.sleep(0.5)
    found: list[dict[str, Any]] = installation.airflow.get(f"/dags/{dag}/dagRuns", limit=100)["dag_runs"]
    return [run for run in found if run["run_type"] == "backfill"]


def history(installation: Installation, project: str, rehearsal: str = "") -> History:
    run = Run(project=project, as_of=datetime(2025, 6, 1, tzinfo=UTC), rehearsal=rehearsal)
    return Session(run, "training", installation.settings).ledger.history(project)


def test_a_backfill_trains_past_weeks_beside_what_serves(installation: Installation, new_project: Callable[..., Path]) -> None:
    new_project("filled")
    assert installation.run("filled").exit_code == 0
    serving = history(installation, "filled")

    by_rest(installation, "filled_training")
    runs = filled(installation, "filled_training")
    assert [run["state"] for run in runs] == ["success"] * len(WEEKS)
    assert history(installation, "filled") == serving
    rehearsed = history(installation, "filled", "backfill")
    judged = [entry for entry in rehearsed.entries if entry.kind in ("promotion", "rejection")]
    assert [f"{entry.as_of:%Y-%m-%d}" for entry in judged] == list(WEEKS)
    assert judged[0].kind == "promotion"
    tasks = [installation.airflow.get(f"/dags/filled_training/dagRuns/{run['dag_run_id']}/taskInstances") for run in runs]
    assert {one["try_number"] for found in tasks for one in found["task_instances"]} == {1}

    by_command(installation, "filled_training")
    assert len(filled(installation, "filled_training")) == len(WEEKS)
    assert history(installation, "filled", "backfill") == rehearsed, "the same weeks again add nothing"
