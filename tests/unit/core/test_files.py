"""Where temporary files lie."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipelines.core.errors import InfrastructureError
from pipelines.core.files import scratch, scratch_folder


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_all_temporary_files_lie_in_one_folder_that_only_their_user_can_enter(machine: Path) -> None:
    before = os.umask(0)
    try:
        with scratch_folder("train") as folder:
            assert Path(folder).parent == scratch()
            assert Path(folder).name.startswith("train-")
    finally:
        os.umask(before)
    assert list(machine.iterdir()) == [scratch()]
    assert stat.S_IMODE(scratch().stat().st_mode) == 0o700
    assert list(scratch().iterdir()) == []


def test_a_folder_others_may_enter_is_not_used(machine: Path) -> None:
    scratch().chmod(0o755)
    with pytest.raises(InfrastructureError, match=r"only you can enter.*drwxr-xr-x.*remove it, or set TMPDIR"):
        scratch()


def test_a_link_planted_by_somebody_is_not_followed(machine: Path) -> None:
    place = scratch()
    place.rmdir()
    (machine / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(machine / "elsewhere")
    with pytest.raises(InfrastructureError, match="only you can enter"):
        scratch()


def test_a_folder_of_another_user_is_not_used(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(InfrastructureError, match="only you can enter"):
        scratch()
