"""What the stack's processes are started with: who may log in, and what nobody else on the machine gets to see."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from airflow.executors.local_executor import LocalExecutor

from pipelines.core.codecs import load_object
from pipelines.core.errors import ConfigError
from pipelines.core.settings import Settings
from pipelines.stack.environment import USERS, Ports, commands, full_environment, users
from pipelines.stack.secrets import load_or_create, password, password_file
from pipelines.tracking.client import connect


def test_every_user_gets_a_password_of_their_own_before_airflow_would_print_one(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    admins = password(tmp_path)
    load_or_create(tmp_path, users({USERS: "ada:viewer, bob:op"}))
    told = {password(tmp_path, user) for user in ("admin", "ada", "bob")}
    assert len(told) == 3
    assert password(tmp_path) == admins, "a new user changes nobody's password"
    assert stat.S_IMODE(password_file(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("asked", ["ada:root", "ada", "admin:viewer"])
def test_a_role_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(ConfigError, match=r"expected user:role with one of the roles viewer, user, op, admin"):
        users({USERS: asked})


def test_admin_is_always_there_and_others_as_asked(settings: Settings) -> None:
    made = full_environment(settings, Ports(), load_or_create(settings.home), {USERS: "ada:viewer"})
    assert made[USERS] == "admin:admin,ada:viewer"


def test_no_command_line_holds_a_password(settings: Settings) -> None:
    """Every user of a machine can read the command lines of all its processes."""
    kept = settings.model_copy(update={"tracking": "postgresql+psycopg2://ml:hunter2hunter2@db/mlflow"})
    assert not [word for command in commands(kept, Ports()).values() for word in command if "hunter2" in word]
    secrets = load_or_create(settings.home)
    made = full_environment(kept, Ports(), secrets, {})
    assert made["MLFLOW_BACKEND_STORE_URI"] == kept.tracking


def test_everything_listens_on_loopback_only(settings: Settings) -> None:
    mlflow = commands(settings, Ports())["mlflow"]
    assert mlflow[mlflow.index("--host") + 1] == "127.0.0.1"
    assert mlflow[mlflow.index("--allowed-hosts") + 1] == "127.0.0.1:5000,localhost:5000"
    assert full_environment(settings, Ports(), load_or_create(settings.home), {})["AIRFLOW__API__HOST"] == "127.0.0.1"


@pytest.mark.parametrize(("database", "patient"), [(None, True), ("postgresql+psycopg2://airflow@db/airflow", False)])
def test_airflow_waits_for_the_one_writer_of_sqlite(settings: Settings, database: str | None, patient: bool) -> None:
    """Drivers of other databases would refuse the argument."""
    asked = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database} if database else {}
    made = full_environment(settings, Ports(), load_or_create(settings.home), asked)
    for name in ("SQL_ALCHEMY_CONNECT_ARGS", "SQL_ALCHEMY_CONNECT_ARGS_ASYNC"):
        found = made.get(f"AIRFLOW__DATABASE__{name}")
        assert (found is not None) is patient
        assert found is None or load_object(found.replace(".CONNECT", ":CONNECT"))["timeout"] > 5


@pytest.mark.parametrize(("executor", "sleep"), [(None, "0"), ("LocalExecutor", "0.1")])
def test_the_scheduler_sleeps_in_one_place_whatever_executor_it_has(settings: Settings, executor: str | None, sleep: str) -> None:
    """Ours waits itself; beside one that does not, a scheduler without sleep would take a whole core."""
    asked = {"AIRFLOW__CORE__EXECUTOR": executor} if executor else {}
    made = full_environment(settings, Ports(), load_or_create(settings.home), asked)
    assert made["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"] == sleep
    assert executor or issubclass(load_object(":".join(made["AIRFLOW__CORE__EXECUTOR"].rsplit(".", 1))), LocalExecutor)


def test_what_a_client_sets_for_itself_is_no_other_stack(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` compares environments: a process that has tracked a run must find the stack it started before that unchanged."""
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    secrets = load_or_create(settings.home)
    before = full_environment(settings, Ports(), secrets)
    connect(settings)
    assert full_environment(settings, Ports(), secrets) == before
