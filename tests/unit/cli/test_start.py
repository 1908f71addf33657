"""Starting up: nothing heavy before it is needed, help everywhere."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import pytest

HEAVY = [
    "pydantic",
    "numpy",
    "pandas",
    "sklearn",
    "mlflow",
    "airflow",
    "dvc",
    "great_expectations",
    "pandera",
    "optuna",
    "xgboost",
]

COMMANDS = [
    *(
        ["list"],
        ["run"],
        ["predict"],
        ["promote"],
        ["rollback"],
        ["history"],
        ["alarms"],
        ["lineage"],
        ["reproduce"],
        ["new"],
        ["check"],
    ),
    *(["lint"], ["doctor"], ["render"], ["stage"], ["data", "fetch"], ["data", "status"], ["data", "restore"]),
    *(["stack", "up"], ["stack", "down"], ["stack", "status"], ["stack", "run"]),
]


def imported_by(*arguments: str) -> set[str]:
    code = f"import sys, json; from pipelines.cli import main; main({list(arguments)!r}); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by("--help").intersection(HEAVY)


def test_listing_projects_imports_no_project_and_no_library(toy: Any) -> None:
    found = imported_by("list")
    assert not found.intersection(set(HEAVY) - {"pydantic"})
    assert "pipelines.projects.toy" not in found


def test_help_takes_less_than_half_a_second_of_processor_time() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "pipelines", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(cli: Any, command: list[str]) -> None:
    said = cli(*command, "--help")
    assert said.code == 0
    assert said.out.startswith("\n") or "Usage: pipelines" in said.out
    assert f"Usage: pipelines {' '.join(command)}" in said.out


def test_the_exit_codes_are_in_the_help(cli: Any) -> None:
    assert "0 done, 1 a gate or check said no, 2 wrong use, 3 bad data, 4 infrastructure" in cli("--help").out


def test_a_mistyped_command_is_answered_with_a_suggestion(cli: Any) -> None:
    said = cli("rnu")
    assert said.code == 2
    assert "Did you mean 'run'" in said.err


def test_a_mistyped_option_too(cli: Any) -> None:
    said = cli("run", "toy", "--profil", "sample")
    assert said.code == 2
    assert "--profile" in said.err
    assert "pipelines run --help" in said.err
