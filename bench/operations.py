"""How long the operating loop takes: from a drift alarm to the start of the retraining, and for a rollback."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from rich.console import Console

from bench.airflow_overhead import environment
from bench.measure import Timing, timed
from pipelines import stack
from pipelines.core.settings import ROOT, Settings
from pipelines.stack.client import Airflow
from pipelines.stack.environment import Ports
from pipelines.stack.ports import free
from pipelines.stack.secrets import password

PROJECT = "churn_restless"
SOURCE = f'''
"""Churn, retrained by each alarm, with the sample profile."""

from pipelines.projects.churn import ChurnProject


class Restless(ChurnProject):
    name = "{PROJECT}"


PROJECT = Restless
'''
DRIFT = {"ingest.source": "simulator", "ingest.drift": {"contract_shift": 0.9}}
"""A window in which nearly everybody has a monthly contract."""
PATIENCE = 300
"""Seconds for an alarm to be answered."""
FIRST = date(2025, 3, 3)
"""End of the first window that is checked; each repeat takes the next week, for one window raises one alarm."""


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Wall seconds on the embedded stack with churn's sample profile."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, _with_the_project(Path(folder))):
        settings, console = Settings.load(), Console(file=io.StringIO())
        started = stack.up(settings, wanted=Ports(airflow=free(), mlflow=free()), console=console)
        try:
            for conf in ({}, {"overrides": {"seed": 11, "gates.not_worse_by": 1.0}}):
                _run(settings, "training", console, **conf)
            command = [sys.executable, "-m", "pipelines", "rollback", PROJECT, "--why", "benchmark"]
            rollbacks = [
                timed([*command, "--to", version], 1, dict(os.environ))[0] for _ in range(repeats) for version in ("1", "2")
            ]
            with Airflow(started.airflow_url, password(settings.home)) as airflow:
                alarms = [_alarm(settings, airflow, console, FIRST + timedelta(weeks=week)) for week in range(repeats)]
        finally:
            stack.down(settings, console=console)
    return [Timing("alarm to the start of the retraining", alarms), Timing("rollback, the whole command", rollbacks)], []


def _with_the_project(folder: Path) -> dict[str, str]:
    """The benchmarks' home with the restless project beside."""
    found = dict(environment(folder))
    home, churn = folder / "projects" / PROJECT, ROOT / "pipelines" / "projects" / "churn"
    home.mkdir(parents=True)
    (home / "__init__.py").write_text(SOURCE.lstrip())
    (home / "README.md").write_text("Churn, retrained by each alarm.\n")
    (home / "params.yaml").write_text((churn / "params.yaml").read_text())
    deployment = yaml.safe_load((churn / "deployment.yaml").read_text())
    deployment |= {
        "schedule": None,
        "monitoring": None,
        "profile": "sample",
        "retraining": {"cooldown": "PT0S", "per_week": 1000},
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(deployment))
    dag = f"from pipelines.runners.airflow import build\n\ntraining, monitoring = build({PROJECT!r})\n"
    (Path(found["AIRFLOW__CORE__DAGS_FOLDER"]) / f"{PROJECT}.py").write_text(dag)
    return {**found, "PIPELINES_PROJECTS": str(home.parent)}


def _run(settings: Settings, kind: Any, console: Console, **conf: Any) -> stack.Followed:
    followed = stack.trigger_and_follow(settings, PROJECT, kind, {"profile": "sample", **conf}, console=console)
    if followed.exit_code:
        raise RuntimeError(f"{kind} of {PROJECT} failed: {followed.failures}")
    return followed


def _alarm(settings: Settings, airflow: Airflow, console: Console, week: date) -> float:
    """Seconds from the end of the task that raised an alarm to the start of the run that answers it, which is waited for."""
    before = len(_retrainings(airflow))
    watched = _run(settings, "monitoring", console, as_of=f"{week}T00:00:00+00:00", overrides=DRIFT)
    raised = airflow.get(f"/dags/{watched.dag}/dagRuns/{watched.run}/taskInstances/decide")["end_date"]
    end = time.monotonic() + PATIENCE
    while len(found := _retrainings(airflow)) == before or any(run["state"] in ("queued", "running") for run in found):
        if time.monotonic() > end:
            raise RuntimeError(f"the alarm of {week} started no retraining that ended within {PATIENCE} s")
        time.sleep(0.5)
    newest = max(datetime.fromisoformat(run["start_date"]) for run in found)
    return (newest - datetime.fromisoformat(raised)).total_seconds()


def _retrainings(airflow: Airflow) -> list[dict[str, Any]]:
    runs = airflow.get(f"/dags/{PROJECT}_training/dagRuns", limit=100)["dag_runs"]
    return [run for run in runs if run["run_type"] == "asset_triggered"]
