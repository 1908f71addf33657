"""A run's identity, and the dates it may have."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pipelines.core.discovery import SHIPPED
from pipelines.core.errors import ConfigError
from pipelines.core.run import Run, git_state, new_id, own_git_state, parse_as_of, today
from pipelines.core.settings import ROOT, Settings, quiet_environment
from pipelines.stack.environment import Ports, full_environment
from pipelines.stack.secrets import Secrets


def test_the_future_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match=r"as_of is 2\d\d\d-.* UTC, which is in the future; give a past date or leave it out"):
        Run(project="toy", as_of=datetime.now(UTC) + timedelta(hours=2))


def test_a_date_without_zone_is_utc_and_others_are_turned_into_it() -> None:
    assert Run(project="p", as_of=parse_as_of("2025-01-31")).as_of == datetime(2025, 1, 31, tzinfo=UTC)
    eastern = datetime(2025, 1, 31, tzinfo=timezone(timedelta(hours=-5)))
    assert Run(project="p", as_of=eastern).as_of.hour == 5


@pytest.mark.parametrize("text", ["tomorrow", "2025-13-01", "31.1.2025", "2025-02-30"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"as_of is '{text}'; expected a date such as 2026-01-31"):
        parse_as_of(text)


def test_without_a_date_runs_of_one_day_see_the_same() -> None:
    assert parse_as_of(None) == parse_as_of("") == today() == Run(project="p").as_of
    assert today().hour == 0


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_id("run") for _ in range(100)]
    assert len(set(ids)) == 100
    assert ids[0][:19] <= ids[-1][:19]


def git(place: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True)


def committed(place: Path, *files: str) -> None:
    git(place, "init", "--quiet")
    git(place, "add", *files)
    git(place, "commit", "--quiet", "-m", "first")


def state(place: Path, *code: str) -> dict[str, str]:
    git_state.cache_clear()
    return git_state(place, *code)


def test_the_git_state_of_a_place_without_git_is_empty(tmp_path: Path) -> None:
    assert state(tmp_path) == {"commit": "", "dirty": "false", "diff": ""}
    assert own_git_state(tmp_path) == {}


def test_a_file_git_does_not_know_makes_the_tree_dirty(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    (tmp_path / "notes.txt").write_text("outside of the code\n")
    (tmp_path / "pipelines" / "old.py").write_text("x = 1\n")
    committed(tmp_path, ".gitignore", "pipelines")
    (tmp_path / "pipelines" / "old.pyc").write_text("ignored\n")
    clean = state(tmp_path)
    assert len(clean["commit"]) == 40
    assert (clean["dirty"], clean["diff"]) == ("false", "")
    (tmp_path / "pipelines" / "new.py").write_text("y = 2\n")
    assert (state(tmp_path)["dirty"], state(tmp_path)["diff"]) == ("true", "Only here, unknown to git: pipelines/new.py\n")
    (tmp_path / "pipelines" / "old.py").write_text("x = 3\n")
    assert "+x = 3\n" in state(tmp_path)["diff"]
    assert state(tmp_path)["diff"].endswith("pipelines/new.py\n")


def test_a_changed_file_that_is_no_utf_8_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_bytes("Müller\n".encode("latin-1"))
    committed(tmp_path, "names.csv")
    (tmp_path / "names.csv").write_bytes("Möller\n".encode("latin-1"))
    assert "-M\ufffdller\n+M\ufffdller\n" in state(tmp_path)["diff"]


def test_a_project_in_a_repository_of_its_own_has_a_state_of_its_own(tmp_path: Path) -> None:
    project = tmp_path / "mine" / "parcels"
    project.mkdir(parents=True)
    (project / "__init__.py").write_text("x = 1\n")
    committed(tmp_path / "mine", "parcels")
    git_state.cache_clear()
    clean = own_git_state(project)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] == "false"
    (project / "prompt.txt").write_text("new\n")
    git_state.cache_clear()
    assert own_git_state(project)["diff"] == "Only here, unknown to git: prompt.txt\n"
    assert own_git_state(SHIPPED / "churn") == {}, "the platform's repository is told anyway"


def test_settings_follow_the_home_unless_told_otherwise() -> None:
    settings = Settings.load(
        {"PIPELINES_HOME": "/h", "PIPELINES_STORE": "s3://b", "PIPELINES_PROJECTS": "/a:/b", "PIPELINES_DATA": ""}
    )
    assert settings.tracking == "sqlite:////h/mlflow.db"
    assert settings.store == "s3://b"
    assert [str(place) for place in settings.projects] == ["/a", "/b"]
    assert settings.data == ROOT / "data", "an empty variable counts as not set"


def test_a_tilde_is_the_users_home_wherever_a_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell spells it out neither inside quotes nor after a colon."""
    monkeypatch.setenv("HOME", "/u")
    folders = ("HOME", "DATA", "STORE", "MLFLOW_ARTIFACTS", "DVC_REMOTE", "MIRROR", "PROJECTS")
    named = {f"PIPELINES_{name}": f"~/{name.lower()}" for name in folders} | {"PIPELINES_PROJECTS": "~/one:~/two:~nobody-knows"}
    settings = Settings.load(named)
    assert [str(place) for place in settings.projects[:2]] == ["/u/one", "/u/two"]
    assert [str(settings.home), str(settings.data), settings.store] == ["/u/home", "/u/data", "/u/store"]
    assert [settings.artifacts, settings.remote, settings.mirror] == ["/u/mlflow_artifacts", "/u/dvc_remote", "/u/mirror"]
    assert Settings.load({"PIPELINES_STORE": "s3://b/~x"}).store == "s3://b/~x"


def test_telemetry_is_switched_off_unless_the_caller_switched_it_on() -> None:
    environ = {"DVC_NO_ANALYTICS": "0"}
    quiet_environment(environ)
    assert environ["DVC_NO_ANALYTICS"] == "0"
    assert environ["DO_NOT_TRACK"] == "1"


def test_threads_that_wait_sleep_wherever_we_start() -> None:
    """Two spinning threads on busy cores are ten times slower than one."""
    environ = {"OMP_WAIT_POLICY": "ACTIVE"}
    quiet_environment(environ)
    assert environ["OMP_WAIT_POLICY"] == "ACTIVE", "what somebody has set stays"
    assert environ["GOMP_SPINCOUNT"] == "0"
    stack = full_environment(Settings.load({}), Ports(), Secrets(**dict.fromkeys(Secrets.model_fields, "x")), {"PATH": ""})
    assert (stack["OMP_WAIT_POLICY"], stack["GOMP_SPINCOUNT"]) == ("PASSIVE", "0")
