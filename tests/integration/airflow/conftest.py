"""One real stack for all tests of this folder: its own home, free ports, and small projects that behave badly on demand."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from pipelines import stack as embedded
from pipelines.core.settings import Settings
from pipelines.stack import state
from pipelines.stack.client import Airflow
from pipelines.stack.environment import Ports
from pipelines.stack.secrets import password
from tests import planted
from tests.conftest import TOY, find_free_port, write_toy_data
from tests.loopback import Collector, Webhook

SHAKY = '''
"""The toy, whose disk fails the first time it is read."""

import os
from pathlib import Path

from pipelines.core.errors import InfrastructureError
from pipelines.projects.toy import Toy


class Shaky(Toy):
    name = "shaky"

    def load(self, raw, window):
        tried = Path(os.environ["PIPELINES_HOME"]) / "shaky-was-tried"
        if not tried.exists():
            tried.touch()
            raise InfrastructureError("the disk of shaky is not there yet; it comes back by itself")
        return super().load(raw, window)


PROJECT = Shaky
'''
SPOILED = SHAKY.partition("import os")[0].replace("whose disk", "whose data") + (
    'from pipelines.projects.toy import Toy\n\n\nclass Spoiled(Toy):\n    name = "spoiled"\n\n\nPROJECT = Spoiled\n'
)
DAGS = "from pipelines.runners.airflow import build\n\ntraining, monitoring = build({name!r})\n"


@dataclass
class Installation:
    """The stack under test and what a test needs to use it."""

    settings: Settings
    environment: Mapping[str, str]
    stack: embedded.Stack
    projects: Path
    dags: Path
    airflow: Airflow
    webhook: Webhook
    """Where alerts go."""
    collector: Collector
    """Where metrics go."""

    def run(self, project: str, kind: Any = "training", console: Console | None = None, **conf: Any) -> embedded.Followed:
        asked = {"profile": "sample", **conf}
        return embedded.trigger_and_follow(self.settings, project, kind, asked, console=console or quiet())

    def task(self, followed: embedded.Followed, task: str, index: int = -1) -> dict[str, Any]:
        """A task instance as Airflow tells of it."""
        where = f"/dags/{followed.dag}/dagRuns/{followed.run}/taskInstances/{task}"
        found: dict[str, Any] = self.airflow.get(where if index < 0 else f"{where}/{index}")
        return found

    def log(self, followed: embedded.Followed, task: str) -> str:
        folder = self.settings.home / "logs" / "tasks" / f"dag_id={followed.dag}" / f"run_id={followed.run}" / f"task_id={task}"
        return "\n".join(file.read_text() for file in sorted(folder.rglob("*.log")))


def places(base: Path) -> dict[str, str]:
    """The environment of a stack that writes below one folder, and reads its projects and DAGs there."""
    return {
        "PIPELINES_HOME": str(base / "home"),
        "PIPELINES_DATA": str(base / "data"),
        "PIPELINES_PROJECTS": str(base / "projects"),
        "AIRFLOW_HOME": str(base / "airflow-of-the-test"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(base / "dags"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    }


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture(scope="package")  # not the session: an idle stack costs the tests after it a quarter of a core
def _installation(tmp_path_factory: pytest.TempPathFactory, mirror: str | None) -> Iterator[Installation]:
    base = tmp_path_factory.mktemp("airflow")
    projects, dags = base / "projects", base / "dags"
    for name, source in {"toy": None, "shaky": SHAKY, "spoiled": SPOILED}.items():
        add_project(projects, dags, name, source)
    (projects / "spoiled" / "data.csv").write_text("0.1,0.2,1\n0.3,oops,0\n")
    (dags / "churn.py").write_text(DAGS.format(name="churn"))
    environment = {
        **places(base),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:op,una:user,vic:viewer",
        **planted.environment(find_free_port()),
        **({"PIPELINES_MIRROR": mirror} if mirror else {}),
    }
    hook, collector = Webhook(), Collector()
    with pytest.MonkeyPatch.context() as patch, hook.serving(), collector.serving():
        environment["PIPELINES_ALERTS"] = f"{hook.channel}/{planted.WORDS['PIPELINES_ALERTS']}"
        environment["PIPELINES_METRICS"] = collector.url
        environment["OTEL_METRIC_EXPORT_INTERVAL"] = "2000"
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = Settings.load()
        running = embedded.up(settings, wanted=Ports(airflow=find_free_port(), mlflow=find_free_port()), console=quiet())
        families: list[psutil.Process] = []
        try:
            with Airflow(running.airflow_url, password(settings.home)) as airflow:
                await_dags(airflow, {"toy_training", "toy_monitoring", "shaky_training", "spoiled_training"})
                yield Installation(settings, environment, running, projects, dags, airflow, hook, collector)
        finally:
            known = state.load(settings.home)
            families += [process for one in (known.processes if known else ()) for process in one.family()]
            embedded.down(settings, console=quiet())
    left = [process for process in families if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not left, f"`down` left processes running: {left}"


def await_dags(airflow: Airflow, wanted: set[str]) -> None:
    """Until Airflow has read these DAGs."""
    end = time.monotonic() + 120
    while missing := wanted - {dag["dag_id"] for dag in airflow.get("/dags", limit=100)["dags"]}:
        assert time.monotonic() < end, f"Airflow has not read {missing}: {airflow.get('/importErrors')}"
        time.sleep(0.5)


@pytest.fixture
def installation(_installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The stack, with this process seeing the same settings as its tasks."""
    for name, value in _installation.environment.items():
        monkeypatch.setenv(name, value)
    return _installation


@pytest.fixture(scope="package")
def first(_installation: Installation) -> embedded.Followed:
    """The toy's first run, which the tests of several files look at; whoever needs a run of it asks for this one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _installation.environment.items():
            patch.setenv(name, value)
        return _installation.run("toy")


@pytest.fixture(scope="package")
def churn(_installation: Installation) -> dict[str, embedded.Followed]:
    """Churn's training and, of the champion it makes, the monitoring: on the real data where they are, else on simulated."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _installation.environment.items():
            patch.setenv(name, value)
        return {kind: _installation.run("churn", kind) for kind in ("training", "monitoring")}


@pytest.fixture
def new_project(installation: Installation) -> Iterator[Callable[..., Path]]:
    """Adds a project with a DAG file for one test: ``new_project("frail", source, {"params.yaml": text})``."""
    added: list[str] = []

    def add(name: str, source: str | None = None, files: Mapping[str, str] | None = None) -> Path:
        added.append(name)
        return add_project(installation.projects, installation.dags, name, source, files)

    yield add
    for name in added:
        (installation.dags / f"{name}.py").unlink()
        shutil.rmtree(installation.projects / name)


def add_project(projects: Path, dags: Path, name: str, source: str | None = None, files: Mapping[str, str] | None = None) -> Path:
    """A copy of the toy under another name, with its data beside it; retries come after a second."""
    folder = projects / name
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    write_toy_data(folder / "data.csv")
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("TOY_DATA", str(folder / "data.csv")))
    (folder / "deployment.yaml").open("a").write("retry: {attempts: 2, delay: 1, longest: 1}\n")
    init = folder / "__init__.py"
    init.write_text((source or init.read_text()).replace('"toy.csv"', '"data.csv"'))
    for file, text in (files or {}).items():
        (folder / file).write_text(text)
    dags.mkdir(exist_ok=True)
    (dags / f"{name}.py").write_text(DAGS.format(name=name))
    return folder
