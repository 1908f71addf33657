"""Nothing phones home: whole chains in processes that write down and refuse every way to another machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.core.settings import ROOT, Settings, quiet_environment

pytestmark = pytest.mark.integration

GUARD = Path(__file__).with_name("guard")
BIN = Path(sys.executable).parent

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    """Where attempts are written down; empty at first."""
    file = tmp_path / "attempts"
    file.touch()
    return file


@pytest.fixture
def guarded(settings: Settings, attempts: Path) -> Call:
    """Runs a command as a person's shell would: no telemetry is switched off but by the command itself."""
    switches: dict[str, str] = {}
    quiet_environment(switches)
    environment = {name: value for name, value in os.environ.items() if name not in switches}
    environment |= {"PYTHONPATH": f"{GUARD}{os.pathsep}{ROOT}", "ATTEMPTS": str(attempts)}

    def call(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)

    return call


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "import socket; socket.getaddrinfo('telemetry.example', 443)",
        "import urllib.request; urllib.request.urlopen('https://telemetry.example')",
        "import httpx; httpx.get('https://telemetry.example')",
        "import subprocess, sys; subprocess.check_call([sys.executable, '-c', 'import requests; requests.get(\"http://192.0.2.1\")'])",
    ],
)
def test_an_attempt_is_noticed(guarded: Call, attempts: Path, attempt: str) -> None:
    assert guarded(sys.executable, "-c", attempt).returncode == 1
    assert "telemetry.example" in attempts.read_text() or "192.0.2.1" in attempts.read_text()


def test_what_stays_on_the_machine_is_let_pass(guarded: Call, attempts: Path) -> None:
    served = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(('localhost', s.getsockname()[1]))"
    )
    assert guarded(sys.executable, "-c", served).returncode == 0
    assert attempts.read_text() == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_and_monitoring_reach_for_no_other_machine(guarded: Call, attempts: Path) -> None:
    """Snapshots by DVC, Pandera, Great Expectations, Optuna, SHAP, MLflow, then Evidently."""
    small = [f"--set={pair}" for pair in ("ingest.source=simulator", "ingest.rows=3000", "gates.rows=100", "gates.floors={}")]
    pipelines = str(BIN / "pipelines")
    done = guarded(pipelines, "run", "churn", "--profile", "sample", *small, "--set=train.trials=1")
    assert done.returncode == 0, done.stderr
    done = guarded(pipelines, "run", "churn", "--monitor", "--profile", "sample", *small)
    assert done.returncode == 0, done.stderr
    assert "Verdict" in done.stdout
    assert attempts.read_text() == ""


@pytest.mark.parametrize("command", [["dvc", "dag"], ["dvc", "status"], ["mlflow", "--version"]], ids=" ".join)
def test_tools_called_by_hand_in_the_checkout(guarded: Call, attempts: Path, command: list[str], tmp_path: Path) -> None:
    place = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", str(place)], check=True)
    shutil.copy(ROOT / "dvc.yaml", place)
    shutil.copytree(ROOT / ".dvc", place / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache"))
    for project in sorted((ROOT / "pipelines" / "projects").glob("*/params.yaml")):
        copy = place / project.relative_to(ROOT)
        copy.parent.mkdir(parents=True)
        shutil.copy(project, copy)
    done = guarded(str(BIN / command[0]), *command[1:], cwd=place)
    assert done.returncode == 0, done.stderr
    time.sleep(3)  # DVC sends from a process that outlives the command
    assert attempts.read_text() == ""
