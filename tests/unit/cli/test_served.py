"""What a person promotes or takes back goes to the running stack's MLflow server, or, without one, to the database."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler

import psutil
import pytest

from pipelines.cli.registry import _settings
from pipelines.core.settings import Settings
from pipelines.stack import state
from pipelines.stack.environment import Ports
from pipelines.stack.processes import Started
from tests.loopback import Loopback


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


def running(settings: Settings, mlflow: int) -> None:
    """A stack's state that names this process, which is alive."""
    (settings.home / "stack").mkdir(parents=True)
    itself = Started(name="mlflow", pid=os.getpid(), at=psutil.Process().create_time(), log=settings.home / "log")
    state.save(settings.home, state.State(ports=Ports(mlflow=mlflow), settings="any", processes=(itself,)))


def test_the_running_stack_is_asked(settings: Settings) -> None:
    server = Loopback(Healthy)
    running(settings, server.server_port)
    with server.serving():
        assert _settings().tracking == f"http://127.0.0.1:{server.server_port}"


def test_a_stack_that_does_not_answer_keeps_nobody_from_going_back(settings: Settings, free_port: int) -> None:
    running(settings, free_port)
    assert _settings().tracking == settings.tracking


def test_without_a_stack(settings: Settings) -> None:
    assert _settings().tracking == settings.tracking


def test_a_tracking_server_of_ones_own_stays_the_one(settings: Settings, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    running(settings, free_port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    assert state.served(Settings.load()).tracking == "http://mlflow.example"
