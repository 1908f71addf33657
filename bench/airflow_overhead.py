"""What Airflow costs a task: tasks that do nothing, and ours less the work its stages did, on one stack.

A run's overhead is the part of its wall time in which no stage was at work. A stage is at work from when it begins to gather
what it depends on until its result is stored; stages side by side count once while they overlap. Dividing by the length of the
longest path gives it per task.

Tasks that do nothing come in two shapes. The chain is the smallest Airflow can do. Ours trains its candidates side by side,
which are more tasks than a chain has: so there is a graph of the same shape, too, a task that does nothing in place of each.

All runs are watched in the same way, seldom and for the least, for the API server that is asked also serves the tasks; and
each begins when what the one before started (the process that tells people of its end) has ended.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from rich.console import Console

from bench.measure import Timing
from pipelines import stack
from pipelines.core.run import new_id
from pipelines.core.settings import ROOT, Settings
from pipelines.core.store import Store
from pipelines.stack.client import Airflow
from pipelines.stack.environment import Ports
from pipelines.stack.ports import free
from pipelines.stack.secrets import password
from pipelines.tracking import records

TASKS = 8
"""Length of the longest path: ours is ingest, validate, features, a candidate, evaluate, promote, baseline, close."""

NOTHING = f"""
from airflow.sdk import DAG, chain, task
from pipelines.core.discovery import find_project

@task
def nothing(candidate=None):
    return None

def step(name):
    return nothing.override(task_id=name)()

with DAG("chain", schedule=None, is_paused_upon_creation=False):
    chain(*(step(f"step_{{n}}") for n in range({TASKS})))

graph = find_project("churn").training
with DAG("shape", schedule=None, is_paused_upon_creation=False):
    tasks = [
        nothing.override(task_id=stage.name).expand(candidate=list(graph.candidates)) if stage.each else step(stage.name)
        for stage in graph.stages
    ]
    chain(*tasks, step("close").as_teardown())
"""


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Overhead per task of all three, runs of each in turn; and what it comes to as a ratio."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, environment(Path(folder))):
        settings, console = Settings.load(), Console(file=io.StringIO())
        started = stack.up(settings, wanted=Ports(airflow=free(), mlflow=free()), console=console)
        try:
            with Airflow(started.airflow_url, password(settings.home)) as airflow:
                overheads(settings, airflow)  # warm caches
                found = [overheads(settings, airflow) for _ in range(repeats)]
                idle = _share_of_a_core(_scheduler(settings))
        finally:
            stack.down(settings, console=console)
    names = ("a chain of tasks that do nothing", "our graph, its tasks doing nothing", "a task of ours, less its stage's work")
    timings = [Timing(name, each, per=TASKS) for name, each in zip(names, zip(*found, strict=True), strict=True)]
    ratio = timings[2].median / timings[1].median
    return timings, [
        f"Ours beside the same graph doing nothing: {ratio:.2f}. The scheduler takes {idle:.0%} of a core when nothing runs.",
        f"Stack of four Airflow processes and MLflow, healthy {started.seconds:.0f} s after the first start.",
    ]


def environment(folder: Path) -> Mapping[str, str]:
    """A home of its own, with churn's DAGs and those whose tasks do nothing."""
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


def overheads(settings: Settings, airflow: Airflow) -> tuple[float, float, float]:
    """Seconds of one run each in which nothing was worked at: the chain, the graph that does nothing, and ours, all executed."""
    ours = {"profile": "sample", "fresh": True}
    return _run(settings, airflow, "chain"), _run(settings, airflow, "shape"), _run(settings, airflow, "churn_training", ours)


def _run(settings: Settings, airflow: Airflow, dag: str, conf: Mapping[str, Any] | None = None) -> float:
    while not airflow.get(f"/dags/{dag}"):
        time.sleep(0.2)
    run = new_id("run")
    airflow.send("POST", f"/dags/{dag}/dagRuns", {"dag_run_id": run, "logical_date": None, "conf": dict(conf or {})})
    while (found := airflow.get(f"/dags/{dag}/dagRuns/{run}"))["state"] not in ("success", "failed"):
        time.sleep(0.1)
    if found["state"] == "failed":
        raise RuntimeError(f"{dag} failed; its tasks' logs are in {settings.home / 'logs'}")
    _until_quiet(settings)
    begin, end = (datetime.fromisoformat(found[key]) for key in ("start_date", "end_date"))
    return (end - begin).total_seconds() - _covered(_at_work(settings, dag, f"{dag}.{run}"))


def _until_quiet(settings: Settings) -> None:
    """Until what the scheduler started at the end of the run has ended; the scheduler needs a moment to start it."""
    time.sleep(0.5)
    scheduler, end = _scheduler(settings), time.monotonic() + 60
    while any(_tells(child) for child in scheduler.children()) and time.monotonic() < end:
        time.sleep(0.2)


def _scheduler(settings: Settings) -> psutil.Process:
    return psutil.Process(int(stack.status(settings)["scheduler"]["pid"]))


def _share_of_a_core(process: psutil.Process, seconds: float = 15.0) -> float:
    process.cpu_percent()
    time.sleep(seconds)
    return float(process.cpu_percent()) / 100


def _tells(process: psutil.Process) -> bool:
    try:
        return "pipelines.alerts" in process.cmdline()
    except psutil.Error:  # it has ended, and may be a zombie until the scheduler starts another process
        return False


def _at_work(settings: Settings, dag: str, run: str) -> list[tuple[float, float]]:
    """When each stage of a run began and ended, in seconds since the epoch: its record is written at once, and says how long."""
    project, store = dag.partition("_")[0], Store.open(settings.store, settings.home / "cache" / "store")
    stamps = store.backend.stamps(f"runs/{project}/{run}/nodes/")
    seconds = {node: result.seconds for node, result in records.results(store, project, run).items()}
    ends = {Path(key).stem: stamp.at for key, stamp in stamps.items()}
    return [(ends[node] - seconds[node], ends[node]) for node in seconds]


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans of time."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
