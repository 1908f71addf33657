"""The plugin that imports heavy libraries once, in the scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.settings import ROOT

PROGRAM = """
import importlib, json, multiprocessing, runpy, sys, types
import pipelines.core.discovery  # whose libraries import more by name, which is not what the plugin asks for

def load():
    asked = []
    sys.modules["pipelines.runners.airflow"] = types.SimpleNamespace(build=lambda name: asked.append(f"DAGs of {{name}}"))
    real = importlib.import_module
    importlib.import_module = lambda name, package=None: asked.append(name) or real("json")
    runpy.run_path({plugin!r})
    print(json.dumps(asked))

in_a_child = sys.argv[2:] == ["in a child"]
sys.argv = ["airflow", sys.argv[1]]
if in_a_child:
    child = multiprocessing.get_context("fork").Process(target=load)
    child.start()
    child.join()
else:
    load()
"""

FORKED = """
import os, runpy, sys
from pathlib import Path
plugin = runpy.run_path({plugin!r})
import pipelines.part
os.register_at_fork(after_in_child=lambda stamps=plugin["stamps"](): plugin["forget_if_changed"](stamps))
change, file = {change!r}, Path(pipelines.part.__file__)
if change == "gone":
    file.unlink()
elif change:
    before = file.stat()
    file.write_text(change)
    if len(change) == before.st_size:  # as `cp -p` and `tar` do
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
if os.fork() == 0:
    print("child", end=" ")
    try:
        import pipelines.part
    except ModuleNotFoundError as error:
        print(type(error).__name__, end=" ")
    os._exit(0)
os.wait()
print("ends")
"""


def asked(command: str, setting: str | None, *where: str) -> list[str]:
    """What the plugin would import in such a process, or in a child of it."""
    environment = {name: value for name, value in os.environ.items() if name != "PIPELINES_PRELOAD"}
    if setting is not None:
        environment["PIPELINES_PRELOAD"] = setting
    program = PROGRAM.format(plugin=str(ROOT / "plugins" / "preload.py"))
    done = subprocess.run(
        [sys.executable, "-c", program, command, *where], env=environment, capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("setting", [None, "1"])
def test_the_scheduler_imports_libraries_and_the_platform_but_no_project(setting: str | None) -> None:
    found = asked("scheduler", setting)
    ours = {"pipelines.runners.airflow_task", "pipelines.stages.ingest", "pipelines.stages.decide"}
    assert {"pandas", "sklearn.pipeline", "xgboost", "mlflow.pyfunc", "torch", *ours} <= set(found)
    assert not [name for name in found if name.startswith("pipelines.projects")], "a project's code is read by every task"
    assert found[-1].startswith("DAGs of "), "what is worked out at first use is, too, when everything is there"


@pytest.mark.parametrize("change", ["", "print('new', end=' ')", "print('new', end=' ')\n\n", "gone"])
def test_a_forked_process_never_runs_old_code_of_ours(tmp_path: Path, change: str) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").touch()
    (tmp_path / "pipelines" / "part.py").write_text("print('read', end=' ')\n")
    program = FORKED.format(plugin=str(ROOT / "plugins" / "preload.py"), change=change)
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-u", "-c", program]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == {
        "": ["read", "child", "ends"],  # the child did not read it again
        "gone": ["read", "child", "ModuleNotFoundError", "ends"],
    }.get(change, ["read", "child", "new", "ends"])


def test_it_can_be_turned_off() -> None:
    assert asked("scheduler", "0") == []


def test_it_can_be_added_to() -> None:
    found, usual = asked("scheduler", "onnx, transformers"), asked("scheduler", None)
    assert [name for name in found if name not in usual] == ["onnx", "transformers"]
    assert found.index("onnx") > found.index("pandas")
    assert [name for name in found if name in usual] == usual


def test_a_process_that_the_scheduler_has_made_does_not_do_it_again() -> None:
    assert asked("scheduler", None, "in a child") == []


@pytest.mark.parametrize("command", ["api-server", "dag-processor", "triggerer"])
def test_nobody_else_pays_for_it(command: str) -> None:
    assert asked(command, None) == []


def test_a_library_that_is_missing_is_left_out() -> None:
    program = f"import runpy; found = runpy.run_path({str(ROOT / 'plugins' / 'preload.py')!r}); print(*found['preload'](('json', 'no_such')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["json"]
    assert "preload: no_such is left out: No module named 'no_such'" in done.stderr


def test_garbage_is_looked_for_again_afterwards_also_when_a_library_fails(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import gc\nassert not gc.isenabled()\nraise RuntimeError('broken')\n")
    code = "import gc, runpy\n"
    code += f"try: runpy.run_path({str(ROOT / 'plugins' / 'preload.py')!r})['preload'](('json', 'broken'))\n"
    code += "except RuntimeError as error: print(error, gc.isenabled())"
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["broken", "True"]


def test_what_libraries_warn_of_while_they_are_imported_is_not_in_the_schedulers_log(tmp_path: Path) -> None:
    (tmp_path / "talkative.py").write_text("import warnings\nwarnings.warn('old', FutureWarning)\n")
    plugin = str(ROOT / "plugins" / "preload.py")
    code = f"import runpy; print(sorted(runpy.run_path({plugin!r})['preload'](('talkative',))))"
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("['talkative']", "")
