"""Each examination is shown able to find what it looks for."""

from __future__ import annotations

import fcntl
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import doctor
from pipelines.core import fingerprint
from pipelines.core.discovery import Definition
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.tracking.client import connect
from pipelines.tracking.leases import HOLDER
from pipelines.tracking.runs import MlflowTracker


def findings(settings: Settings, name: str, *, mend: bool = True) -> list[tuple[str, str]]:
    return [(found.state, found.what) for found in doctor.examined(settings, mend=mend) if found.name == name]


def keep(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(doctor, "EXAMINATIONS", {name: doctor.EXAMINATIONS[name] for name in names})


def test_a_fresh_installation_is_sound(cli: Any, toy: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, *(set(doctor.EXAMINATIONS) - {"packages"}))
    said = cli("doctor", "--json")
    assert said.code == 0
    found = {(one["name"], one["state"]) for one in said.json}
    assert found >= {
        (name, "ok") for name in ("python", "disk", "folders", "store", "projects", "locks", "stack", "telemetry", "mlflow")
    }


def test_packages_that_are_not_those_of_the_lock(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, "packages")
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(fingerprint, "LOCK", lock)
    assert findings(settings, "packages")[0][0] == "wrong"
    lock.write_text("pydantic==0.0.1 \\\n    --hash=sha256:00\nno-such-thing==1.0\n")
    ((state, what),) = findings(settings, "packages")
    assert state == "wrong"
    assert "2 of 2 packages differ" in what
    assert "no-such-thing not installed, locked 1.0" in what
    import pydantic

    lock.write_text(f"Pydantic=={pydantic.VERSION}\n")
    assert findings(settings, "packages") == [("ok", "1 packages as in requirements.lock")]


def test_a_store_that_cannot_be_reached_is_told_and_the_rest_goes_on(
    cli: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, "store", "telemetry")
    settings.home.mkdir(exist_ok=True)
    (settings.home / "store").write_text("in the way")
    said = cli("doctor")
    assert said.code == 1
    assert "✗ store" in said.out
    assert "a file stands where a folder is needed" in said.out
    assert "✓ telemetry" in said.out


def test_little_room(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, "disk")
    settings.home.mkdir(exist_ok=True)
    (settings.home / "big").write_bytes(b"x" * 3_000_000)
    ((state, what),) = findings(settings, "disk")
    assert state == "ok"
    assert "big 3.0 MB" in what

    class Usage:
        free = 10_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    ((state, what),) = findings(settings, "disk")
    assert state == "wrong"
    assert "10.0 MB free; too little for a run" in what


def test_a_broken_project(toy: Definition, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, "projects")
    (toy.folder / "README.md").unlink()
    assert ("wrong", "toy: 1 faults; `pipelines lint toy` lists them") in findings(Settings.load(), "projects")


def test_who_runs_now_and_a_lock_left_behind(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, "locks")
    file = settings.home / "locks" / "toy.lock"
    file.parent.mkdir(parents=True)
    with file.open("w") as stream:
        json.dump({"pid": 123, "run": "run-1", "since": "2026-01-01T10:00:00+00:00"}, stream)
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert findings(settings, "locks") == [("note", "toy is being run by process 123 (run-1, since 10:00:00 UTC)")]
    assert findings(settings, "locks") == [("ok", "no run is going on in this installation")]


def test_a_port_that_is_taken(settings: Settings, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    from pipelines.stack import environment

    keep(monkeypatch, "ports")
    monkeypatch.setattr(environment, "Ports", lambda: _Ports(free_port))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))
        listener.listen()
        ((state, what),) = findings(settings, "ports")
    assert state == "note"
    assert f"port {free_port}, usual for airflow, is taken" in what


class _Ports:
    def __init__(self, port: int) -> None:
        self.port = port

    def model_dump(self) -> dict[str, int]:
        return {"airflow": self.port}


def test_telemetry_switched_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, "telemetry")
    assert findings(settings, "telemetry") == [("ok", "off in every library")]
    monkeypatch.setenv("DVC_NO_ANALYTICS", "0")
    ((state, what),) = findings(settings, "telemetry")
    assert state == "note"
    assert "DVC_NO_ANALYTICS" in what


def test_an_mlflow_that_does_not_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    keep(monkeypatch, "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port}")
    ((state, what),) = findings(Settings.load(), "mlflow")
    assert state == "wrong"
    assert f"127.0.0.1:{free_port}" in what


def test_a_dead_run_is_named_and_closed_when_asked(
    toy_session: Callable[..., Session], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, "mlflow")
    session = toy_session()
    run_id = MlflowTracker(settings).open(session)
    key = f"open-runs/toy/{session.run.id}.json"
    holder = session.store.read_json(key)
    other = holder[HOLDER].rpartition(":")[0] + ":1.00"  # a process of this number that began at another time
    session.store.replace(key, json.dumps({**holder, HOLDER: other}).encode())
    (_, note) = findings(settings, "mlflow", mend=False)
    assert note == (
        "note",
        f"toy: 1 runs whose process was killed are open in MLflow: {run_id}; `pipelines doctor` closes them, and so does the next run",
    )
    assert connect(settings).get_run(run_id).info.status == "RUNNING"
    assert findings(settings, "mlflow")[1] == ("mended", f"toy: 1 runs whose process was killed are closed as failed: {run_id}")
    assert len(findings(settings, "mlflow", mend=False)) == 1


def test_a_folder_of_projects_that_is_not_there_is_named(
    cli: Any, toy: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, "projects")
    gone = tmp_path / "gone"
    monkeypatch.setenv("PIPELINES_PROJECTS", f"{toy.folder.parent}:{gone}")
    found = findings(Settings.load(), "projects")
    assert found[0] == ("wrong", f"{gone} of PIPELINES_PROJECTS is no folder; make it, or take it out")
    assert ("ok", "toy is sound") in found
    assert f"PIPELINES_PROJECTS names {gone}, and there is no such folder" in cli("run", "tory").err
