"""What a task does, in a process of its own and without a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pipelines.core.discovery import Definition

RUN = """
import json, types
from datetime import UTC, datetime
from pipelines.runners import airflow_task
from pipelines.core.errors import InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.tracking import records

said = {}
now = datetime(2025, 9, 1, tzinfo=UTC)
context = {
    "dag_run": types.SimpleNamespace(dag_id="toy_training", run_id="one", run_type="manual", run_after=now, logical_date=None),
    "params": {"as_of": None, "profile": "sample", "overrides": {}, "why": None, "rehearsal": None, "fresh": False},
    "ti": types.SimpleNamespace(task_id="ingest", try_number=1, xcom_push=said.__setitem__),
    "outlet_events": {},
}
airflow_task.get_current_context = lambda: context
try:
    airflow_task.run_stage("toy", "training", "ingest", None)
    ended = "success"
except InfrastructureError as error:
    ended = str(error)
kept = records.results(Session(Run(project="toy")).store, "toy", "toy_training.one")
print(json.dumps({"ended": ended, "said": said, "kept": sorted(kept)}))
"""


def test_a_tracker_that_is_down_has_the_task_tried_again_and_keeps_its_work(
    toy: Definition, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port}")
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "does not answer" in found["ended"]
    assert (found["said"]["error"]["kind"], found["said"]["error"]["exit_code"]) == ("InfrastructureError", 4)
    assert found["kept"] == ["ingest"]


ASK = """
import types
from datetime import UTC, datetime, timedelta
from airflow.providers.standard.operators.hitl import HITLOperator
from pipelines.core.deployment import Approval
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.runners import airflow_task
from pipelines.runners.airflow_approval import ApprovePromotion
from pipelines.tracking import open_runs, review

session = Session(Run(project="toy", id="toy_training.one", runner="airflow"))
open_runs.hold(session)
airflow_task.open_session = lambda *told: session
HITLOperator.execute = lambda self, context: None  # asks, and ends the process
within = timedelta(days=2)
task = ApprovePromotion(task_id="approve", project="toy", title="Toy", approval=Approval(within=within))
for body in (None, "the evidence"):
    review.review = lambda session: body
    task.execute({})
    until = open_runs.holder(session.store, "toy", session.run.id)["lease.until"]
    print(datetime.fromisoformat(until) - datetime.now(UTC) > within)
"""


def test_the_run_is_held_for_as_long_as_a_person_may_take(toy: Definition) -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line for line in done.stdout.splitlines() if line in ("False", "True")] == ["False", "True"]
