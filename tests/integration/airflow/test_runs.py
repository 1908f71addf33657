"""DAG runs on a real Airflow: what succeeds, what is reused, what is retried and what stops."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.core.errors import ConfigError
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.stack.follow import Followed
from pipelines.tracking.runs import MlflowTracker
from tests.conftest import write_toy_data
from tests.integration.airflow.conftest import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

NODES = ["ingest", "validate", "features", "train-linear", "train-centroid", "evaluate", "promote", "baseline"]


def test_from_raw_data_to_champion(installation: Installation, first: Followed) -> None:
    assert (first.state, first.exit_code, first.failures) == ("success", 0, [])
    assert sorted(first.results) == sorted(NODES)
    assert not any(result.reused for result in first.results.values())
    session = Session(Run(project="toy", id=first.run_id), settings=installation.settings)
    promotion = session.read(first.results["promote"].outputs["promotion"])
    assert (promotion["outcome"], promotion["champion"], promotion["run"]) == ("promoted", 1, first.run_id)


def test_mapped_tasks_bear_the_candidates_names(installation: Installation, first: Followed) -> None:
    names = [installation.task(first, "train", index)["rendered_map_index"] for index in range(2)]
    assert names == ["linear", "centroid"]


def test_only_references_pass_through_xcom(installation: Installation, first: Followed) -> None:
    where = f"/dags/{first.dag}/dagRuns/{first.run}/taskInstances/~/xcomEntries"
    entries = installation.airflow.get(where, limit=100)["xcom_entries"]
    assert len(entries) >= len(NODES)
    for entry in entries:
        index = entry["map_index"]
        path = f"/dags/{first.dag}/dagRuns/{first.run}/taskInstances/{entry['task_id']}/xcomEntries/{entry['key']}"
        value = installation.airflow.get(path, map_index=index, stringify=False)["value"]
        assert len(json.dumps(value)) < 4096, f"{entry['task_id']} sends {len(json.dumps(value))} bytes"


def test_the_tracked_run_is_finished_and_names_the_dag_run(installation: Installation, first: Followed) -> None:
    run = tracked(installation, "toy", first)
    assert run.info.status == "FINISHED"
    assert run.data.tags["airflow.dag_id"] == "toy_training"
    assert run.data.tags["airflow.run_id"] == first.run


def test_assets_carry_digests_and_a_promotion_makes_a_champion(installation: Installation, first: Followed) -> None:
    events = [e for e in installation.airflow.get("/assets/events", limit=100)["asset_events"] if e["source_run_id"] == first.run]
    by_name = {event["name"]: event["extra"] for event in events}
    assert by_name["toy_data"]["raw"] == first.results["ingest"].outputs["raw"].digest
    assert by_name["toy_features"]["train"] == first.results["features"].outputs["train"].digest
    assert by_name["toy_champion"]["version"] == 1


def test_the_same_again_reuses_everything_and_says_so(installation: Installation, first: Followed) -> None:
    again = installation.run("toy")
    assert again.exit_code == 0
    assert {node for node, result in again.results.items() if not result.reused} == set()
    assert {n: r.outputs for n, r in again.results.items()} == {n: r.outputs for n, r in first.results.items()}
    assert "validate: reused, nothing it depends on has changed" in installation.log(again, "validate")
    champions = [e for e in installation.airflow.get("/assets/events", limit=200)["asset_events"] if e["name"] == "toy_champion"]
    assert [event["source_run_id"] for event in champions] == [first.run]


def test_a_run_by_hand_may_choose_date_parameters_and_to_start_afresh(installation: Installation, first: Followed) -> None:
    chosen = installation.run("toy", as_of="2025-02-03T00:00:00+00:00", overrides={"seed": 8}, fresh=True, why="a test")
    assert chosen.exit_code == 0
    assert not any(result.reused for node, result in chosen.results.items() if node != "promote")
    tags = tracked(installation, "toy", chosen).data.tags
    assert (tags["pipelines.as_of"][:10], tags["seed"], tags["pipelines.why"]) == ("2025-02-03", "8", "a test")


def test_a_refused_gate_is_no_failure_of_the_run_and_keeps_the_champion(installation: Installation, first: Followed) -> None:
    refused = installation.run("toy", overrides={"gates.floors": {"accuracy": 1.0}, "seed": 9})
    session = Session(Run(project="toy", id=refused.run_id), settings=installation.settings)
    promotion = session.read(refused.results["promote"].outputs["promotion"])
    assert (refused.exit_code, promotion["outcome"]) == (0, "refused")
    assert session.ledger.history("toy").champion is not None


def test_monitoring_ends_with_a_verdict(installation: Installation, first: Followed) -> None:
    watched = installation.run("toy", "monitoring")
    assert watched.exit_code == 0, watched.failures
    session = Session(Run(project="toy", id=watched.run_id), "monitoring", installation.settings)
    assert session.read(watched.results["decide"].outputs["verdict"])["project"] == "toy"


def test_tasks_lead_to_what_they_made_people_to_read(installation: Installation, first: Followed) -> None:
    where = f"/dags/{first.dag}/dagRuns/{first.run}/taskInstances"
    links = {
        task: installation.airflow.get(f"{where}/{task}/links")["extra_links"] for task in ("validate", "evaluate", "promote")
    }
    run = f"{installation.stack.mlflow_url}/#/experiments/"
    assert links["validate"]["Validation report"].startswith(run)
    assert links["validate"]["Validation report"].endswith("/artifacts/data_docs/index.html")
    assert links["evaluate"]["Model card"].endswith("/artifacts/card/index.html")
    assert links["promote"]["MLflow run"] == links["evaluate"]["Model card"].partition("/artifacts/")[0]


def test_bad_data_stops_the_chain_at_once(installation: Installation) -> None:
    stopped = installation.run("spoiled")
    assert (stopped.state, stopped.exit_code) == ("failed", 3)
    assert list(stopped.results) == ["ingest"]
    failure = stopped.failures[0]
    assert (failure.task, failure.kind) == ("validate", "DataError")
    assert "expected rows of three numbers" in failure.message
    assert installation.task(stopped, "validate")["try_number"] == 1
    assert installation.task(stopped, "features")["state"] == "upstream_failed"
    assert "DataError: toy.csv" not in installation.log(stopped, "features")
    assert "expected rows of three numbers" in installation.log(stopped, "validate")
    assert installation.task(stopped, "close")["state"] == "success"
    assert tracked(installation, "spoiled", stopped).info.status == "FAILED"


@pytest.mark.parametrize("only_failed", [True, False], ids=["its failed tasks", "all of it"])
def test_a_failed_run_that_is_cleared_ends_right(
    installation: Installation, new_project: Callable[..., Path], only_failed: bool
) -> None:
    name = f"mended{'_in_part' if only_failed else ''}"
    data = new_project(name, files={"data.csv": "0.1,0.2,1\n0.3,oops,0\n"}) / "data.csv"
    failed = installation.run(name)
    assert (failed.state, tracked(installation, name, failed).info.status) == ("failed", "FAILED")
    write_toy_data(data)
    asked = {"dry_run": False, "only_failed": only_failed, "dag_run_id": failed.run, "reset_dag_runs": True}
    if only_failed:  # the raw data are an input that has changed, so its task is chosen beside the failed ones
        again = installation.airflow.send(
            "POST", f"/dags/{failed.dag}/clearTaskInstances", asked | {"only_failed": False, "task_ids": ["ingest"]}
        )
        assert [one["task_id"] for one in again["task_instances"]] == ["ingest"]
    installation.airflow.send("POST", f"/dags/{failed.dag}/clearTaskInstances", asked)
    assert wait(installation, failed.run, "success", "failed", dag=failed.dag)["state"] == "success"
    run = tracked(installation, name, failed)
    assert run.info.status == "FINISHED"
    assert not [tag for tag in run.data.tags if tag.startswith("error.")]
    session = Session(Run(project=name, id=failed.run_id), settings=installation.settings)
    assert session.store.keys(f"open-runs/{name}/") == []
    history = session.ledger.history(name)
    assert [(entry.kind, entry.version) for entry in history.entries] == [("promotion", 1), ("baseline", 1)]


def test_failing_infrastructure_is_tried_again(installation: Installation) -> None:
    mended = installation.run("shaky")
    assert (mended.state, mended.exit_code) == ("success", 0)
    assert installation.task(mended, "validate")["try_number"] == 2
    assert "the disk of shaky is not there yet" in installation.log(mended, "validate")
    assert tracked(installation, "shaky", mended).info.status == "FINISHED"


def test_wrong_parameters_are_refused_before_anything_starts(installation: Installation) -> None:
    with pytest.raises(ConfigError, match="did you mean 'seconds'"):
        installation.run("toy", overrides={"train.secnds": 3})
    with pytest.raises(ConfigError, match=r"there is no profile 'ful'; did you mean 'full'\?"):
        installation.run("toy", profile="ful")
    with pytest.raises(ConfigError, match="Airflow refused"):
        installation.run("toy", as_of="tomorrow")


def test_two_runs_of_one_project_take_turns(installation: Installation, first: Followed) -> None:
    one = installation.airflow.send("POST", "/dags/toy_training/dagRuns", {"logical_date": None, "conf": {"profile": "sample"}})
    wait(installation, one["dag_run_id"], "running")
    said = Console(file=io.StringIO(), width=200)
    other = installation.run("toy", console=said)
    ended = [wait(installation, run, "success", "failed") for run in (one["dag_run_id"], other.run)]
    spans = [(datetime.fromisoformat(run["start_date"]), datetime.fromisoformat(run["end_date"])) for run in ended]
    assert [run["state"] for run in ended] == ["success", "success"]
    assert spans[0][1] <= spans[1][0]
    assert f"waiting for {one['dag_run_id']} to end: toy_training runs one at a time" in said.file.getvalue()  # type: ignore[attr-defined]


def test_changed_code_of_a_project_runs_without_a_restart(installation: Installation, new_project: Callable[..., Path]) -> None:
    folder = new_project("fickle")
    assert installation.run("fickle").exit_code == 0
    init = folder / "__init__.py"
    init.write_text(init.read_text().replace('"columns": ["x0", "x1"]', '"columns": ["x0", "x1", "new"]'))
    again = installation.run("fickle")
    session = Session(Run(project="fickle", id=again.run_id), settings=installation.settings)
    report = session.store.fetch(again.results["features"].outputs["feature_report"]).read_text()
    assert '"new"' in report


def test_a_broken_project_shows_its_fault_and_harms_no_other(
    installation: Installation, first: Followed, new_project: Callable[..., Path]
) -> None:
    new_project("broken", files={"deployment.yaml": "owner: tests\ntitle: Broken\ndescription: x\nschdule: '@daily'\n"})
    with pytest.raises(ConfigError, match="schdule: unknown key; did you mean 'schedule'"):
        installation.run("broken")
    assert installation.run("toy").exit_code == 0


def test_churn_on_real_or_simulated_data(churn: dict[str, Followed]) -> None:
    assert [(run.exit_code, run.failures) for run in churn.values()] == [(0, []), (0, [])]
    assert {"ingest", "evaluate", "promote", "baseline"} <= set(churn["training"].results)
    assert {"collect", "check", "decide"} <= set(churn["monitoring"].results)


def tracked(installation: Installation, project: str, followed: Followed) -> Any:
    """The MLflow run of a DAG run."""
    settings = installation.settings.model_copy(update={"tracking": installation.stack.mlflow_url})
    tracker = MlflowTracker(settings)
    session = Session(Run(project=project, id=followed.run_id, runner="airflow"), settings=settings)
    url = tracker.url(session)
    assert url is not None
    return tracker.client.get_run(url.rpartition("/")[2])


def wait(installation: Installation, run: str, *states: str, dag: str = "toy_training") -> dict[str, Any]:
    for _ in range(1200):
        found: dict[str, Any] = installation.airflow.get(f"/dags/{dag}/dagRuns/{run}")
        if found["state"] in states:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{run} did not become {' or '.join(states)}")
