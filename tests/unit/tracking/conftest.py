"""Fixtures for tracking: a chain of the toy project that ends before promote, and MLflow databases made in no time."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.core.artifacts import StageResult
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.tracking.client import connect

sys.path.insert(0, str(Path(__file__).parent))

from toy_chain import make_chain


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables and nothing in them: migrations take a second, a copy does not."""
    place = tmp_path_factory.mktemp("mlflow")
    connect(Settings.load({"PIPELINES_HOME": str(place)}))
    return place / "mlflow.db"


@pytest.fixture(autouse=True)
def embedded(settings: Settings, empty_database: Path) -> Settings:
    """The embedded tracking database of this test's installation."""
    settings.home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(empty_database, settings.home / "mlflow.db")
    return settings


@pytest.fixture
def chain(tmp_path: Path) -> Callable[..., dict[str, StageResult]]:
    """Finished stages up to evaluate: ``chain(session, accept=False, model=2.0)``."""

    def make(session: Session, **how: object) -> dict[str, StageResult]:
        return make_chain(session, tmp_path / "made", **how)  # type: ignore[arg-type]

    return make
