"""Snapshots: versioned, restored, verified; two processes at once wait for each other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.settings import Settings
from pipelines.data.snapshots import Snapshots


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.csv").write_text("a\n1\n")
    (folder / "deep" / "b.csv").write_text("b\n2\n")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_snapshot_comes_back(settings: Settings, raw: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    snapshots = Snapshots(settings)
    pointer = snapshots.add("demo", raw)
    assert set(pointer) == {"path", "md5", "size", "nfiles"}
    assert pointer["nfiles"] == 2
    assert pointer["md5"].endswith(".dir")
    snapshots.restore("demo", pointer, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(raw)
    assert capfd.readouterr().out == "", "stdout is the caller's"


def test_adding_the_same_content_changes_nothing(settings: Settings, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots(settings)
    pointer = snapshots.add("demo", raw)
    before = {p: p.stat().st_mtime_ns for p in snapshots.root.rglob("*.dvc")}
    monkeypatch.setattr(snapshots, "_repo", None)  # DVC is not even opened
    assert snapshots.add("demo", raw) == pointer
    assert {p: p.stat().st_mtime_ns for p in snapshots.root.rglob("*.dvc")} == before
    assert [(one["project"], one["cached"]) for one in snapshots.status()] == [("demo", True)]


def test_a_lost_cache_is_filled_from_the_remote(settings: Settings, raw: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(settings)
    pointer = snapshots.add("demo", raw)
    assert snapshots.push() == 3, "two files and their listing"
    assert snapshots.push() == 0
    shutil.rmtree(snapshots.root)
    snapshots.restore("demo", pointer, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(raw)


def test_a_snapshot_that_is_nowhere(settings: Settings, raw: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(settings)
    pointer = snapshots.add("demo", raw)
    shutil.rmtree(snapshots.root / ".dvc" / "cache")
    with pytest.raises(
        DataError, match=r"cannot be restored: neither DVC's cache nor .* holds it undamaged .*push it from where"
    ):
        snapshots.restore("demo", pointer, tmp_path / "back")


def test_a_tampered_remote_is_noticed(settings: Settings, raw: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(settings)
    pointer = snapshots.add("demo", raw)
    snapshots.push()
    shutil.rmtree(snapshots.root)
    stored = next(p for p in Path(settings.remote).rglob("*") if p.is_file() and p.read_text() == "a\n1\n")
    stored.chmod(0o644)
    stored.write_text("a\n9\n")
    with pytest.raises(DataError, match=r"cannot be restored|is not what was versioned"):
        snapshots.restore("demo", pointer, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_tampered_cache_is_noticed(settings: Settings, raw: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(settings)
    pointer = snapshots.add("demo", raw)
    stored = next(p for p in (snapshots.root / ".dvc" / "cache").rglob("*") if p.is_file() and p.read_text() == "a\n1\n")
    stored.chmod(0o644)
    stored.write_text("a\n9\n")
    with pytest.raises(DataError, match=r"cannot be restored|is not what was versioned"):
        snapshots.restore("demo", pointer, tmp_path / "back")


def test_a_remote_that_fails(settings: Settings, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    snapshots = Snapshots(settings.model_copy(update={"remote": str(tmp_path / "file" / "remote")}))
    snapshots.add("demo", raw)
    with pytest.raises(InfrastructureError, match=r"pushing snapshots to .*file/remote failed"):
        snapshots.push()


@pytest.mark.parametrize("path", ["other/abc.dvc", "demo/../../etc.dvc", "abc.dvc", ""])
def test_a_pointer_of_another_project_is_refused(settings: Settings, tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"is not of project 'demo'; expected path demo/<sha256>.dvc"):
        Snapshots(settings).restore("demo", {"path": path, "md5": "x", "size": 1, "nfiles": 1}, tmp_path / "back")


def test_telemetry_is_off(settings: Settings, raw: Path) -> None:
    snapshots = Snapshots(settings)
    snapshots.add("demo", raw)
    config = (snapshots.root / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config


def test_two_projects_at_once_wait_for_each_other(settings: Settings, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom pipelines.core.settings import Settings\nfrom pipelines.data.snapshots import Snapshots\n"
        "folder = pathlib.Path(sys.argv[2]); folder.mkdir()\nsnapshots = Snapshots(Settings.load())\n"
        "for number in range(3):\n"
        "    (folder / 'x.csv').write_text(f'{sys.argv[1]} {number}')\n"
        "    snapshots.add(sys.argv[1], folder); snapshots.push()\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, name, str(tmp_path / name)], stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    errors = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], errors
    assert sorted(row["project"] for row in Snapshots(settings).status()) == ["one"] * 3 + ["two"] * 3
