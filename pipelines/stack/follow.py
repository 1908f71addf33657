"""Triggering a DAG through Airflow's REST API and following it, task by task."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.core.artifacts import StageResult
from pipelines.core.discovery import find_project
from pipelines.core.errors import ConfigError, InfrastructureError
from pipelines.core.graph import Graph
from pipelines.core.run import new_id
from pipelines.core.settings import Settings
from pipelines.runners import progress
from pipelines.stack.client import Airflow
from pipelines.stack.lifecycle import look_after, running
from pipelines.stack.secrets import password

ENDED = {"success", "failed"}
_SIGNS = {
    "success": ("✓", "green"),
    "failed": ("✗", "red"),
    "running": ("●", "cyan"),
    "up_for_retry": ("↻", "yellow"),
    "upstream_failed": ("–", "dim"),
    "awaiting_input": ("?", "yellow"),
}


@dataclass(frozen=True)
class Task:
    """One task of a run, mapped ones by candidate."""

    name: str
    """The node's name, as in the graph: `train-xgboost`."""
    id: str
    index: int
    state: str
    seconds: float | None
    tries: int


@dataclass(frozen=True)
class Failure:
    """Why a task failed."""

    task: str
    kind: str
    exit_code: int
    message: str


@dataclass
class Followed:
    """A DAG run that has ended."""

    dag: str
    run: str
    url: str
    state: str
    run_id: str
    """Our own id of the run, as in the tracker."""
    results: dict[str, StageResult] = field(default_factory=dict)
    """What finished, by node."""
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 when every task succeeded, else the gravest of the failures' codes: 2 wrong use, 3 bad data, 4 infrastructure."""
        if self.state == "success":
            return 0
        return max((failure.exit_code for failure in self.failures), default=4)


def trigger_and_follow(
    settings: Settings,
    project: str,
    kind: Literal["training", "monitoring"] = "training",
    conf: Mapping[str, Any] | None = None,
    *,
    console: Console | None = None,
) -> Followed:
    """Start a project's DAG with these parameters, show its tasks live, and return what came of it.

    `conf` has the keys of the trigger form: as_of, profile, overrides, fresh, why. Raises ConfigError for what the DAG does
    not take and when the DAG file is broken; InfrastructureError when Airflow stops answering or a process of the stack dies.
    A failed run is no exception: it is in the result.
    """
    console = console or Console(stderr=True, markup=False, emoji=False)
    stack, definition = running(settings), find_project(project)
    conf = {key: value for key, value in (conf or {}).items() if value is not None}
    definition.params(
        conf.get("profile", definition.deployment.profile), conf.get("overrides")
    )  # a typo is told now, not in a task
    dag, began = f"{project}_{kind}", time.monotonic()
    with Airflow(stack.airflow_url, password(settings.home)) as airflow:
        _await_dag(
            airflow, dag, newer_than=max(file.stat().st_mtime for file in definition.folder.glob("*.yaml")), console=console
        )
        run = airflow.send("POST", f"/dags/{dag}/dagRuns", {"dag_run_id": new_id("run"), "logical_date": None, "conf": conf})
        followed = Followed(
            dag=dag,
            run=run["dag_run_id"],
            url=f"{stack.airflow_url}/dags/{dag}/runs/{run['dag_run_id']}",
            state="queued",
            run_id=f"{dag}.{run['dag_run_id']}",
        )
        _follow(airflow, settings, followed, getattr(definition, kind), console)
    followed.seconds = time.monotonic() - began
    return followed


def _await_dag(airflow: Airflow, dag: str, *, newer_than: float, console: Console, patience: float = 90) -> None:
    """Until Airflow has read the DAG file as it is now, and let it run."""
    end, asked = time.monotonic() + patience, False
    with console.status(f"waiting for Airflow to read {dag}"):
        while True:
            found = airflow.get(f"/dags/{dag}/details")
            if found and datetime.fromisoformat(found["last_parsed_time"]).timestamp() > newer_than:
                break
            if found and not asked:
                airflow.send("PUT", f"/parseDagFile/{found['file_token']}")
                asked = True
            if broken := [
                one for one in airflow.get("/importErrors")["import_errors"] if dag.rpartition("_")[0] in one["filename"]
            ]:
                raise ConfigError(f"Airflow could not read {broken[0]['filename']}:\n{broken[0]['stack_trace'].strip()}")
            if time.monotonic() > end:
                raise ConfigError(
                    f"Airflow knows no DAG {dag!r} after {patience:.0f} s; is there a file for it in the DAGs folder? "
                    "`pipelines new` writes one, and dags/churn.py is an example"
                )
            time.sleep(0.3)
    if found["is_paused"]:
        airflow.send("PATCH", f"/dags/{dag}", {"is_paused": False})


def _follow(airflow: Airflow, settings: Settings, followed: Followed, graph: Graph, console: Console) -> None:
    base = f"/dags/{followed.dag}/dagRuns/{followed.run}"
    shown: dict[str, str] = {}
    nodes = {node.name for node in graph.nodes}
    seen: list[tuple[str, str]] = []
    changed = time.monotonic()
    with Live(console=console, refresh_per_second=8) as live:
        while True:
            state = (airflow.get(base) or {"state": "failed"})["state"]
            ahead = _ahead(airflow, followed) if state == "queued" else ""
            tasks = _tasks(airflow, base, graph)
            for one in tasks:
                _collect(airflow, base, one, followed, nodes)
            if console.is_terminal:
                live.update(Group(_table(settings, followed, tasks, graph), *([ahead] if ahead else [])))
            else:
                _lines(followed, tasks, shown, console)
                if ahead and shown.get("") != ahead:
                    console.print(ahead)
                    shown[""] = ahead
            if state in ENDED:
                followed.state = state
                return
            look_after(settings)
            if (now := [(one.name, one.state) for one in tasks]) != seen:
                seen, changed = now, time.monotonic()
            time.sleep(_pause(time.monotonic() - changed))


def _pause(calm: float) -> float:
    """Seconds until the next look, after so many without news: a training of half an hour has better use for the processor."""
    return min(0.25 + calm / 20, 2.0)


def _ahead(airflow: Airflow, followed: Followed) -> str:
    """What a run that has not begun waits for: a project's runs take turns. Empty when it is about to begin."""
    running = airflow.get(f"/dags/{followed.dag}/dagRuns", state="running", limit=1)["dag_runs"]
    return f"waiting for {running[0]['dag_run_id']} to end: {followed.dag} runs one at a time" if running else ""


def _tasks(airflow: Airflow, base: str, graph: Graph) -> list[Task]:
    return [
        Task(
            name=f"{one['task_id']}-{_candidate(one, graph)}" if one["map_index"] >= 0 else one["task_id"],
            id=one["task_id"],
            index=one["map_index"],
            state=one["state"] or "waiting",
            seconds=one["duration"],
            tries=one["try_number"],
        )
        for one in airflow.get(f"{base}/taskInstances", limit=500)["task_instances"]
    ]


def _candidate(one: dict[str, Any], graph: Graph) -> str:
    """The name Airflow shows for a mapped task. Until the task has begun, Airflow knows only its index."""
    index, shown = one["map_index"], one["rendered_map_index"]
    known = shown in (None, str(index)) and index < len(graph.candidates)
    return str(graph.candidates[index] if known else shown or index)


def _collect(airflow: Airflow, base: str, one: Task, followed: Followed, nodes: set[str]) -> None:
    """Fetch, once, what a task left: the references to its results where it is a stage, or why it failed."""
    if one.state == "success" and one.name in nodes and one.name not in followed.results:
        if value := _xcom(airflow, base, one, "return_value"):
            followed.results[one.name] = StageResult.model_validate(value)
    elif one.state == "failed" and one.name not in {failure.task for failure in followed.failures}:
        known = _xcom(airflow, base, one, "error") or {
            "kind": "Killed",
            "exit_code": InfrastructureError.exit_code,
            "message": f"the task left no message, so its process was killed; its log is at {followed.url}",
        }
        followed.failures.append(Failure(one.name, **known))


def _xcom(airflow: Airflow, base: str, one: Task, key: str) -> Any:
    entry = airflow.get(f"{base}/taskInstances/{one.id}/xcomEntries/{key}", map_index=one.index, stringify=False)
    return entry and entry["value"]


def _note(followed: Followed, one: Task) -> Text:
    result = followed.results.get(one.name)
    failure = next((f for f in followed.failures if f.task == one.name), None)
    if failure:
        return Text(failure.kind, style="red")
    if one.state == "awaiting_input":
        return Text(f"a person is asked: {followed.url}")
    return Text("reused" if result and result.reused else f"try {one.tries}" if one.tries > 1 else "")


def _table(settings: Settings, followed: Followed, tasks: list[Task], graph: Graph) -> Table:
    table = Table(box=None, show_header=False, title=f"{followed.dag}  {followed.run}", title_justify="left")
    by_name = {one.name: one for one in tasks}
    for name in dict.fromkeys([*(node.name for node in graph.nodes), *by_name, "close"]):
        one = by_name.get(name)
        if one is None:
            table.add_row(" ", name, "waiting", style="dim")
            continue
        seconds = f"{one.seconds:.1f} s" if one.seconds else ""
        step = progress.read(settings, followed.run_id, name) if one.state == "running" else None
        note = Text(f"{step[0]} of {step[1]}: {step[2]}") if step else _note(followed, one)
        table.add_row(Text(*_SIGNS.get(one.state, (" ", ""))), Text(name), one.state.replace("_", " "), seconds, note)
    return table


def _lines(followed: Followed, tasks: list[Task], shown: dict[str, str], console: Console) -> None:
    """Where nothing can be redrawn: one line when a task changes its state."""
    for one in tasks:
        if one.state != shown.get(one.name) and one.state in {*_SIGNS, "skipped"}:
            shown[one.name] = one.state
            seconds = f"{one.seconds:6.1f} s" if one.seconds and one.state in ENDED else ""
            console.print(Text(f"{one.state:>15}  {one.name:<28} {seconds} ").append(_note(followed, one)))
