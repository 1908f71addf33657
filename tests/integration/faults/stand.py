"""A stack that is made to suffer, and what must be true of it afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipelines import stack as embedded
from pipelines.core.alarms import Alarms
from pipelines.core.deployment import Retraining
from pipelines.core.evidence import Verdict
from pipelines.core.execution import Session
from pipelines.core.run import Run, new_id
from pipelines.core.settings import Settings
from pipelines.stack import state
from pipelines.stack.client import Airflow
from pipelines.stack.environment import Ports
from pipelines.stack.secrets import password
from tests.conftest import find_free_port
from tests.integration.airflow.conftest import DAGS, add_project, await_dags, places, quiet
from tests.postgres import serving

TOY = '"""The toy under another name."""\n\nfrom pipelines.projects.toy import Toy\n\n\nclass Named(Toy):\n    name = "NAME"\n{body}\n\nPROJECT = Named\n'
WAITING = """
    def fit(self, candidate, params, train, valid, training):
        import os, time
        from pathlib import Path
        place = Path(os.environ["PIPELINES_HOME"]) / "waiting"
        place.mkdir(exist_ok=True)
        if candidate == "linear":
            (place / "NAME.here").touch()
            end = time.monotonic() + 300
            while not (place / "NAME.go").exists() and time.monotonic() < end:
                time.sleep(0.1)
        return super().fit(candidate, params, train, valid, training)
"""
PATIENCE = 400.0
"""Seconds for a run to end, recovery included, on a busy machine."""


@dataclass
class Stand:
    """One home with a stack and toy projects; `up` mends what was killed."""

    settings: Settings
    projects: Path
    dags: Path
    ports: Ports
    environment: dict[str, str]

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """This process has the settings of the stand, and no others."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("PIPELINES_", "MLFLOW_", "AIRFLOW"))]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield

    def up(self) -> None:
        embedded.up(self.settings, wanted=self.ports, console=quiet())

    def kill(self, name: str) -> None:
        """SIGKILL one process of the stack, as it is, and nothing of its family."""
        known = state.load(self.settings.home)
        assert known is not None
        victim = next(process for process in known.processes if process.name == name)
        os.kill(victim.pid, 9)
        end = time.monotonic() + 10
        while victim.alive:
            assert time.monotonic() < end, f"{name} does not die"
            time.sleep(0.05)

    @contextlib.contextmanager
    def airflow(self) -> Iterator[Airflow]:
        known = state.load(self.settings.home)
        assert known is not None
        with Airflow(known.ports.airflow_url, password(self.settings.home)) as client:
            yield client

    def add(self, names: Sequence[str], body: str = "", before: str = "") -> None:
        """Toy projects with these names, a body of their class and lines before the DAGs are built."""
        for name in names:
            add_project(self.projects, self.dags, name, TOY.replace("{body}", body).replace("NAME", name))
            deployment = self.projects / name / "deployment.yaml"
            deployment.write_text(deployment.read_text().replace("attempts: 2", "attempts: 4"))
            (self.dags / f"{name}.py").write_text(before.replace("NAME", name) + DAGS.format(name=name))
        with self.airflow() as airflow:
            await_dags(airflow, {f"{name}_training" for name in names})

    def start(self, name: str) -> str:
        with self.airflow() as airflow:
            asked = {"dag_run_id": new_id("run"), "logical_date": None, "conf": {"profile": "sample"}}
            run: str = airflow.send("POST", f"/dags/{name}_training/dagRuns", asked)["dag_run_id"]
            return run

    def ended(self, name: str, run: str) -> tuple[str, int]:
        """State of a run once it has ended, and how often its tasks were tried beyond once."""
        where, end = f"/dags/{name}_training/dagRuns/{run}", time.monotonic() + PATIENCE
        with self.airflow() as airflow:
            while (found := airflow.get(where))["state"] not in ("success", "failed"):
                assert time.monotonic() < end, f"{name} is still {found['state']} after {PATIENCE:.0f} s"
                time.sleep(0.5)
            tasks = airflow.get(f"{where}/taskInstances", limit=100)["task_instances"]
        return found["state"], sum(max(task["try_number"] - 1, 0) for task in tasks)

    def session(self, name: str) -> Session:
        return Session(Run(project=name, profile="sample"), "training", self.settings)

    def alarm(self, name: str) -> None:
        """A drift alarm that the next training has to answer."""
        verdict = Verdict(project=name, champion=None, window="planted", outcome="drift")
        run = Run(project=name, as_of=datetime.now(UTC))
        Alarms(self.session(name).store, name).sound(verdict, run, Retraining())

    def amiss(self, name: str, place: Path) -> list[str]:
        """What is not as if nothing had happened: one version, one promotion, no open run, no open alarm, whole artifacts."""
        known = state.load(self.settings.home)
        assert known is not None
        client, session = MlflowClient(known.ports.mlflow_url), self.session(name)
        versions = [version.version for version in client.search_model_versions(f"name='{name}'")]
        experiment = client.get_experiment_by_name(name)
        runs = client.search_runs([experiment.experiment_id])
        states = {run.info.status for run in runs}
        ended = [run.data.tags for run in runs if run.info.status == "FINISHED" and "mlflow.parentRunId" not in run.data.tags]
        marks = {f"stage.{node.name}.fingerprint" for node in session.graph.nodes}
        entries = session.ledger.history(name).entries
        found = [] if versions == ["1"] else [f"versions {versions}"]
        found += [] if sum(entry.kind == "promotion" for entry in entries) == 1 else ["not one promotion"]
        found += ["a run left RUNNING"] if "RUNNING" in states else []
        found += [f"MLflow has not heard of {sorted(marks - set(tags))}" for tags in ended if marks - set(tags)]
        alarms = Alarms(session.store, name)
        found += [f"alarms {alarms.open()} open"] if alarms.open() else []
        for key in session.store.keys(""):
            if key.endswith(".json"):
                json.loads(session.store.read(key) or b"")
        for key in session.store.keys(f"runs/{name}/"):
            for ref in (session.store.read_json(key) or {}).get("outputs", {}).values() if "/nodes/" in key else ():
                session.store.fetch(session.store.manifest(ref["digest"]).ref, under=place)
        return found

    def locked(self) -> int:
        """How often a process has logged that the database was locked."""
        return sum(
            log.read_text(errors="replace").count("database is locked") for log in (self.settings.home / "logs").glob("*.log")
        )


@contextlib.contextmanager
def stand(base: Path, environment: dict[str, str] | None = None) -> Iterator[Stand]:
    """A running stack in a folder; `environment` says where its databases are."""
    projects, dags = base / "projects", base / "dags"
    for folder in (projects, dags):
        folder.mkdir(parents=True)
    add_project(projects, dags, "toy")
    chosen = {**places(base), **(environment or {})}
    ports = Ports(airflow=find_free_port(), mlflow=find_free_port())
    made = Stand(Settings.load(chosen), projects, dags, ports, chosen)
    with made.seen():
        try:
            made.up()
            yield made
        finally:
            embedded.down(made.settings, console=quiet())


@contextlib.contextmanager
def on_sqlite() -> Iterator[dict[str, str]]:
    """Nothing to set: the embedded databases."""
    yield {}


@contextlib.contextmanager
def on_postgres() -> Iterator[dict[str, str]]:
    """Airflow and MLflow with a database each on a PostgreSQL server."""
    with serving() as server:
        yield {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.make("airflow"),
            "MLFLOW_TRACKING_URI": server.make("mlflow"),
        }


DATABASES = {"sqlite": on_sqlite, "postgres": on_postgres}


# what is done to it -----------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What has become of a fault."""

    amiss: list[str]
    """Empty when everything ended right."""
    note: str = ""


def tasks_killed(on: Stand, name: str, place: Path) -> Outcome:
    """Every task of a training is killed three times."""
    from tests.integration.faults.victim import deaths

    on.add([name], before="from tests.integration.faults.victim import die_everywhere\n\ndie_everywhere('NAME')\n")
    on.alarm(name)
    ended, again = on.ended(name, on.start(name))
    died = deaths(on.settings.home, name)
    nodes = [node.name for node in on.session(name).graph.nodes]
    amiss = on.amiss(name, place)
    amiss += [] if ended == "success" else [f"the run ended as {ended}"]
    amiss += [] if len(died) == 3 * len(nodes) else [f"died only in {died}"]
    return Outcome(amiss, f"{len(died)} kills, {again} tries more, the same run succeeded")


def server_killed(on: Stand, name: str, place: Path, server: str) -> Outcome:
    """A process of the stack is killed while a candidate trains; `up` mends the stack."""
    on.add([name], body=WAITING.replace("NAME", name))
    on.alarm(name)
    run = on.start(name)
    _until((on.settings.home / "waiting" / f"{name}.here").exists, "the candidate trains")
    on.kill(server)
    began = time.monotonic()
    on.up()
    mended = time.monotonic() - began
    (on.settings.home / "waiting" / f"{name}.go").touch()
    ended, _ = on.ended(name, run)
    whole = time.monotonic() - began
    if ended != "success":
        assert on.ended(name, on.start(name))[0] == "success"
    return Outcome(on.amiss(name, place), f"the run ended as {ended}; up {mended:.0f} s, run {whole:.0f} s after the kill")


def many_at_once(on: Stand, names: Sequence[str], place: Path) -> Outcome:
    """Projects are started in the same moment."""
    on.add(names)
    locked, began = on.locked(), time.monotonic()
    with ThreadPoolExecutor(len(names)) as pool:
        runs = dict(zip(names, pool.map(on.start, names), strict=True))
    ends = {name: on.ended(name, run) for name, run in runs.items()}
    amiss = [f"{name} ended as {ended}" for name, (ended, _) in ends.items() if ended != "success"]
    amiss += [f"{name}: {one}" for name in names for one in on.amiss(name, place)]
    tries, said = sum(again for _, again in ends.values()), on.locked() - locked
    amiss += [f"'database is locked' was logged {said} times"] if said else []
    return Outcome(
        amiss, f"{time.monotonic() - began:.0f} s, {tries} tasks tried again, 'database is locked' logged {said} times"
    )


def _until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.1)
