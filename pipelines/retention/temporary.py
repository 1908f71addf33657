"""Folders and files that a process was to delete, and did not live to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipelines.core.files import is_locked, scratch
from pipelines.core.settings import Settings
from pipelines.retention.pile import Pile


def temporary(settings: Settings, before: float) -> Pile:
    """What is left in our own places, that for temporary files among them, and was not touched since."""
    sizes = {str(path): _size(path) for path in _places(settings) if _is_left(path, before)}
    return Pile("temporary files", sizes, partial(_take, sizes, before))


def _places(settings: Settings) -> Iterator[Path]:
    home = settings.home
    for folder in ("scratch", "studies", "progress"):
        yield from (home / folder).glob("*")
    yield from (home / "cache").glob("*/.tmp-*")
    yield from (path for path in (home / "cache" / "store").rglob("*") if path.is_file())  # what was read from S3
    if "://" not in settings.store:
        yield from Path(settings.store).rglob(".tmp-*")
    yield from scratch().glob("*")


def _is_left(path: Path, before: float) -> bool:
    """Whether it is ours, nothing in it is young, and no process has its lock."""
    try:
        found = [one.lstat() for one in _all(path)]
    except FileNotFoundError:  # somebody is at work there
        return False
    return found[0].st_uid == os.getuid() and all(one.st_mtime < before for one in found) and not is_locked(path / "lock")


def _all(path: Path) -> list[Path]:
    return [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]


def _size(path: Path) -> int:
    return sum(one.lstat().st_size for one in _all(path) if one.is_file())


def _take(sizes: dict[str, int], before: float) -> Iterator[str]:
    for name in sizes:
        path = Path(name)
        if not _is_left(path, before):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        yield name
