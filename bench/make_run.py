"""How long `make run` takes in a fresh clone: nothing there but the package index; set up, nothing computed; all computed before;
and with the stack still running.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.measure import Timing, timed
from pipelines.core.settings import ROOT

NAMES = (
    "cold: environment, data, stack and all",
    "warm: environment there, all stages executed",
    "warm: environment there, all stages reused",
    "on the running stack, all stages reused",
    "make down",
)


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Wall seconds of the whole command, of the commit that is checked out."""
    found = [_clone_and_run() for _ in range(repeats)]
    return [Timing(name, seconds) for name, seconds in zip(NAMES, zip(*found, strict=True), strict=True)], []


def _clone_and_run() -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "clone", Path(folder) / "home"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = {**os.environ, "PIPELINES_HOME": str(home), "PIPELINES_DATA": f"{home}/data"}
        environment.pop("VIRTUAL_ENV", None)

        def make(target: str) -> float:
            return timed(["make", "-C", str(clone), target], 1, environment)[0]

        try:
            cold = make("run")
            make("down")
            shutil.rmtree(home)
            executed = make("run")
            down = make("down")
            reused = make("run")
            running = make("run")
            return cold, executed, reused, running, down
        finally:
            make("down")
