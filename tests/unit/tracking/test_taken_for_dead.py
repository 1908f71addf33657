"""Who is taken for dead: not a run that waits for a person or is at work, however long; and none keeps an error it has outlived."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.tracking import open_runs
from pipelines.tracking.client import connect
from pipelines.tracking.leases import UNTIL
from pipelines.tracking.provenance import RUN
from pipelines.tracking.runs import MlflowTracker

Sessions = Callable[..., Session]
Chain = Callable[..., dict[str, Any]]


def all_runs(settings: Settings) -> list[Any]:
    client = connect(settings)
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def record_all(tracker: MlflowTracker, session: Session, done: dict[str, Any]) -> None:
    for node in session.graph.nodes:
        if node.name in done:
            tracker.record(session, node, done[node.name])


def make_older(session: Session, hours: float) -> None:
    """As if all that was ever said of who holds a run had been said so much earlier."""
    key = f"open-runs/{session.run.project}/{session.run.id}.json"
    holder = session.store.read_json(key)
    until = (datetime.fromisoformat(holder[UNTIL]) - timedelta(hours=hours)).isoformat()
    session.store.replace(key, json.dumps({**holder, UNTIL: until}).encode())
    for run in all_runs(session.settings):
        connect(session.settings).set_tag(run.info.run_id, UNTIL, until)


@pytest.fixture
def training(toy_session: Sessions) -> Session:
    return toy_session(runner="airflow", engine={"dag_id": "toy_training", "run_id": "one"})


@pytest.fixture
def monitoring(toy_session: Sessions) -> Session:
    return toy_session("monitoring", runner="airflow", engine={"dag_id": "toy_monitoring", "run_id": "two"})


def status(settings: Settings, session: Session) -> str:
    found = [run for run in all_runs(settings) if run.data.tags[RUN] == session.run.id]
    (run,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return str(run.info.status)


def test_a_run_that_waits_for_a_person_is_not_taken_for_dead(training: Session, monitoring: Session, settings: Settings) -> None:
    MlflowTracker(settings).open(training)
    open_runs.wait(training, timedelta(days=1))
    make_older(training, hours=24)
    MlflowTracker(settings).open(monitoring)
    assert status(settings, training) == "RUNNING"
    make_older(training, hours=2)  # nobody answered, nothing went on: that is a run that was lost
    MlflowTracker(settings).sweep("toy")
    assert status(settings, training) == "FAILED"


def test_once_a_person_has_answered_the_lease_is_as_short_as_ever(training: Session, settings: Settings) -> None:
    MlflowTracker(settings).open(training)
    open_runs.wait(training, timedelta(days=30))
    MlflowTracker(settings).open(training)  # the next task
    make_older(training, hours=2)
    MlflowTracker(settings).sweep("toy")
    assert status(settings, training) == "FAILED"


def test_a_stage_that_takes_hours_keeps_its_run(
    training: Session, monitoring: Session, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_runs, "RENEWED", timedelta(seconds=0.05))
    MlflowTracker(settings).open(training)
    with open_runs.at_work(training):
        make_older(training, hours=3)
        time.sleep(0.5)
        MlflowTracker(settings).open(monitoring)
    assert status(settings, training) == "RUNNING"


def test_a_run_that_is_closed_is_not_opened_by_a_lease(training: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_runs, "RENEWED", timedelta(seconds=0.01))
    with open_runs.at_work(training):
        time.sleep(0.1)
    open_runs.wait(training, timedelta(days=1))
    assert not open_runs.held(training)


def test_a_run_taken_for_dead_that_goes_on_has_no_error(
    training: Session, monitoring: Session, chain: Chain, settings: Settings
) -> None:
    done = chain(training)
    first = MlflowTracker(settings)
    record_all(first, training, {"ingest": done["ingest"]})
    first._child(training, first._open(training), "linear")  # its candidate was at work
    make_older(training, hours=2)
    MlflowTracker(settings).open(monitoring)
    assert {run.data.tags.get("error.class") for run in all_runs(settings)} == {"Killed", None}
    last = MlflowTracker(settings)
    record_all(last, training, done)
    last.finish(training, "FINISHED")
    assert status(settings, training) == "FINISHED"
    assert not [run for run in all_runs(settings) if "error.class" in run.data.tags]
