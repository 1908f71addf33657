"""`pipelines stack run` shows an Airflow run as `pipelines run` shows one in this process. Airflow itself is played here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.run import Run
from pipelines.core.settings import Settings
from pipelines.stack import Failure, Followed, Stack
from pipelines.stack.environment import Ports
from pipelines.stack.ports import choose


@pytest.fixture
def airflow(toy: Definition, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Plays the stack: runs the chain up to evaluate in this process, and notes what it was asked."""
    asked: dict[str, Any] = {"failures": []}

    def up(settings: Settings, **options: Any) -> Stack:
        asked["ports"] = options["wanted"]
        return Stack("http://127.0.0.1:1", "http://127.0.0.1:2", "admin", Path("/secret/password.json"), Path("/logs"), True, 0.0)

    def trigger_and_follow(settings: Settings, project: str, kind: str, conf: dict[str, Any], **_: Any) -> Followed:
        from pipelines.core.execution import Session
        from pipelines.runners import in_process

        asked["conf"], asked["kind"] = conf, kind
        session = Session(Run(project=project, profile=conf["profile"], overrides=conf["overrides"]), "training", settings)
        results = in_process.run(session, ["evaluate"])
        state = "failed" if asked["failures"] else "success"
        return Followed("toy_training", "r1", "http://127.0.0.1:1/dags/r1", state, "toy_training.r1", results, asked["failures"])

    monkeypatch.setattr("pipelines.stack.up", up)
    monkeypatch.setattr("pipelines.stack.trigger_and_follow", trigger_and_follow)
    return asked


RUN = ("stack", "run", "toy", "--profile", "sample")


def test_the_result_is_that_of_run_with_links(cli: Any, airflow: dict[str, Any]) -> None:
    said = cli(*RUN, "--set", "gates.rows=5", "--airflow-port", "8099")
    assert said.code == 0
    for part in (
        "★ linear",
        "floor: accuracy",
        "dag run",
        "http://127.0.0.1:1/dags/r1",
        "password in /secret/password.json",
        "make down",
    ):
        assert part in said.out
    assert airflow["conf"] == {"as_of": None, "profile": "sample", "overrides": {"gates.rows": 5}, "fresh": False}
    assert airflow["kind"] == "training"
    assert airflow["ports"].airflow == 8099
    document = cli(*RUN, "--json").json
    assert document["runner"] == "airflow"
    assert document["run"] == "toy_training.r1"
    assert document["links"]["dag_run"] == "http://127.0.0.1:1/dags/r1"
    assert document["exit_code"] == 0


def test_a_refusal_is_exit_1(cli: Any, airflow: dict[str, Any]) -> None:
    said = cli(*RUN, "--set", "gates.rows=9999")
    assert said.code == 1
    assert "linear failed: training rows" in said.out


def test_a_failed_task_gives_its_message_and_code(cli: Any, airflow: dict[str, Any]) -> None:
    airflow["failures"] = [Failure("validate", "DataError", 3, "column 'x' is broken")]
    said = cli(*RUN)
    assert said.code == 3
    assert "✗ validate (DataError)" in said.err
    assert "column 'x' is broken" in said.err


def test_a_typo_is_told_before_the_stack_is_started(cli: Any, airflow: dict[str, Any]) -> None:
    assert cli(*RUN, "--set", "train.trails=1").code == 2
    assert "ports" not in airflow


@pytest.mark.parametrize("port", ["0", "-1", "65536", "99999"])
@pytest.mark.parametrize("command", [("stack", "up"), RUN])
def test_a_port_that_cannot_be_is_wrong_use(cli: Any, airflow: dict[str, Any], command: tuple[str, ...], port: str) -> None:
    for option in ("--airflow-port", "--mlflow-port"):
        said = cli(*command, option, port)
        assert said.code == 2
        assert f"Invalid value for '{option}'" in said.err
    assert "ports" not in airflow


def test_two_servers_that_want_one_port_get_two(free_port: int) -> None:
    told: list[str] = []
    chosen = choose(Ports(airflow=free_port, mlflow=free_port), told.append)
    assert chosen.airflow == free_port
    assert chosen.mlflow != free_port
    assert told == [f"port {free_port} is taken by airflow; mlflow gets port {chosen.mlflow}"]


def test_a_date_among_the_overrides_reaches_airflow(cli: Any, airflow: dict[str, Any]) -> None:
    said = cli(*RUN, "--set", "replay.start=2025-02-03")
    assert said.code == 0, said.err
    assert json.loads(json.dumps(airflow["conf"]))["overrides"] == {"replay.start": "2025-02-03"}


def test_up_says_where_and_status_who(cli: Any, airflow: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("stack", "up", "--json").json["password_file"] == "/secret/password.json"
    assert "log in as" in cli("stack", "up").out
    found = {"scheduler": {"state": "dead", "pid": "7", "url": "", "log": "/logs/scheduler.log"}}
    monkeypatch.setattr("pipelines.stack.status", lambda _: found)
    said = cli("stack", "status")
    assert said.code == 4
    assert "scheduler" in said.out
    assert cli("stack", "status", "--json").json == found
