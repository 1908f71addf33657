"""Who still holds a run."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.core.run import Run
from pipelines.tracking.leases import HOLDER, UNTIL, is_old, lease, why_gone


def test_a_living_process_holds_its_run_however_long_it_takes() -> None:
    tags = lease(Run(project="toy"))
    tags[UNTIL] = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert why_gone(tags) is None


def test_a_dead_process_is_named() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    host = lease(Run(project="toy"))[HOLDER].partition(":")[0]
    tags = {HOLDER: f"{host}:{child.pid}:1.0", UNTIL: (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    assert f"process {child.pid} on {host} ended" in str(why_gone(tags))


def test_a_later_process_with_the_same_number_is_another() -> None:
    tags = lease(Run(project="toy"))
    tags[HOLDER] = tags[HOLDER].rpartition(":")[0] + ":1.00"
    assert f"process {os.getpid()}" in str(why_gone(tags))


@pytest.mark.parametrize(("hours", "gone"), [(1, False), (-1, True)])
@pytest.mark.parametrize("holder", ["tasks", "another-host:1:2.0"])
def test_what_cannot_be_looked_at_has_a_lease(holder: str, hours: int, gone: bool) -> None:
    tags = {HOLDER: holder, UNTIL: (datetime.now(UTC) + timedelta(hours=hours)).isoformat()}
    assert (why_gone(tags) is not None) == gone


def test_the_next_run_of_a_dag_proves_the_last_one_over() -> None:
    first = Run(project="toy", runner="airflow", engine={"dag_id": "toy_training", "run_id": "one"})
    tags = {**lease(first), "airflow.dag_id": "toy_training"}
    assert why_gone(tags) is None
    assert why_gone(tags, Run(project="toy", runner="airflow", engine={"dag_id": "toy_monitoring"})) is None
    assert "same DAG" in str(why_gone(tags, Run(project="toy", runner="airflow", engine={"dag_id": "toy_training"})))


def test_runs_of_other_people_are_left_alone() -> None:
    assert why_gone({"mlflow.user": "ada"}) is None


@pytest.mark.parametrize(("minutes", "old"), [(59, False), (50, True), (-5, True), (24 * 60, True)])
def test_a_lease_is_renewed_now_and_then(minutes: int, old: bool) -> None:
    assert is_old({UNTIL: (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()}) == old
