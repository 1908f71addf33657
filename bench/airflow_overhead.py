"""What Airflow costs a task: a chain of tasks that do nothing, and ours less the work its stages did, on one stack."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console

from bench.measure import Timing
from pipelines import stack
from pipelines.core.settings import ROOT, Settings
from pipelines.stack.client import Airflow
from pipelines.stack.environment import Ports
from pipelines.stack.ports import free
from pipelines.stack.secrets import password

TASKS = 8
"""Length of both chains: ours is ingest, validate, features, the slowest candidate, evaluate, promote, baseline, close."""

NOTHING = f"""
from airflow.sdk import DAG, chain, task

with DAG("nothing", schedule=None, is_paused_upon_creation=False):
    @task
    def nothing():
        return None

    chain(*(nothing.override(task_id=f"step_{{n}}")() for n in range({TASKS})))
"""


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Wall time per task of both chains, runs of one and the other in turn; and the ratio of the medians."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, _environment(Path(folder))):
        settings, console = Settings.load(), Console(file=io.StringIO())
        started = stack.up(settings, wanted=Ports(airflow=free(), mlflow=free()), console=console)
        try:
            with Airflow(started.airflow_url, password(settings.home)) as airflow:
                stack.trigger_and_follow(settings, "churn", conf={"profile": "sample"}, console=console)  # warm caches
                _nothing(airflow)
                empty, ours = [], []
                for _ in range(repeats):
                    empty.append(_nothing(airflow))
                    ours.append(_ours(settings, airflow, console))
        finally:
            stack.down(settings, console=console)
    timings = [
        Timing("a task that does nothing", empty, per=TASKS),
        Timing("a task of ours, less its stage's work", ours, per=TASKS),
    ]
    return timings, [f"Stack of four Airflow processes and MLflow, healthy {started.seconds:.0f} s after the first start."]


def _environment(folder: Path) -> Mapping[str, str]:
    dags = folder / "dags"
    dags.mkdir()
    (dags / "nothing.py").write_text(NOTHING)
    (dags / "churn.py").write_text((ROOT / "dags" / "churn.py").read_text())
    return {
        "PIPELINES_HOME": str(folder / "home"),
        "PIPELINES_DATA": str(folder / "data"),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
    }


def _nothing(airflow: Airflow) -> float:
    """Seconds one run of the empty chain takes."""
    while not airflow.get("/dags/nothing"):
        time.sleep(0.2)
    run = airflow.send("POST", "/dags/nothing/dagRuns", {"logical_date": None})
    while (found := airflow.get(f"/dags/nothing/dagRuns/{run['dag_run_id']}"))["state"] not in ("success", "failed"):
        time.sleep(0.1)
    return _wall(found)


def _ours(settings: Settings, airflow: Airflow, console: Console) -> float:
    """Seconds one run of churn takes, every stage executed, less what its stages say they worked."""
    followed = stack.trigger_and_follow(settings, "churn", conf={"profile": "sample", "fresh": True}, console=console)
    if followed.exit_code:
        raise RuntimeError(f"churn failed: {followed.failures}")
    seconds = {node: result.seconds for node, result in followed.results.items()}
    chain = sum(spent for node, spent in seconds.items() if not node.startswith("train-"))
    slowest = max(spent for node, spent in seconds.items() if node.startswith("train-"))
    return _wall(airflow.get(f"/dags/{followed.dag}/dagRuns/{followed.run}")) - chain - slowest


def _wall(run: Mapping[str, Any]) -> float:
    begin, end = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    return (end - begin).total_seconds()
