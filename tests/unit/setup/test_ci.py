"""What .ci/run installs and runs, with stand-ins for apt-get and make."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.core.settings import ROOT

STAND_IN = '#!/bin/sh\necho "{name} $*"\n'
THROUGH = '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n'
PYTHON = '#!/bin/sh\n[ "$1" = -c ] && exit {code}\n'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH on which everything is that a machine of developers has."""
    for name in ("bash", "dirname", "env"):
        found = shutil.which(name)
        assert found
        _put(tmp_path, name).symlink_to(found)
    for name in ("git", "make", "apt-get", "initdb", "chromium"):
        _write(tmp_path, name, STAND_IN.format(name=name))
    _write(tmp_path, "sudo", THROUGH)
    _write(tmp_path, "python3.11", PYTHON.format(code=0))
    return tmp_path / "bin"


def _put(folder: Path, name: str) -> Path:
    (folder / "bin").mkdir(exist_ok=True)
    return folder / "bin" / name


def _write(folder: Path, name: str, text: str) -> None:
    path = _put(folder, name)
    path.write_text(text)
    path.chmod(0o755)


def run(tools: Path) -> list[str]:
    environment = {"PATH": str(tools), "POSTGRESQL": str(tools / "none")}
    command = [str(tools / "bash"), str(ROOT / ".ci" / "run")]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_nothing_is_installed_where_nothing_is_missing(tools: Path) -> None:
    assert run(tools) == ["make test"]


@pytest.mark.parametrize(
    ("absent", "package"),
    [
        (["git"], "git"),
        (["initdb"], "postgresql"),
        (["chromium"], "chromium"),
        (["python3.11"], "python3.11 python3.11-venv"),
        (["git", "python3.11", "initdb"], "git python3.11 python3.11-venv postgresql"),
    ],
)
def test_what_is_missing_is_installed_first_without_a_question(tools: Path, absent: list[str], package: str) -> None:
    for name in absent:
        (tools / name).unlink()
    assert run(tools) == ["apt-get update -qq", f"apt-get install -y -qq --no-install-recommends {package}", "make test"]


def test_a_python_without_venv_gets_it(tools: Path) -> None:
    _write(tools.parent, "python3.11", PYTHON.format(code=1))
    assert "apt-get install -y -qq --no-install-recommends python3.11-venv" in run(tools)


def test_make_test_ends_with_pytest_and_needs_no_terminal(tmp_path: Path) -> None:
    """The recipe is pytest and nothing after it; closed standard input is no reason to stop."""
    recipe = subprocess.run(["make", "-n", "-C", str(ROOT), "test"], capture_output=True, text=True, check=True).stdout
    commands = [line for line in recipe.splitlines() if not line.startswith("make")]
    assert commands == ["bin/setup", ".venv/bin/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder tests pipelines"]
    (tmp_path / "test_one.py").write_text("def test_one(): pass\n")
    command = (
        "exec .venv/bin/python -m pytest -q -n 2 --dist loadscope --no-loadscope-reorder -p no:cacheprovider -c /dev/null "
        + str(tmp_path)
    )
    environment = {**os.environ, "CI": "true", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(["sh", "-c", f"{command} <&-"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("1 passed")


def test_what_a_package_of_tests_starts_ends_with_it() -> None:
    """Without an `__init__.py` pytest silently keeps a package's fixtures, here whole stacks and a browser, until the very end."""
    for conftest in (ROOT / "tests").rglob("conftest.py"):
        if 'scope="package"' in conftest.read_text():
            assert (conftest.parent / "__init__.py").is_file(), f"{conftest.parent} needs an __init__.py"
