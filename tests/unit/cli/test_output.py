"""stdout is for the result; with --json it holds one document and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.core.discovery import Definition

NOISY = """
import os, sys
import pipelines.core.discovery as discovery
find = discovery.find_projects
def noisy(*arguments):
    print("a library talks")
    sys.stdout.flush()
    os.write(1, b"so does C\\n")
    return find(*arguments)
discovery.find_projects = noisy
from pipelines.cli import main
sys.exit(main(["list", "--json"]))
"""


def test_what_libraries_print_goes_to_stderr_under_json(toy: Definition) -> None:
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=True)
    assert [row["project"] for row in json.loads(done.stdout) if row["project"] == "toy"] == ["toy"]
    assert "a library talks" in done.stderr
    assert "so does C" in done.stderr


def test_stdout_is_put_back(cli: Any, toy: Definition, capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    assert cli("list", "--json").code == 0
    assert sys.stdout is before


def test_a_reader_that_goes_away_is_no_error(toy: Definition) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "list"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert done.stderr == ""


def test_python_dash_m_is_the_command(toy: Definition) -> None:
    done = subprocess.run([sys.executable, "-m", "pipelines", "run", "toyy"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "there is no project 'toyy'; did you mean 'toy'?" in done.stderr


def test_an_error_is_json_too(cli: Any, toy: Definition) -> None:
    said = cli("run", "toyy", "--json")
    assert said.code == 2
    error = said.json["error"]
    assert error["type"] == "ConfigError"
    assert error["exit_code"] == 2
    assert "did you mean 'toy'?" in error["message"]


@pytest.fixture
def broken_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr("pipelines.core.discovery.find_projects", fail)


def test_an_unforeseen_error_leaves_its_traceback_in_a_file(cli: Any, broken_list: None, settings: Any) -> None:
    said = cli("list")
    assert said.code == 70
    assert "unexpected ZeroDivisionError: nobody foresaw this" in said.err
    assert "Traceback" not in said.err
    (kept,) = (settings.home / "logs").glob("traceback-*.txt")
    assert str(kept) in said.err
    assert "nobody foresaw this" in kept.read_text()


def test_its_traceback_is_kept_elsewhere_when_home_cannot_be_written(
    cli: Any, broken_list: None, settings: Any, tmp_path: Path
) -> None:
    shutil.rmtree(settings.home)
    settings.home.write_text("a file where a folder should be")
    said = cli("list")
    place = Path(said.err.rpartition("in ")[2].strip())
    assert place.read_text().endswith("ZeroDivisionError: nobody foresaw this\n")
    place.unlink()


def test_debug_shows_it(cli: Any, broken_list: None) -> None:
    assert "Traceback" in cli("list", "--debug").err


def test_a_foreseen_error_has_no_traceback_unless_asked_for(cli: Any, toy: Definition) -> None:
    assert "Traceback" not in cli("run", "toyy").err
    assert "Traceback" in cli("run", "toyy", "--debug").err


def test_control_c_ends_cleanly(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.core.discovery.find_projects", stop)
    said = cli("list")
    assert said.code == 130
    assert "stopped; finished stages are kept" in said.err
    assert "Traceback" not in said.err


def test_main_returns_the_code_and_does_not_exit() -> None:
    assert main(["--help"]) == 0
