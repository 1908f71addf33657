"""Whether MLflow answers is known without waiting for it."""

from __future__ import annotations

import threading

import pytest

from pipelines.core.errors import InfrastructureError
from pipelines.tracking import client
from pipelines.tracking.client import Pulse

URI = "http://ml:secret@127.0.0.1:1"


@pytest.fixture(autouse=True)
def _ask_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PULSE", -1.0)


def test_a_server_that_is_gone_is_named_without_its_password(free_port: int) -> None:
    fault = Pulse(f"http://ml:secret@127.0.0.1:{free_port}", patience=30).fault()
    assert f"127.0.0.1:{free_port}" in fault
    assert "secret" not in fault
    assert "finished stages" not in fault  # advice for who runs a stage


def test_a_server_that_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, asked = threading.Event(), []

    def ping(uri: str) -> None:
        asked.append(uri)
        answer.wait(60)

    monkeypatch.setattr(client, "ping", ping)
    pulse = Pulse(URI, patience=0)
    assert pulse.fault() == "MLflow at http://ml:***@127.0.0.1:1 has not answered yet"
    assert pulse.fault()
    answer.set()
    pulse.patience = 30
    while pulse.fault():
        pass
    assert asked[0] == URI


def test_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[InfrastructureError | None] = [InfrastructureError("down. Start it"), None]

    def ping(uri: str) -> None:
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(client, "ping", ping)
    pulse = Pulse(URI, patience=30)
    assert [pulse.fault(), pulse.fault()] == ["down", ""]


def test_a_database_is_not_asked() -> None:
    assert Pulse("sqlite:///somewhere.db", patience=30).fault() == ""
