"""No engine runs the images here, so the files are linted, and their settings are held against the embedded stack's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.settings import ROOT, Settings, quiet_environment
from pipelines.stack import environment
from pipelines.stack.secrets import Secrets

DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SETTINGS: dict[str, str] = COMPOSE["x-environment"]
BIN = Path(sys.executable).parent

EMBEDDED_ONLY = {
    "AIRFLOW_HOME": "set in the image",
    "AIRFLOW__API__HOST": "an argument of the api-server, which listens inside its container",
    "AIRFLOW__API__PORT": "an argument of the api-server",
    "AIRFLOW__API__WORKERS": "one worker is the default of the image too",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "under AIRFLOW_HOME, on the shared volume",
    "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": "under AIRFLOW_HOME",
}
"""Settings of the embedded stack that have no counterpart in compose.yaml, each with its reason."""


@pytest.fixture
def embedded(tmp_path: Path) -> dict[str, str]:
    settings = Settings.load({"PIPELINES_HOME": str(tmp_path)})
    secrets = Secrets(**dict.fromkeys(Secrets.model_fields, "x"))
    return environment.airflow_environment(settings, environment.Ports(), secrets)


def test_what_does_not_depend_on_the_machine_is_the_same() -> None:
    assert {name: SETTINGS.get(name) for name in environment.AIRFLOW} == environment.AIRFLOW


def test_every_embedded_airflow_setting_has_a_counterpart_or_a_reason(embedded: dict[str, str]) -> None:
    assert set(embedded) - set(SETTINGS) == set(EMBEDDED_ONLY)


def test_every_setting_of_the_platform_that_can_move_elsewhere_is_moved() -> None:
    source = (ROOT / "pipelines" / "core" / "settings.py").read_text()
    read = set(re.findall(r'env\.get\("(\w+)"', source))
    on_the_volume = {"PIPELINES_HOME", "PIPELINES_DATA", "PIPELINES_PROJECTS", "PIPELINES_MIRROR"}
    assert read - on_the_volume <= set(SETTINGS)


def test_nothing_phones_home_no_thread_spins_and_nothing_waits_for_minutes() -> None:
    switches: dict[str, str] = {}
    quiet_environment(switches)
    assert {name: SETTINGS.get(name) for name in switches} == switches


def test_no_secret_is_written_down() -> None:
    secret = re.compile(r"SECRET|PASSWORD|FERNET|ACCESS_KEY")
    written = {name: value for name, value in SETTINGS.items() if secret.search(name) and "$" not in str(value)}
    assert written == {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "/run/secrets/airflow_passwords"}
    example = (DOCKER / ".env.example").read_text()
    assert all(line.endswith("=") for line in example.splitlines() if line and not line.startswith("#"))
    assert set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text())) == set(re.findall(r"^(\w+)=", example, re.M))


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_no_command_line_holds_a_secret(service: str) -> None:
    """Every user of a machine can read command lines; compose puts `${NAME}` into them, and leaves `$$NAME` to the container."""
    told = COMPOSE["services"][service]
    lines = [told.get("command", []), told.get("entrypoint", []), told.get("healthcheck", {}).get("test", [])]
    words = [str(word) for line in lines for word in ([line] if isinstance(line, str) else line)]
    assert [word for word in words if re.search(r"(?<!\$)\$(?!\$)", word)] == []
    assert [word for word in words if re.search(r"://[^/\s]*:[^/\s]*@", word)] == []


def test_the_databases_passwords_are_on_no_command_line() -> None:
    script = [line for line in (DOCKER / "postgres.sh").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in script if "PASSWORD" in line] == [
        "\\getenv password POSTGRES_PASSWORD",
        "CREATE ROLE :\"name\" LOGIN PASSWORD :'password';",
    ]
    assert "POSTGRES_PASSWORD" in COMPOSE["services"]["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]


def test_every_published_port_is_on_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_every_process_of_the_embedded_stack_has_a_service(tmp_path: Path) -> None:
    settings = Settings.load({"PIPELINES_HOME": str(tmp_path)})
    names = set(environment.commands(settings, environment.Ports()))
    services = {name.removeprefix("airflow-") for name in COMPOSE["services"]}
    assert {"api" if name == "api-server" else name for name in names} <= services


@pytest.mark.parametrize("command", [
    ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml"],
    ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/ci.yml"],
    ["hadolint", "docker/Dockerfile"],
    ["yamllint", "docker/compose.yaml", ".github", ".pre-commit-config.yaml"],
], ids=lambda command: command[-1])  # fmt: skip
def test_the_files_pass_their_linters(command: list[str]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
