"""What gc takes, and that whatever is kept still serves."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aging import age, listing, run

from pipelines.cli import main
from pipelines.core import sweep
from pipelines.core.backend import FolderBackend
from pipelines.core.errors import DataError, InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.files import scratch
from pipelines.core.ledger import Ledger
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.data.snapshots import Snapshots
from pipelines.retention import report, survey
from pipelines.runners import in_process
from pipelines.tracking import records, registry
from pipelines.tracking.client import connect
from pipelines.tracking.lineage import lineage, reproduce
from pipelines.tracking.runs import MlflowTracker

Sessions = Callable[..., Session]


def store(settings: Settings) -> Store:
    return Store.open(settings.store, settings.home / "cache" / "store")


def test_a_dry_run_changes_nothing_and_says_what_would_go(old: list[Session], years: Settings) -> None:
    before = listing(years.home, years.data)
    told = report(survey(years), apply=False)
    assert listing(years.home, years.data) == before
    assert not told["applied"]
    assert {place["what"] for place in told["places"] if place["count"]} >= {
        "artifacts in the store",
        "files of MLflow runs",
        "records of runs",
        "remembered results",
    }
    done = report(survey(years), apply=True)
    assert {**done, "applied": False} == told, "what was announced is what went"


def test_the_bytes_reported_are_the_bytes_freed(old: list[Session], years: Settings) -> None:
    def used() -> int:
        """Bytes of all files but MLflow's database, which grows by tags, and the count of batches."""
        files = listing(years.home, years.data).items()
        return sum(size for path, size in files if path.name != "mlflow.db" and "sweep" not in path.parts)

    before = used()
    told = report(survey(years), apply=True)
    assert before - used() == told["bytes"] > 0


def test_a_second_gc_finds_nothing(old: list[Session], years: Settings) -> None:
    report(survey(years), apply=True)
    again = report(survey(years), apply=True)
    assert (again["count"], again["bytes"]) == (0, 0), again


def test_every_version_of_the_history_still_serves_and_is_built_again(
    old: list[Session], years: Settings, tmp_path: Path
) -> None:
    rows = np.array([[0.1, 1.0], [-2.0, 0.5]])
    history = Ledger(store(years)).history("toy")
    versions = [entry.version for entry in history.entries if entry.kind in ("promotion", "rejection")]
    assert len(versions) >= 3
    names = [*versions, *registry.derived_aliases(history)]
    answers = {name: _answer(registry.load("toy", name, years), rows) for name in names if name is not None}
    report(survey(years), apply=True)
    assert {name: _answer(registry.load("toy", name, years), rows) for name in answers} == answers
    for version in versions:
        assert version is not None
        assert lineage("toy", version, years)["decision"]
        told = reproduce("toy", version, years)
        assert told["verdict"] == "identical", told
    for pointer in Snapshots(years).status():
        Snapshots(years).restore("toy", pointer, tmp_path / "back")
        assert (tmp_path / "back").is_dir()
    assert registry.rollback(years, "toy").version is not None
    reference = Ledger(store(years)).history("toy").baseline
    assert reference is not None
    assert store(years).keep([reference]), "drift checks go on after a rollback"


def _answer(served: object, rows: object) -> str:
    return str(served.predict(rows))  # type: ignore[attr-defined]


def test_retained_and_open_runs_keep_everything(old: list[Session], years: Settings) -> None:
    held = old[3].run.id
    store(years).replace(f"open-runs/toy/{held}.json", b"{}")
    champion = Ledger(store(years)).history("toy").champion
    assert champion is not None
    report(survey(years), apply=True)
    for name in (old[-1].run.id, held, champion.run):
        for result in records.results(store(years), "toy", name).values():
            assert store(years).keep(result.outputs.values()), (name, result.node)
    assert not records.results(store(years), "toy", old[4].run.id), "the other monitoring run is gone"


def test_an_old_run_in_mlflow_says_where_its_files_went(old: list[Session], years: Settings) -> None:
    report(survey(years), apply=True)
    client = connect(years)
    experiment = client.get_experiment_by_name("toy").experiment_id
    runs = {found.data.tags["pipelines.run"]: found for found in client.search_runs([experiment])}
    gone, kept = runs[old[4].run.id], runs[old[0].run.id]
    assert "pipelines gc" in gone.data.tags["pipelines.files"]
    assert not client.list_artifacts(gone.info.run_id)
    assert client.list_artifacts(kept.info.run_id), "it is in the history"
    assert gone.data.metrics, "its numbers stay"


def test_a_run_after_gc_computes_what_went_and_nothing_else(old: list[Session], opened: Sessions, years: Settings) -> None:
    report(survey(years), apply=True)
    again = run(opened(overrides=dict(old[2].run.overrides)))
    results = records.results(store(years), "toy", again.run.id)
    assert results["ingest"].reused
    assert not results["features"].reused
    report(survey(years), apply=True)
    assert all(store(years).keep(result.outputs.values()) for result in results.values())


def test_snapshots_that_no_run_names_go_and_others_can_be_restored(old: list[Session], years: Settings, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "once.csv").write_text("a\n1\n" * 1000)
    snapshots = Snapshots(years)
    forgotten = snapshots.add("toy", raw)
    snapshots.push()
    report(survey(years), apply=True)
    snapshots.restore("toy", forgotten, tmp_path / "young")
    age(years.data, 60)
    age(Path(years.remote), 60)
    told = {place["what"]: place for place in report(survey(years), apply=True)["places"]}["snapshots"]
    assert told["bytes"] >= 2 * 4000, "in the cache and in the remote"
    with pytest.raises(DataError, match="cannot be restored"):
        snapshots.restore("toy", forgotten, tmp_path / "back")
    used = [one for one in snapshots.status() if one["path"] != forgotten["path"]]
    shutil.rmtree(snapshots.root / ".dvc" / "cache")
    snapshots.restore("toy", used[0], tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir())


def test_a_snapshot_used_again_is_young(settings: Settings, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.csv").write_text("a\n")
    snapshots = Snapshots(settings)
    pointer = snapshots.add("toy", raw)
    age(settings.data, 60)
    before = time.time() - 86400
    assert snapshots.unused([], before)
    assert not snapshots.unused([pointer], before)
    snapshots.add("toy", raw)
    assert not snapshots.unused([], before)


def test_what_killed_processes_left_goes_and_what_is_in_use_stays(settings: Settings, tmp_path: Path) -> None:
    import fcntl

    left, locked = settings.home / "studies" / "left", settings.home / "studies" / "locked"
    ours, clone = scratch() / "train-1", tmp_path / "machine" / "pipelines-main"
    cut = Path(settings.store) / "objects" / "ab" / ".tmp-1"
    for folder in (left, locked, clone, ours, cut.parent):
        folder.mkdir(parents=True)
        (folder / "file").write_text("12345")
    cut.write_text("123")
    with (locked / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        age(tmp_path, 60)
        told = {place["what"]: place for place in report(survey(settings), apply=True)["places"]}["temporary files"]
    assert sorted(told["names"]) == sorted(map(str, (left, ours, cut)))
    assert told["bytes"] == 13
    assert not left.exists()
    assert not cut.exists()
    assert locked.exists()
    assert clone.exists(), "a folder beside ours is somebody's, whatever it is called"


def test_the_results_that_dvc_builds_on_stay(old: list[Session], years: Settings) -> None:
    ref = records.results(store(years), "toy", old[4].run.id)["collect"].outputs["window"]
    place = years.data / "toy"
    place.mkdir(parents=True, exist_ok=True)
    (place / "features.json").write_text(json.dumps({"outputs": {"window": ref.model_dump()}}))
    report(survey(years), apply=True)
    assert store(years).keep([ref])


def test_a_file_of_someone_else_is_left(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = settings.home / "studies" / "x"
    folder.mkdir(parents=True)
    age(tmp_path, 60)
    with monkeypatch.context() as other:
        other.setattr("pipelines.retention.temporary.scratch", lambda: tmp_path / "none")
        other.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
        assert report(survey(settings), apply=True)["count"] == 0
    assert report(survey(settings), apply=True)["count"] == 1


def test_a_run_that_uses_old_results_again_while_gc_removes_them_has_all_it_needs(
    old: list[Session], opened: Sessions, years: Settings
) -> None:
    """Old runs are asked for again, one after the other, while gc never rests."""
    ended = threading.Event()
    removed: list[int] = []

    def collect() -> None:
        while not ended.is_set():
            removed.append(report(survey(years), apply=True)["count"])

    beside = threading.Thread(target=collect)
    beside.start()
    try:
        for session in (old[4], old[2], old[3]):
            asked = {"overrides": dict(session.run.overrides), "as_of": session.run.as_of}
            again = run(opened(session.graph_name, **asked))
            results = in_process.run(opened(session.graph_name, **asked), tracker=MlflowTracker(years))
            assert all(store(years).keep(result.outputs.values()) for result in results.values()), again.run.id
    finally:
        ended.set()
        beside.join(120)
    assert not beside.is_alive()
    assert len(removed) > 1
    assert sum(removed) > 0


def test_the_command_shows_what_may_go_and_removes_it(
    old: list[Session], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["gc"]) == 0
    told = capsys.readouterr().out
    assert "Nothing was touched. `pipelines gc --apply` removes it" in told
    assert main(["gc", "--apply", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["applied"]
    assert f"{done['bytes']:,}" in told
    assert main(["gc"]) == 0
    assert "Nothing was touched" not in capsys.readouterr().out


def test_mlflow_that_is_away_leaves_its_runs_for_the_next_time(
    old: list[Session], years: Settings, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = years.model_copy(update={"tracking": f"http://127.0.0.1:{free_port}"})
    with pytest.raises(InfrastructureError, match="does not answer"):
        report(survey(away), apply=True)
    done = {place["what"]: place["count"] for place in report(survey(years), apply=True)["places"]}
    assert done["records of runs"] == 2


@pytest.mark.parametrize("steps", [0, 1, 9, 25, 40])
def test_gc_that_is_killed_is_carried_on_by_the_next(
    old: list[Session], years: Settings, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """After so many removals nothing of it happens any more, as after SIGKILL."""

    class Killed(BaseException):
        pass

    left = [steps]
    monkeypatch.setattr(sweep, "_LONGEST", 1.5)
    with monkeypatch.context() as dying:

        def mortal(name: str, real: Any) -> Any:
            def step(self: FolderBackend, *arguments: Any) -> Any:
                if left[0] < 0 or (left[0] == 0 and name == "remove"):
                    left[0] = -1
                    raise Killed
                left[0] -= name == "remove"
                return real(self, *arguments)

            return step

        for name in ("remove", "replace", "create"):
            dying.setattr(FolderBackend, name, mortal(name, getattr(FolderBackend, name)))
        with pytest.raises(Killed):
            report(survey(years), apply=True)
    report(survey(years), apply=True)
    assert report(survey(years), apply=True)["count"] == 0
    past = Ledger(store(years)).history("toy")
    for entry in (one for one in past.entries if one.kind in ("promotion", "rejection")):
        assert registry.load("toy", entry.version or 0, years)
    assert past.champion is not None
    for name in (old[-1].run.id, past.champion.run):
        results = records.results(store(years), "toy", name).values()
        assert all(store(years).keep(result.outputs.values()) for result in results)
    assert not records.results(store(years), "toy", old[4].run.id)
