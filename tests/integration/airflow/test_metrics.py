"""Metrics of the real Airflow, its tasks among them, and ours after its runs."""

from __future__ import annotations

import time

import pytest

from pipelines.stack.follow import Followed
from tests.integration.airflow.conftest import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]


def test_numbers_of_airflow_of_its_tasks_and_of_the_project_arrive(installation: Installation, first: Followed) -> None:
    assert first.exit_code == 0
    collector = installation.collector

    def arrived() -> dict[str, float | None]:
        return {
            "scheduler": collector.newest("airflow.scheduler_heartbeat"),
            "a task": collector.newest("airflow.ti.finish", dag_id="toy_training", task_id="evaluate"),
            "the run": collector.newest("airflow.dagrun.duration.success", dag_id="toy_training"),
            "the champion": collector.newest("pipelines.champion.version", project="toy"),
            "a stage": collector.newest("pipelines.stage.seconds", project="toy", stage="evaluate"),
        }

    end = time.monotonic() + 90
    while None in arrived().values():
        assert time.monotonic() < end, (arrived(), sorted(collector.points))
        time.sleep(0.5)
    assert collector.newest("pipelines.run.failed", project="toy", graph="training") == 0
