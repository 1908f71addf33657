"""What people see of the DAGs before anything runs, and what the stack shows of itself."""

from __future__ import annotations

import json
import stat

import psutil
import pytest

from pipelines import stack as embedded
from pipelines.stack import state
from pipelines.stack.environment import Ports
from tests.integration.airflow.conftest import Installation, quiet

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]


def test_dags_are_owned_tagged_documented_and_scheduled(installation: Installation) -> None:
    dag = installation.airflow.get("/dags/toy_training/details")
    assert dag["owners"] == ["tests"]
    assert {tag["name"] for tag in dag["tags"]} == {"toy", "training", "test"}
    assert "Which side of a line a point is on." in dag["doc_md"]
    assert (dag["max_active_runs"], dag["catchup"], dag["is_paused"]) == (1, False, False)
    assert "0 0 * * 0" in dag["timetable_summary"]


def test_seeing_a_scheduled_dag_for_the_first_time_starts_no_run(installation: Installation) -> None:
    for dag in ("toy_training", "toy_monitoring", "churn_training"):  # the last also starts on drift
        runs = installation.airflow.get(f"/dags/{dag}/dagRuns", limit=100)["dag_runs"]
        assert [run["dag_run_id"] for run in runs if run["run_type"] == "scheduled"] == []


def test_every_task_is_owned_documented_and_grouped(installation: Installation) -> None:
    tasks = {task["task_id"]: task for task in installation.airflow.get("/dags/toy_training/tasks")["tasks"]}
    assert set(tasks) == {"ingest", "validate", "features", "train", "evaluate", "promote", "baseline", "close"}
    assert all(task["doc_md"] and task["owner"] == "tests" for task in tasks.values())
    assert tasks["train"]["is_mapped"]
    assert tasks["ingest"]["retries"] == 2
    assert tasks["ingest"]["retry_exponential_backoff"]
    structure = installation.airflow.get("/../../ui/structure/structure_data", dag_id="toy_training")
    groups = {node["label"] for node in (structure or {}).get("nodes", []) if node.get("children")}
    assert {"data", "features", "train", "decide"} <= groups


def test_the_trigger_form_knows_its_parameters(installation: Installation) -> None:
    params = installation.airflow.get("/dags/toy_training/details")["params"]
    assert params["as_of"]["schema"]["format"] == "date-time"
    assert params["profile"]["schema"]["enum"] == ["full", "sample"]
    assert params["overrides"]["schema"]["type"] == "object"
    assert params["fresh"]["schema"]["type"] == "boolean"
    assert all(param["description"] for param in params.values())


def test_nothing_listens_beyond_loopback(installation: Installation) -> None:
    known = state.load(installation.settings.home)
    assert known is not None
    listening = [
        connection.laddr
        for started in known.processes
        for process in started.family()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {known.ports.airflow, known.ports.mlflow} <= {address.port for address in listening}


def test_secrets_are_for_the_owner_alone_and_in_no_log(installation: Installation) -> None:
    file = installation.stack.password_file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = [*json.loads(file.read_text()).values(), *json.loads((file.parent / "secrets.json").read_text()).values()]
    for log in installation.settings.home.glob("logs/**/*.log"):
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log


def test_a_healthy_stack_is_used_as_it_is(installation: Installation) -> None:
    known = state.load(installation.settings.home)
    again = embedded.up(installation.settings, wanted=Ports(), console=quiet())
    assert again.reused
    assert again.seconds < 1
    assert state.load(installation.settings.home) == known
    assert {process["state"] for process in embedded.status(installation.settings).values()} == {"healthy"}


def test_heavy_libraries_were_imported_before_the_fork(installation: Installation) -> None:
    log = (installation.settings.home / "logs" / "scheduler.log").read_text()
    assert "preload:" in log
    assert "is left out" not in log
