"""Drift retrains on the real scheduler, and no alarm is lost: each is answered by one later run that names it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pipelines.core.alarms import Alarms, Event
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.runners import in_process
from pipelines.tracking.runs import MlflowTracker
from tests.integration.airflow.conftest import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

RESTLESS = '''
"""The toy, whose inputs drift while there is a file `drifts` and whose training waits while there is a file `slow`."""

import time
from pathlib import Path

from pipelines.projects.toy import Toy

HERE = Path(__file__).parent


class Restless(Toy):
    name = "NAME"

    def watch(self, model, data):
        seen = super().watch(model, data)
        return {**seen, "x0": seen["x0"] + 3} if (HERE / "drifts").exists() else seen

    def fit(self, *arguments):
        while (HERE / "slow").exists():
            time.sleep(0.2)
        return super().fit(*arguments)


PROJECT = Restless
'''
DEPLOYMENT = """
owner: tests
title: Restless
description: Drifts on demand.
retraining: {cooldown: PT0S, per_week: 1000}
retry: {attempts: 2, delay: 1}
"""
WEEKS = ("2025-02-03", "2025-02-10", "2025-02-17", "2025-02-24")


class Restless:
    """The project, and what its tests do and see."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation, self.folder, self.name = installation, folder, folder.name

    def drifts(self, yes: bool) -> None:
        (self.folder / "drifts").touch() if yes else (self.folder / "drifts").unlink(missing_ok=True)

    def check(self, week: str, drifts: bool) -> None:
        self.drifts(drifts)
        watched = self.installation.run(self.name, "monitoring", as_of=f"{week}T00:00:00+00:00")
        assert watched.exit_code == 0, watched.failures

    def runs(self) -> list[dict[str, Any]]:
        """Training runs that an event started."""
        found = self.installation.airflow.get(f"/dags/{self.name}_training/dagRuns", limit=100)["dag_runs"]
        return [run for run in found if run["run_type"] == "asset_triggered"]

    def pause(self, yes: bool) -> None:
        self.installation.airflow.send("PATCH", f"/dags/{self.name}_training", {"is_paused": yes})

    @property
    def alarms(self) -> Alarms:
        return Alarms(self.session("training", "any").store, self.name)

    def session(self, kind: str, run: str, **asked: Any) -> Session:
        return Session(Run(project=self.name, id=run, profile="sample", **asked), kind, self.installation.settings)

    def settled(self, alarms: int) -> list[Event]:
        """The claims, once so many alarms are answered and no training run is under way."""
        end = time.monotonic() + 120
        while True:
            events = self.alarms.events()
            answered = {name for event in events if event.kind == "answered" for name in event.alarms}
            if len(answered) >= alarms and all(run["state"] in ("success", "failed") for run in self.runs()):
                return [event for event in events if event.kind == "claimed"]
            assert time.monotonic() < end, f"{events}\n{self.runs()}"
            time.sleep(0.5)


@pytest.fixture
def restless(installation: Installation, new_project: Callable[..., Path]) -> Iterator[Restless]:
    """Its champion serves, its window is large enough to judge."""
    name = f"restless_{uuid4().hex[:8]}"
    folder = new_project(name, RESTLESS.replace("NAME", name), {"deployment.yaml": DEPLOYMENT})
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("resamples: 100", "resamples: 100\n  rows: 5"))
    first = installation.run(name)
    assert first.exit_code == 0, first.failures
    yield Restless(installation, folder)
    (folder / "slow").unlink(missing_ok=True)


def test_an_alarm_retrains_and_the_run_says_why(restless: Restless) -> None:
    restless.check(WEEKS[0], drifts=False)
    assert (restless.alarms.events(), restless.runs()) == ((), [])
    restless.check(WEEKS[1], drifts=True)
    (claim,) = restless.settled(1)
    (run,) = restless.runs()
    assert (claim.started_by, claim.run) == ("drift", f"{restless.name}_training.{run['dag_run_id']}")
    settings = restless.installation.settings.model_copy(update={"tracking": restless.installation.stack.mlflow_url})
    tracker = MlflowTracker(settings)
    url = tracker.url(restless.session("training", claim.run))
    assert url is not None
    tags = tracker.client.get_run(url.rpartition("/")[2]).data.tags
    assert (tags["pipelines.why"], tags["pipelines.alarms"]) == ("drift", claim.alarms[0])
    restless.check(WEEKS[1], drifts=True)  # the same window again
    assert len(restless.settled(1)) == 1


def test_alarms_during_a_training_run_are_answered_by_one_later_run(restless: Restless) -> None:
    (restless.folder / "slow").touch()
    airflow = restless.installation.airflow
    busy = airflow.send(
        "POST",
        f"/dags/{restless.name}_training/dagRuns",
        {"logical_date": None, "conf": {"profile": "sample", "fresh": True}},
    )["dag_run_id"]
    await_state(restless, busy, "train")
    for week in WEEKS[:3]:
        restless.check(week, drifts=True)
    assert len(restless.alarms.open()) == 3
    (restless.folder / "slow").unlink()
    (claim,) = restless.settled(3)
    assert len(claim.alarms) == 3
    assert claim.run != f"{restless.name}_training.{busy}"


def test_an_alarm_while_training_is_paused_is_answered_after(restless: Restless) -> None:
    restless.pause(True)
    restless.check(WEEKS[0], drifts=True)
    restless.check(WEEKS[1], drifts=True)
    restless.pause(False)
    restless.check(WEEKS[2], drifts=False)
    (claim,) = restless.settled(2)
    assert len(claim.alarms) == 2


def test_an_alarm_of_which_airflow_never_heard_is_answered_after(restless: Restless) -> None:
    restless.drifts(True)
    in_process.run(restless.session("monitoring", "by-hand", as_of=datetime(2025, 2, 3, tzinfo=UTC)))
    assert len(restless.alarms.open()) == 1
    assert restless.runs() == []
    restless.check(WEEKS[1], drifts=False)
    (claim,) = restless.settled(1)
    assert claim.started_by == "drift"


def await_state(restless: Restless, run: str, task: str) -> None:
    """Until a task of a run is running."""
    end, where = time.monotonic() + 60, f"/dags/{restless.name}_training/dagRuns/{run}/taskInstances"
    while True:
        found = restless.installation.airflow.get(where, limit=100)["task_instances"]
        if any(one["task_id"] == task and one["state"] == "running" for one in found):
            return
        assert time.monotonic() < end, found
        time.sleep(0.3)
