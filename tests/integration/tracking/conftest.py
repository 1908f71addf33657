"""A real MLflow server on loopback, and the toy chain of the unit tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipelines.core.discovery import Definition
from pipelines.core.settings import Settings
from pipelines.tracking.client import connect

HELPERS = Path(__file__).parents[2] / "unit" / "tracking"
sys.path.insert(0, str(HELPERS))


@dataclass
class Server:
    """An MLflow server that can be stopped and started again on the same port and database."""

    port: int
    place: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self.process and self.process.poll() is None:
            return
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            *(
                "--backend-store-uri",
                f"sqlite:///{self.place / 'server.db'}",
                "--artifacts-destination",
                str(self.place / "root"),
            ),
        ]
        with (self.place / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/health", timeout=2, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.2)
            if self.process.poll() is not None:
                break
        pytest.fail(f"the MLflow server did not start:\n{(self.place / 'server.log').read_text()[-3000:]}")

    def stop(self) -> None:
        """Kill the server and its worker: they are a process group of their own."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module: starting one takes seconds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = Server(port, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running: Server, settings: Settings) -> Iterator[Server]:
    """A running server that knows nothing of the toy project; the environment does not name it yet."""
    yield running
    running.start()
    client = connect(settings.model_copy(update={"tracking": running.url}))
    if client.search_registered_models("name = 'toy'"):
        client.delete_registered_model("toy")
    if experiment := client.get_experiment_by_name("toy"):
        client.rename_experiment(experiment.experiment_id, f"toy-{experiment.experiment_id}")
        client.delete_experiment(experiment.experiment_id)


@pytest.fixture
def served(server: Server, toy: Definition, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose tracking is the server, for this process and its children; the toy project is found."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("PYTHONPATH", str(HELPERS))
    return settings.model_copy(update={"tracking": server.url})
