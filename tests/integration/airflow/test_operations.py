"""What people start by hand to operate a project."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import ConfigError
from pipelines.core.run import new_id
from pipelines.tracking import registry
from tests.integration.airflow.conftest import Installation, await_dags

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

WOBBLY = '''
"""The toy under another name."""

from pipelines.projects.toy import Toy


class Wobbly(Toy):
    name = "wobbly"


PROJECT = Wobbly
'''


def start(installation: Installation, dag: str = "rollback", **conf: Any) -> dict[str, Any]:
    """A run of a DAG that operates, once it has ended."""
    asked = {"dag_run_id": new_id("run"), "logical_date": None, "conf": conf}
    run = installation.airflow.send("POST", f"/dags/{dag}/dagRuns", asked)["dag_run_id"]
    end = time.monotonic() + 60
    while (found := installation.airflow.get(f"/dags/{dag}/dagRuns/{run}"))["state"] not in ("success", "failed"):
        assert time.monotonic() < end, found
        time.sleep(0.2)
    ended: dict[str, Any] = found
    return ended


def test_a_champion_is_rolled_back_from_the_ui(installation: Installation, new_project: Callable[..., Path]) -> None:
    new_project("wobbly", WOBBLY)
    (installation.dags / "operations.py").write_text(
        "from pipelines.runners import airflow_operations\n\nrollback = airflow_operations.rollback()\n"
    )
    await_dags(installation.airflow, {"rollback", "wobbly_training"})
    assert installation.run("wobbly").exit_code == 0
    assert start(installation, project="wobbly", why="nothing to go back to")["state"] == "failed"
    gates = {"gates.not_worse_by": 1.0}
    assert installation.run("wobbly", overrides={"seed": 11, **gates}).exit_code == 0
    past = registry.history("wobbly", installation.settings)
    assert past.champion is not None
    assert past.champion.version == 2
    ended = start(installation, project="wobbly", why="complaints since Monday")
    assert ended["state"] == "success"
    past = registry.history("wobbly", installation.settings)
    assert past.champion is not None
    assert past.champion.version == 1
    last = past.entries[-1]
    assert (last.kind, last.why, last.run) == ("rollback", "complaints since Monday", f"rollback.{ended['dag_run_id']}")
    assert last.by.endswith(", in Airflow")
    assert not last.by.startswith("a person"), "who started the DAG run"
    with pytest.raises(ConfigError, match="why"):
        start(installation, project="wobbly")


def test_what_old_runs_have_left_is_looked_for_and_removed_when_asked_to(installation: Installation) -> None:
    (installation.dags / "retention.py").write_text(
        "from pipelines.runners import airflow_operations\n\nretention = airflow_operations.retention()\n"
    )
    left = installation.settings.home / "scratch" / "reproduce-killed"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    await_dags(installation.airflow, {"retention"})
    assert installation.airflow.get("/dags/retention")["is_paused"], "nothing goes before a person has switched it on"
    installation.airflow.send("PATCH", "/dags/retention", {"is_paused": False})
    looked = start(installation, "retention")
    assert looked["state"] == "success"
    assert left.exists()
    assert _tasks(installation, looked) == {"look": "success", "remove": "skipped"}
    done = start(installation, "retention", apply=True)
    assert _tasks(installation, done) == {"look": "success", "remove": "success"}
    assert not left.exists()


def _tasks(installation: Installation, run: dict[str, Any]) -> dict[str, str]:
    found = installation.airflow.get(f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
    return {one["task_id"]: one["state"] for one in found}
