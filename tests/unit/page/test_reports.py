"""Only reports that a project's history refers to can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.core.alarms import Alarms
from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.backend import FolderBackend
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.evidence import Verdict
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.run import Run
from pipelines.core.store import Store
from pipelines.page import reports


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBackend(tmp_path / "store"))


def stored(store: Store, folder: Path, name: str, text: str) -> Ref:
    folder.mkdir()
    (folder / "index.html").write_text(text)
    return store.put(name, folder, codec="folder", project="toy", stage="s", fingerprint="f")


def test_the_card_of_a_version(store: Store, tmp_path: Path) -> None:
    card = stored(store, tmp_path / "card", "card", "<h1>Card</h1>")
    Ledger(store).append("toy", Entry(kind="promotion", run="r", why="", version=1, artifacts={"card": card}))
    assert reports.card(store, "toy", 1) == "<h1>Card</h1>"
    with pytest.raises(ConfigError, match="no model card of version 2"):
        reports.card(store, "toy", 2)


def test_a_card_that_is_lost_is_said_to_be(store: Store) -> None:
    card = Ref(name="card", digest="0" * 64, codec="folder", size=1)
    Ledger(store).append("toy", Entry(kind="promotion", run="r", why="", version=1, artifacts={"card": card}))
    with pytest.raises(DataError, match="not in the store"):
        reports.card(store, "toy", 1)


def test_the_drift_report_behind_an_alarm_and_no_other_record(store: Store, tmp_path: Path) -> None:
    report = stored(store, tmp_path / "report", "drift_report", "<h1>Drift</h1>")
    result = StageResult(node="check", fingerprint="f", outputs={"drift_report": report})
    for run in ("watch", "other"):
        store.create(f"runs/toy/{run}/nodes/check.json", result.model_dump_json().encode())
    verdict = Verdict(project="toy", champion=1, window="w", outcome="drift")
    Alarms(store, "toy").sound(verdict, Run(project="toy", id="watch"), None)
    assert reports.drift(store, "toy", "watch") == "<h1>Drift</h1>"
    for run in ("other", "../toy/watch", ""):
        with pytest.raises(ConfigError, match="no drift report"):
            reports.drift(store, "toy", run)
