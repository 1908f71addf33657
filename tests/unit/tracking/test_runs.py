"""One MLflow run per pipeline run, and what is in it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_chain import finish_stage

from pipelines.core.errors import DataError, InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.tracking import records
from pipelines.tracking.client import connect
from pipelines.tracking.leases import HOLDER, UNTIL
from pipelines.tracking.provenance import RUN
from pipelines.tracking.runs import MlflowTracker

Sessions = Callable[..., Session]
Chain = Callable[..., dict[str, Any]]
SECRET = "correct-horse-battery-staple"


def all_runs(settings: Settings, only: str = "") -> list[Any]:
    client = connect(settings)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run for run in client.search_runs(ids) if only in run.data.tags.get("mlflow.parentRunId", "")]


def parents(settings: Settings) -> list[Any]:
    return [run for run in all_runs(settings) if "mlflow.parentRunId" not in run.data.tags]


def artifacts(settings: Settings, run: Any) -> set[str]:
    return {file.path for file in connect(settings).list_artifacts(run.info.run_id)}


def record_all(tracker: MlflowTracker, session: Session, done: dict[str, Any], *, reused: bool = False) -> None:
    for node in session.graph.nodes:
        if node.name in done:
            tracker.record(session, node, done[node.name].model_copy(update={"reused": reused}))


def test_one_run_says_everything(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session(started_by="drift", overrides={"gates.rows": 2})
    for node_done in [chain(session)]:
        record_all(MlflowTracker(settings), session, node_done)
    tracker = MlflowTracker(settings)  # as in another process
    tracker.finish(session, "FINISHED")

    [run] = parents(settings)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == session.run.id
    tags = run.data.tags
    assert tags[RUN] == session.run.id
    assert tags["pipelines.why"] == "drift"
    assert json.loads(tags["pipelines.overrides"]) == {"gates.rows": 2}
    assert tags["data.source"] == "simulator"
    assert json.loads(tags["data.pointer"])["md5"].startswith("0123")
    assert len(tags["data.sha256"]) == len(tags["params.sha256"]) == len(tags["lock.sha256"]) == 64
    assert tags["git.commit"] == tags["mlflow.source.git.commit"]
    assert tags["seed"] == "7"
    assert tags["stage.train-linear.fingerprint"] == "mark-of-train-linear"
    assert tags["stage.evaluate.reused"] == "false"
    assert tags["decision"] == "accepted"
    assert "| floor: accuracy |" in tags["mlflow.note.content"]
    assert run.data.params["gates.floors.accuracy"] == "0.8"
    assert run.data.params["gates.rows"] == "2"
    assert {name: run.data.metrics[name] for name in ("accuracy", "accuracy_low", "accuracy_high")} == {
        "accuracy": 0.9,
        "accuracy_low": 0.85,
        "accuracy_high": 0.95,
    }
    [data] = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest[:4]) == ("toy", "0123")
    client = connect(settings)
    shown = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"snapshot.json", "validation.json", "data_docs", "figures", "decision.json", "leaderboard.json", "card"} <= shown
    assert {file.path for file in client.list_artifacts(run.info.run_id, "card")} >= {"card/index.html"}
    assert "predictions" not in shown
    assert run.info.artifact_uri.startswith(f"{settings.artifacts}/toy/")


def test_each_candidate_has_a_nested_run(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session()
    record_all(MlflowTracker(settings), session, chain(session))
    [parent] = parents(settings)
    nested = {run.info.run_name: run for run in all_runs(settings, only=parent.info.run_id)}
    assert set(nested) == {"linear", "centroid"}
    linear = nested["linear"]
    assert linear.info.status == "FINISHED"
    assert linear.data.params["chosen.ridge"] == "0.1"
    assert linear.data.metrics["valid_accuracy"] == 0.9
    assert linear.data.metrics["accuracy_low"] == 0.85
    history = connect(settings).get_metric_history(linear.info.run_id, "curve.loss")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.25)]
    assert [file.path for file in connect(settings).list_artifacts(linear.info.run_id)] == ["fit.json"]


def test_two_processes_that_open_at_once_share_one_run(toy_session: Sessions, settings: Settings) -> None:
    session = toy_session()
    together = threading.Barrier(2)
    opened: list[str] = []

    class Slow(MlflowTracker):
        def _create(self, session: Session, experiment: str) -> str:
            made = super()._create(session, experiment)
            together.wait(timeout=30)  # both have found no claim and have made a run
            return made

    threads = [threading.Thread(target=lambda: opened.append(Slow(settings).open(session))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 2
    assert len(set(opened)) == 1
    assert [run.info.run_id for run in parents(settings)] == [opened[0]]


def test_a_run_in_which_everything_is_reused_leaves_no_trace(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session()
    done = chain(session)
    before = session.store.keys("runs/")
    tracker = MlflowTracker(settings)
    record_all(tracker, session, done, reused=True)
    tracker.finish(session, "FINISHED")
    assert parents(settings) == []
    assert session.store.keys("runs/") == before
    assert tracker.url(session) is None


def test_reused_stages_are_told_once_one_has_run(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session()
    done = chain(session)
    tracker = MlflowTracker(settings)
    evaluate = done.pop("evaluate")
    record_all(tracker, session, done, reused=True)
    assert parents(settings) == []
    tracker.record(session, session.graph.node("evaluate"), evaluate)
    [run] = parents(settings)
    assert run.data.tags["stage.ingest.reused"] == "true"
    assert run.data.tags["stage.evaluate.reused"] == "false"
    assert run.data.tags["data.source"] == "simulator"


def test_failure_is_recorded_with_its_evidence(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session()
    done = chain(session)
    tracker = MlflowTracker(settings)
    evidence = {"validation": done["validate"].outputs["validation"], "data_docs": done["validate"].outputs["data_docs"]}
    tracker.failed(session, session.graph.node("validate"), DataError("column 'x': 3 rows"), evidence)
    tracker.finish(session, "FAILED")
    [run] = parents(settings)
    assert run.info.status == "FAILED"
    assert run.data.tags["error.class"] == "DataError"
    assert run.data.tags["error.message"] == "column 'x': 3 rows"
    assert run.data.tags["error.stage"] == "validate"
    assert {file.path for file in connect(settings).list_artifacts(run.info.run_id)} >= {"validation.json", "data_docs"}


def test_a_retry_mends_a_failed_run(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session()
    done = chain(session)
    first = MlflowTracker(settings)
    first.failed(session, session.graph.node("train-linear"), InfrastructureError("disk"), {})
    first.finish(session, "FAILED")
    assert {run.info.status for run in all_runs(settings)} == {"FAILED"}
    second = MlflowTracker(settings)
    record_all(second, session, done)
    assert parents(settings)[0].info.status == "RUNNING"
    second.finish(session, "FINISHED")
    assert {run.info.status for run in all_runs(settings)} == {"FINISHED"}
    assert "error.class" not in parents(settings)[0].data.tags


def test_a_task_cleared_after_the_run_was_closed_closes_it_behind_itself(
    toy_session: Sessions, chain: Chain, settings: Settings
) -> None:
    session = toy_session(runner="airflow", engine={"dag_id": "toy_training", "run_id": "one"})
    done = chain(session)
    usual = MlflowTracker(settings)
    usual.open(session)
    usual.settle(session)
    assert parents(settings)[0].info.status == "RUNNING", "the task `close` is still to come"
    usual.failed(session, session.graph.node("validate"), DataError("3 rows"), {})
    MlflowTracker(settings).finish(session, "FAILED")

    one, other = MlflowTracker(settings), MlflowTracker(settings)  # two cleared tasks, at the same time
    one.open(session)
    other.open(session)
    assert parents(settings)[0].info.status == "RUNNING"
    one.record(session, session.graph.node("validate"), done["validate"])
    one.settle(session)
    assert parents(settings)[0].info.status == "FINISHED"
    other.failed(session, session.graph.node("train-linear"), InfrastructureError("disk"), {})
    other.settle(session)
    assert parents(settings)[0].info.status == "FAILED"
    assert session.store.keys("open-runs/") == []


def test_what_a_killed_process_had_not_told_is_known(
    toy_session: Sessions, chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = toy_session(runner="airflow", engine={"dag_id": "toy_training", "run_id": "one"})
    done = chain(session)
    MlflowTracker(settings).open(session)
    for result in done.values():
        records.remember(session, result)
    client, written = connect(settings), 0
    real = client.log_batch

    def dying(run_id: str, *rest: Any) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise KeyboardInterrupt
        real(run_id, *rest)

    monkeypatch.setattr(client, "log_batch", dying)
    MlflowTracker(settings).record(session, session.graph.node("ingest"), done["ingest"])
    with pytest.raises(KeyboardInterrupt):  # the candidate's run has been told, and the pipeline's has not
        MlflowTracker(settings).record(session, session.graph.node("train-linear"), done["train-linear"])
    monkeypatch.undo()

    closing = MlflowTracker(settings)
    unheard = closing.unheard(session)
    assert [node.name for node, _ in unheard] == ["validate", "features", "train-linear", "train-centroid", "evaluate"]
    for node, result in unheard:
        closing.record(session, node, result)
    assert closing.unheard(session) == []
    closing.finish(session, "FINISHED")
    tags = parents(settings)[0].data.tags
    assert {name: tags[f"stage.{name}.fingerprint"] for name in done} == {name: f"mark-of-{name}" for name in done}
    assert sorted(run.info.run_name for run in all_runs(settings)) == sorted([session.run.id, "linear", "centroid"])
    assert {run.info.status for run in all_runs(settings)} == {"FINISHED"}
    assert artifacts(settings, parents(settings)[0]) >= {"data_docs", "card", "decision.json"}


def test_a_run_that_was_never_opened_has_nothing_unheard(toy_session: Sessions, settings: Settings) -> None:
    assert MlflowTracker(settings).unheard(toy_session()) == []


def test_a_repeated_stage_that_chose_otherwise_says_so(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session()
    done = chain(session)
    node = session.graph.node("train-linear")
    tracker = MlflowTracker(settings)
    tracker.record(session, node, done["train-linear"])
    fit = session.read(done["train-linear"].outputs["fit"])
    finish_stage(session, done, "train-linear", model={"weights": np.ones(3)}, fit={**fit, "params": {"ridge": 0.2}})
    tracker.record(session, node, done["train-linear"])
    [run] = [run for run in all_runs(settings) if run.info.run_name == "linear"]
    assert (run.data.params["chosen.ridge"], run.data.tags["now.chosen.ridge"]) == ("0.1", "0.2")


def test_the_next_run_closes_a_dead_one_and_leaves_others_alone(toy_session: Sessions, settings: Settings) -> None:
    client = connect(settings)
    dead, alive = toy_session(), toy_session()
    dead_id = MlflowTracker(settings).open(dead)
    experiment = client.get_run(dead_id).info.experiment_id
    kill_holder(dead)
    orphan = client.create_run(experiment, tags={**client.get_run(dead_id).data.tags, RUN: "never-claimed"}).info.run_id
    elsewhere = {**client.get_run(dead_id).data.tags, RUN: "of-another-store", "pipelines.store": "s3://another"}
    neighbour = client.create_run(experiment, tags=elsewhere).info.run_id
    by_hand = client.create_run(experiment).info.run_id

    assert sorted(MlflowTracker(settings).dead("toy")) == sorted([dead_id, orphan, neighbour])
    assert client.get_run(dead_id).info.status == "RUNNING", "to be asked changes nothing"
    alive_id = MlflowTracker(settings).open(alive)
    closed = client.get_run(dead_id)
    assert closed.info.status == "FAILED"
    assert "ended without closing it" in closed.data.tags["error.message"]
    assert client.get_run(neighbour).info.status == "FAILED"
    assert client.get_run(orphan).info.lifecycle_stage == "deleted"
    assert client.get_run(by_hand).info.status == "RUNNING"
    assert client.get_run(alive_id).info.status == "RUNNING"
    for told in (MlflowTracker(settings).dead, MlflowTracker(settings).sweep):
        assert told("toy") == told("unheard-of") == []


def kill_holder(session: Session) -> None:
    """Make the record of who holds a run name a process that has ended."""
    key = f"open-runs/{session.run.project}/{session.run.id}.json"
    holder = session.store.read_json(key)
    holder[HOLDER] = holder[HOLDER].rpartition(":")[0] + ":1.00"
    session.store.replace(key, json.dumps(holder).encode())
    client = connect(session.settings)
    for run in all_runs(session.settings):
        if run.data.tags[RUN] == session.run.id:
            client.set_tag(run.info.run_id, HOLDER, holder[HOLDER])


def test_a_run_in_which_everything_is_reused_closes_a_dead_one(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    dead, later = toy_session(), toy_session()
    done = chain(dead)
    record_all(MlflowTracker(settings), dead, done)
    open_one = MlflowTracker(settings)
    record_all(open_one, later, done, reused=True)
    open_one.finish(later, "FINISHED")
    assert parents(settings)[0].info.status == "RUNNING", "its process lives"
    kill_holder(dead)
    tracker = MlflowTracker(settings)
    record_all(tracker, later, done, reused=True)
    tracker.finish(later, "FINISHED")
    [run] = parents(settings)
    assert run.info.status == "FAILED"
    assert dead.store.keys("open-runs/") == []
    assert {run.info.status for run in all_runs(settings, only=run.info.run_id)} == {"FINISHED"}


def test_with_nobody_dead_mlflow_is_not_even_asked(
    toy_session: Sessions, chain: Chain, settings: Settings, free_port: int
) -> None:
    session = toy_session()
    tracker = MlflowTracker(settings.model_copy(update={"tracking": f"http://127.0.0.1:{free_port}"}))
    record_all(tracker, session, chain(session), reused=True)
    tracker.finish(session, "FINISHED")
    assert "client" not in vars(tracker)


def test_a_dead_run_waits_while_mlflow_is_down(toy_session: Sessions, chain: Chain, settings: Settings, free_port: int) -> None:
    dead, later = toy_session(), toy_session()
    MlflowTracker(settings).open(dead)
    kill_holder(dead)
    down = MlflowTracker(settings.model_copy(update={"tracking": f"http://127.0.0.1:{free_port}"}))
    record_all(down, later, chain(later), reused=True)
    down.finish(later, "FINISHED")
    assert len(dead.store.keys("open-runs/")) == 1
    MlflowTracker(settings).finish(later, "FINISHED")
    assert dead.store.keys("open-runs/") == []
    assert [run.info.status for run in parents(settings)] == ["FAILED"]


def test_a_process_that_died_before_it_had_a_run(toy_session: Sessions, settings: Settings, monkeypatch: Any) -> None:
    dead = toy_session()
    with monkeypatch.context() as dying:
        dying.setattr("pipelines.tracking.runs.opened_experiment", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            MlflowTracker(settings).open(dead)
    kill_holder(dead)
    assert MlflowTracker(settings).sweep("toy") == []
    assert dead.store.keys("open-runs/") == []


def test_a_finished_run_is_held_by_nobody(toy_session: Sessions, settings: Settings) -> None:
    session = toy_session()
    tracker = MlflowTracker(settings)
    tracker.open(session)
    assert session.store.keys("open-runs/") == [f"open-runs/toy/{session.run.id}.json"]
    tracker.finish(session, "KILLED")
    assert session.store.keys("open-runs/") == []
    assert parents(settings)[0].info.status == "KILLED"


def test_tasks_renew_their_lease_when_it_is_old(toy_session: Sessions, settings: Settings) -> None:
    session = toy_session(runner="airflow", engine={"dag_id": "toy_training", "run_id": "one"})
    key = f"open-runs/toy/{session.run.id}.json"
    MlflowTracker(settings).open(session)
    first = session.store.read_json(key)
    assert first["airflow.dag_id"] == "toy_training"
    for hours, renewed in ((0, False), (-1, True)):
        until = datetime.fromisoformat(first[UNTIL]) + timedelta(hours=hours)
        session.store.replace(key, json.dumps({**first, UNTIL: until.isoformat()}).encode())
        MlflowTracker(settings).open(session)
        assert (session.store.read_json(key)[UNTIL] != until.isoformat()) == renewed


def test_a_stage_that_succeeds_does_not_mend_another_that_failed(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    session = toy_session()
    done = chain(session)

    def step(name: str, error: Exception | None = None) -> Any:
        tracker, node = MlflowTracker(settings), session.graph.node(name)  # each is a process of its own
        if error:
            tracker.failed(session, node, error, {})
            tracker.finish(session, "FAILED")
        else:
            tracker.record(session, node, done[name])
            tracker.finish(session, "FINISHED")
        [run] = parents(settings)
        return run

    step("train-linear", InfrastructureError("disk"))
    step("train-centroid", InfrastructureError("memory"))
    run = step("features")
    assert (run.info.status, run.data.tags["error.message"]) == ("FAILED", "memory")
    run = step("train-centroid")
    assert (run.info.status, run.data.tags["error.stage"]) == ("FAILED", "train-linear")
    run = step("train-linear")
    assert run.info.status == "FINISHED"
    assert not [tag for tag in run.data.tags if tag.startswith("error.")]


def test_a_stage_of_its_own_process_asks_mlflow_little(
    toy_session: Sessions, chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = toy_session()
    done = chain(session)
    client = connect(settings)
    asked: list[str] = []
    for name in ("create_run", "get_run", "log_batch", "update_run", "set_terminated", "search_runs", "get_experiment_by_name"):
        real = getattr(client, name)
        monkeypatch.setattr(client, name, lambda *a, _real=real, _name=name, **k: (asked.append(_name), _real(*a, **k))[1])
    spent: dict[str, list[str]] = {}
    for node in session.graph.nodes:
        if node.name in done:
            asked.clear()
            MlflowTracker(settings).record(session, node, done[node.name])
            spent[node.name] = list(asked)
    assert spent["validate"] == spent["features"] == ["log_batch"]
    assert spent["train-linear"] == ["create_run", "log_batch", "set_terminated", "log_batch"]
    assert spent["evaluate"] == ["log_batch"] * 3, "the run and each candidate's"


def test_more_than_mlflow_takes_at_once(toy_session: Sessions, settings: Settings) -> None:
    from pipelines.tracking.facts import Facts

    tracker = MlflowTracker(settings)
    run_id = tracker.open(toy_session())
    tags, params = {f"t{n}": "x" for n in range(250)}, {f"p{n}": n for n in range(150)}
    tracker._write(run_id, Facts(metrics=[(f"m{n}", float(n), 0) for n in range(1700)], tags=tags, params=params))
    data = connect(settings).get_run(run_id).data
    assert {name for name in data.metrics if name[0] == "m"} == {f"m{n}" for n in range(1700)}
    assert set(tags) <= set(data.tags)
    assert set(params) <= set(data.params)


def test_no_secret_is_logged(toy_session: Sessions, chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PASSWORD", SECRET)
    changed = {"commit": "c", "dirty": "true", "diff": f"+url = 'x://u:{SECRET}@h'\n"}
    monkeypatch.setattr("pipelines.tracking.provenance.git_state", lambda: changed)
    session = toy_session(overrides={"features": {}, "ingest.drift": {}}, engine={"conf": SECRET})
    tracker = MlflowTracker(settings)
    record_all(tracker, session, chain(session))
    error = InfrastructureError(f"postgresql://ml:{SECRET}@db refused, api_token={SECRET}")
    tracker.failed(session, session.graph.node("evaluate"), error, {})
    tracker.finish(session, "FAILED")
    assert parents(settings)[0].data.tags["error.message"] == "postgresql://ml:***@db refused, api_token=***"
    diff = Path(connect(settings).download_artifacts(parents(settings)[0].info.run_id, "uncommitted.diff"))
    assert diff.read_text() == "+url = 'x://u:***@h'\n"
    for file in [settings.home / "mlflow.db", *Path(settings.artifacts).rglob("*")]:
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_mlflow_down_is_told_within_seconds(toy_session: Sessions, chain: Chain, settings: Settings, free_port: int) -> None:
    url = f"http://ml:pw@127.0.0.1:{free_port}"
    session = toy_session()
    done = chain(session)
    tracker = MlflowTracker(settings.model_copy(update={"tracking": url}))
    started = time.monotonic()
    with pytest.raises(InfrastructureError) as caught:
        tracker.record(session, session.graph.node("ingest"), done["ingest"])
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert f"http://ml:***@127.0.0.1:{free_port}" in message
    assert "Connection refused" in message
    assert "pipelines stack up" in message
    assert "MLFLOW_TRACKING_URI" in message


def test_mlflow_down_does_not_hide_why_a_stage_failed(toy_session: Sessions, settings: Settings, free_port: int) -> None:
    tracker = MlflowTracker(settings.model_copy(update={"tracking": f"http://127.0.0.1:{free_port}"}))
    session = toy_session()
    error = DataError("column 'x' is missing")
    tracker.failed(session, session.graph.node("validate"), error, {})
    assert "not in MLflow" in error.__notes__[0]


def test_a_database_that_cannot_be_opened_is_named(toy_session: Sessions, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "junk.db").write_bytes(b"not a database" * 100)
    tracker = MlflowTracker(settings.model_copy(update={"tracking": f"sqlite:///{tmp_path / 'junk.db'}"}))
    with pytest.raises(InfrastructureError, match=r"junk\.db does not answer.*not a database"):
        tracker.open(toy_session())
