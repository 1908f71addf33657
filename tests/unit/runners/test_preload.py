"""The plugin that imports heavy libraries once, in the scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pipelines.core.settings import ROOT

PROGRAM = """
import importlib, json, sys, runpy
asked = []
real = importlib.import_module
importlib.import_module = lambda name, package=None: asked.append(name) or real("json")
sys.argv = ["airflow", sys.argv[1]]
runpy.run_path({plugin!r})
print(json.dumps(asked))
"""


def asked(command: str, setting: str | None) -> list[str]:
    """What the plugin would import in such a process."""
    environment = {name: value for name, value in os.environ.items() if name != "PIPELINES_PRELOAD"}
    if setting is not None:
        environment["PIPELINES_PRELOAD"] = setting
    program = PROGRAM.format(plugin=str(ROOT / "plugins" / "preload.py"))
    done = subprocess.run([sys.executable, "-c", program, command], env=environment, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("setting", [None, "1"])
def test_the_scheduler_imports_third_party_libraries_only(setting: str | None) -> None:
    found = asked("scheduler", setting)
    assert {"pandas", "sklearn.pipeline", "xgboost", "mlflow.pyfunc"} <= set(found)
    assert not [name for name in found if name.startswith("pipelines")], "code of ours is read fresh by every task"


def test_it_can_be_turned_off() -> None:
    assert asked("scheduler", "0") == []


def test_it_can_be_added_to() -> None:
    assert asked("scheduler", "torch, transformers") == [*asked("scheduler", None), "torch", "transformers"]


@pytest.mark.parametrize("command", ["api-server", "dag-processor", "triggerer"])
def test_nobody_else_pays_for_it(command: str) -> None:
    assert asked(command, None) == []


def test_a_library_that_is_missing_is_left_out() -> None:
    program = f"import runpy; found = runpy.run_path({str(ROOT / 'plugins' / 'preload.py')!r}); print(*found['preload'](('json', 'no_such')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["json"]
    assert "preload: no_such is left out: No module named 'no_such'" in done.stderr
