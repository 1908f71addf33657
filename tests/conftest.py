"""Fixtures shared by all tests. Everything a test writes is under its `tmp_path`, every port is a free one."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cli import GARBAGE
from pipelines.core.discovery import SHIPPED, Definition
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.settings import ROOT, Settings, quiet_environment
from pipelines.tracking.client import connect

collect_ignore_glob = ["**/sitecustomize.py"]
"""For child processes only: collecting doctests would import it, and it would watch this one."""
TOY = Path(__file__).parent / "projects" / "toy"

gc.set_threshold(*GARBAGE)  # as the command does: tests run its chains in this process


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share a costly fixture go to one worker: a folder of integration or project tests, elsewhere a file.

    (`--dist loadgroup` groups nothing here: pytest-xdist 3.8 marks the groups in an attribute that pytest 9.2 no longer reads.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            whole = file.startswith(("tests/integration/", "tests/unit/projects/"))
            return file.rpartition("/")[0] if whole else file

    return ByPlace(config, log)


@pytest.fixture(scope="session")
def mirror() -> str | None:
    """Where the real data are: `PIPELINES_MIRROR`, or `shared/mirror` beside the checkout; None when there is neither."""
    beside = ROOT.parent / "shared" / "mirror"
    return os.environ.get("PIPELINES_MIRROR") or (str(beside) if beside.is_dir() else None)


@pytest.fixture(autouse=True)
def _projects_of_this_test_only() -> None:
    """Each test has a `toy` of its own, and a module once imported would stay."""
    forget_projects()


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's embedded database as the first run makes it: a hundred tables in as many migrations, a second or two."""
    home = tmp_path_factory.mktemp("tracking")
    connect(Settings.load({"PIPELINES_HOME": str(home), "PIPELINES_DATA": str(home)}))
    return home / "mlflow.db"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_tracking: Path) -> Settings:
    """An installation of its own; the environment names it, so that child processes share it."""
    quiet_environment()
    for name in [name for name in os.environ if name.startswith(("PIPELINES_", "MLFLOW_", "AIRFLOW"))]:
        if name != "PIPELINES_MIRROR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINES_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "home").mkdir(exist_ok=True)
    shutil.copyfile(empty_tracking, tmp_path / "home" / "mlflow.db")
    return Settings.load()


@pytest.fixture
def toy(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Definition:
    """The toy project, copied under `tmp_path` and found through `PIPELINES_PROJECTS`, with data of its own."""
    place = tmp_path / "projects"
    folder = place / "toy"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    data = tmp_path / "toy.csv"
    write_toy_data(data)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("TOY_DATA", str(data)))
    monkeypatch.setenv("PIPELINES_PROJECTS", str(place))
    return Definition("toy", folder)


@pytest.fixture
def toy_session(toy: Definition, settings: Settings) -> Callable[..., Session]:
    """Opens a run of the toy: ``toy_session(profile="sample", overrides={"gates.rows": 2})``."""

    def session(graph_name: str = "training", **run: Any) -> Session:
        return Session(Run(project="toy", **{"profile": "sample", **run}), graph_name, Settings.load())

    return session


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    return find_free_port()


def find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def write_toy_data(path: Path, rows: int = 600, seed: int = 1) -> None:
    """Points on either side of a line, with noise; about one in ten is on the wrong side."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    y = (x @ [1.0, 0.5] + 0.2 * rng.normal(size=rows) > 0).astype(int)
    np.savetxt(path, np.column_stack([x, y]), delimiter=",", fmt=["%.6f", "%.6f", "%d"])


def forget_projects() -> None:
    """Undo what finding and importing projects outside the package left in this process."""
    package = importlib.import_module("pipelines.projects")
    package.__path__[:] = [entry for entry in package.__path__ if Path(entry) == SHIPPED]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name.startswith("pipelines.projects.") and not Path(file).is_relative_to(SHIPPED):
            del sys.modules[name]
            vars(package).pop(name.split(".")[2], None)
