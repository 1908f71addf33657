"""An installation with runs of long ago behind it: made once, and put back for each test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from aging import TOY, age, run, write_points

Open = Callable[..., Session]
EASY, HARD = {"gates.floors": {"accuracy": 0.5}}, {"gates.floors": {"accuracy": 1.0}}


@pytest.fixture(autouse=True)
def _a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of other processes are none of a test's business."""
    (tmp_path / "machine").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "machine"))


def _enter(place: Path, patch: pytest.MonkeyPatch) -> Settings:
    patch.setenv("PIPELINES_HOME", str(place / "home"))
    patch.setenv("PIPELINES_DATA", str(place / "data"))
    patch.setenv("PIPELINES_PROJECTS", str(place / "projects"))
    return Settings.load()


def _open(graph: str = "training", **asked: Any) -> Session:
    return Session(Run(project="toy", profile="sample", **asked), graph, Settings.load())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Session]]:
    """Three splits of the data, of which the gates refuse the last, and monitoring, all long ago; then a run of yesterday.

    Only the newest run is kept whole.
    """
    place = tmp_path_factory.mktemp("years") / "now"
    folder = place / "projects" / "toy"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    write_points(place / "toy.csv")
    (folder / "params.yaml").write_text((TOY / "params.yaml").read_text().replace("TOY_DATA", str(place / "toy.csv")))
    (folder / "deployment.yaml").write_text((TOY / "deployment.yaml").read_text() + "retention: {runs: 1, within: P10D}\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PIPELINES_STORE", "MLFLOW_TRACKING_URI", "PIPELINES_MLFLOW_ARTIFACTS", "PIPELINES_DVC_REMOTE"):
            patch.delenv(name, raising=False)
        settings = _enter(place, patch)
        asked = ((1, EASY), (2, EASY), (3, HARD))
        sessions = [run(_open(overrides={"seed": seed, **gates})) for seed, gates in asked]
        sessions += [run(_open("monitoring", as_of=datetime(2025, 6, day, tzinfo=UTC), overrides=EASY)) for day in (1, 12)]
        for part in (settings.home, settings.data):
            age(part, 60)
        sessions.append(run(_open(overrides={"seed": 4, **HARD})))
    subprocess.run(["cp", "-a", place, place.with_name("then")], check=True)
    return place, sessions


@pytest.fixture
def old(settings: Settings, made: tuple[Path, list[Session]], monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The runs, in an installation that is as it was when they were made; the environment names it."""
    place, sessions = made
    for path in (*place.glob("data/*"), *place.glob("home/*")):
        if path.is_dir():
            shutil.rmtree(path)
    subprocess.run(["cp", "-a", f"{place.with_name('then')}/.", place], check=True)  # over the database, which stays open
    _enter(place, monkeypatch)
    return sessions


@pytest.fixture
def years(old: list[Session]) -> Settings:
    """The installation with the old runs."""
    return Settings.load()


@pytest.fixture
def opened() -> Open:
    """Opens a run of the toy where the environment points to."""
    return _open
