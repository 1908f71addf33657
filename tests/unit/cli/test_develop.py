"""Making projects, and what DVC calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.settings import Settings


def test_new_writes_a_project_that_lint_finds_sound(
    cli: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINES_PROJECTS", str(tmp_path))
    made = cli("new", "lapses", "--in", str(tmp_path), "--json")
    assert made.code == 0
    assert made.json["folder"] == str(tmp_path / "lapses")
    assert all(Path(file).is_file() for file in made.json["files"])
    assert cli("lint", "lapses").code == 0
    again = cli("new", "lapses", "--in", str(tmp_path))
    assert again.code == 2
    assert "there is a project 'lapses' already" in again.err
    other = cli("new", "renewals", "--in", str(tmp_path))
    assert f"export PIPELINES_PROJECTS={tmp_path}" in other.out
    assert "pipelines check renewals" in other.out


def test_new_refuses_a_name_that_cannot_be_used(cli: Any, tmp_path: Path) -> None:
    said = cli("new", "My-Project", "--in", str(tmp_path))
    assert said.code == 2
    assert "try 'my_project'" in said.err


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_new_refuses_a_place_that_is_no_folder(cli: Any, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / below
    said = cli("new", "lapses", "--in", str(place))
    assert said.code == 2
    assert f"{place} is no folder; give one with --in or in PIPELINES_PROJECTS" in said.err


def test_check_with_an_unknown_profile_is_wrong_use(cli: Any, toy: Definition) -> None:
    said = cli("check", "toy", "--profile", "smaple")
    assert said.code == 2
    assert "there is no profile 'smaple'; did you mean 'sample'?" in said.err
    assert said.out == ""


def test_check_tells_each_outcome_and_its_exit_code(cli: Any, toy: Definition) -> None:
    from pipelines.conformance import CHECKS

    cheap = next(iter(CHECKS))
    said = cli("check", "toy", "--only", cheap)
    assert said.code == 0, said.out
    assert f"✓ {cheap}" in said.out
    assert "all checks passed: toy" in said.out
    assert cli("check", "toy", "--only", cheap, "--json").json["outcomes"][0]["state"] == "passed"
    assert cli("check", "toy", "--only", "no_such_check").code == 2
    assert cli("check", "toyy").code == 2


def test_check_is_exit_1_when_a_promise_is_broken(cli: Any, toy: Definition) -> None:
    from pipelines.conformance import CHECKS

    toy.params_file.write_text(toy.params_file.read_text().replace("linear: {}", "lnear: {}"))
    said = cli("check", "toy", "--only", next(iter(CHECKS)))
    assert said.code == 1
    assert "checks failed: toy" in said.out


def test_a_stage_outside_a_dvc_pipeline(cli: Any, toy: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = cli("stage", "toy", "ingest")
    assert said.code == 2
    assert "there is no dvc.yaml in" in said.err


def test_render_compares(cli: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.core.settings.ROOT", tmp_path)
    assert cli("render", "--check").code == 1
    assert cli("render").code == 0
    assert cli("render", "--check").code == 0
    with (tmp_path / "dvc.yaml").open("a") as file:
        file.write("# by hand\n")
    assert "differs from the graph" in cli("render", "--check").out


def test_status_and_down_of_a_stack_that_was_not_started(cli: Any, settings: Settings) -> None:
    assert "nothing was started" in cli("stack", "status").out
    assert cli("stack", "status", "--json").json == {}
    assert cli("stack", "down", "--json").json == {"stopped": 0}


def test_mlflow_that_is_down_is_exit_4(cli: Any, toy: Definition, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port}")
    said = cli("run", "toy", "--profile", "sample", "--stage", "ingest")
    assert said.code == 4
    assert f"MLflow at http://127.0.0.1:{free_port} does not answer" in said.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_cleanly(toy: Definition, tmp_path: Path, number: int, code: int) -> None:
    module = toy.folder / "__init__.py"
    module.write_text(
        module.read_text().replace(
            "        try:\n            with (raw",
            "        import time\n        time.sleep(60)\n        try:\n            with (raw",
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "run", "toy", "--profile", "sample", "--no-track", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a job in the background ignores it
    )
    assert process.stderr is not None
    assert "ingest" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "stopped; finished stages are kept" in err
    assert "Traceback" not in err
    assert '"type": "Interrupted"' in out
