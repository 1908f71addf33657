"""The client of Airflow's REST API, against a server on loopback that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.core.errors import ConfigError, InfrastructureError
from pipelines.stack.client import Airflow
from tests.loopback import JsonServer

LOCKED = {"detail": {"reason": "Database error", "statement": "hidden", "message": "Serious error"}}


class Server(JsonServer):
    """Says what it was told to say, one answer a request."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[str] = []

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/auth/token":
            return 201, {"access_token": "t"}
        self.asked.append(path)
        return self.answers.pop(0)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with made.serving():
        yield made


TAKEN_BACK = {"detail": "Database is locked. Backfill creation is not supported on SQLite under concurrent access."}


def test_what_the_database_rolled_back_is_asked_again(server: Server) -> None:
    server.answers = [(500, LOCKED), (503, TAKEN_BACK), (200, {"dag_run_id": "r"})]
    with Airflow(f"http://127.0.0.1:{server.server_port}", "secret") as airflow:
        assert airflow.send("POST", "/dags/d/dagRuns", {}) == {"dag_run_id": "r"}
    assert server.asked == ["/api/v2/dags/d/dagRuns"] * 3


@pytest.mark.parametrize("answer", [{"detail": "something else"}, {"detail": {}}, "no detail at all"])
def test_another_failure_is_told_at_once(server: Server, answer: Any) -> None:
    server.answers = [(500, answer)]
    with (
        Airflow(f"http://127.0.0.1:{server.server_port}", "secret") as airflow,
        pytest.raises(InfrastructureError, match="answered 500"),
    ):
        airflow.send("POST", "/dags/d/dagRuns", {})
    assert len(server.asked) == 1


def test_a_refusal_is_wrong_use_in_airflows_words(server: Server) -> None:
    server.answers = [(409, {"detail": "already exists"})]
    with (
        Airflow(f"http://127.0.0.1:{server.server_port}", "secret") as airflow,
        pytest.raises(ConfigError, match="already exists"),
    ):
        airflow.send("POST", "/dags/d/dagRuns", {})
