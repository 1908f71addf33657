"""Stopping what the stack started: by asking, by insisting, by force."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from pipelines.stack import processes
from pipelines.stack.processes import Started, start, stop

STUBBORN = """
import pathlib, signal, sys, time
asked, told = 0, pathlib.Path(sys.argv[1])
def handle(*_):
    global asked
    asked += 1
    if asked == int(sys.argv[2]):
        told.write_text(f"went after being asked {asked} times")
        sys.exit()
signal.signal(signal.SIGTERM, handle)
told.write_text("ready")
while True:
    time.sleep(0.05)
"""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "INSISTS", 0.3)


def running(tmp_path: Path, patience: int) -> tuple[Started, Path]:
    """A process that goes when it is asked for the so manieth time, and what it tells."""
    told = tmp_path / "told"
    process = start("stubborn", [sys.executable, "-c", STUBBORN, str(told), str(patience)], os.environ, tmp_path / "log")
    while not (told.is_file() and told.read_text()):
        time.sleep(0.02)
    return process, told


@pytest.mark.parametrize("patience", [1, 2])
def test_a_process_that_waits_when_asked_once_is_asked_again(tmp_path: Path, patience: int) -> None:
    process, told = running(tmp_path, patience)
    assert stop([process], grace=60) == 1
    assert not process.alive
    assert told.read_text() == f"went after being asked {patience} times"


def test_no_process_is_asked_a_third_time_but_killed(tmp_path: Path) -> None:
    process, told = running(tmp_path, 3)
    assert stop([process], grace=2) == 1
    assert not process.alive
    assert told.read_text() == "ready"
    assert stop([process], grace=1) == 0
