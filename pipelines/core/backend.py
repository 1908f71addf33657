"""Where a store lies: what a place must offer, and a folder that does; a bucket is in `s3.py`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from pipelines.core.errors import DataError
from pipelines.core.files import disk_errors, finished, write_atomically


class Stamp(NamedTuple):
    """What a listing says of a key."""

    size: int
    """Bytes."""
    at: float
    """When it was written or touched, in seconds since the epoch."""


class Backend(Protocol):
    """What a place must offer to hold a store. Keys are relative paths with '/'."""

    def upload(self, key: str, source: Path) -> bool:
        """Store a file's bytes under `key`; where the key exists, touch it. Says whether this call stored them."""

    def download(self, key: str) -> Path:
        """A local file with the bytes of an object, which never change. Raises KeyError when there is none."""

    def read(self, key: str) -> bytes | None:
        """What a record says now; None when there is none."""

    def has(self, key: str) -> bool:
        """Whether there is such a key."""

    def create(self, key: str, content: bytes) -> bool:
        """Write a record unless the key exists; say whether this call wrote it. Atomic among all writers."""

    def replace(self, key: str, content: bytes) -> None:
        """Write a record whether or not the key exists."""

    def remove(self, key: str) -> None:
        """Take a record away; that there is none is fine."""

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, sorted."""

    def stamp(self, key: str) -> Stamp | None:
        """Size and age of a key; None when there is none."""

    def stamps(self, prefix: str) -> dict[str, Stamp]:
        """Size and age of all keys that begin with `prefix`."""

    def touch(self, key: str) -> bool:
        """Make a key count as just written; whether there is such a key."""

    def newest(self, prefix: str) -> dict[str, list[str]]:
        """The keys in the last folder by name below each folder of `prefix`, which ends with '/'."""


def last_folders(prefix: str, keys: Iterable[str]) -> dict[str, list[str]]:
    """What `Backend.newest` gives, from a listing.

    >>> last_folders("verdicts/", ["verdicts/churn/w1/v1.json", "verdicts/churn/w2/v1.json", "verdicts/churn/w2/v2.json"])
    {'churn': ['verdicts/churn/w2/v1.json', 'verdicts/churn/w2/v2.json']}
    """
    found: dict[str, dict[str, list[str]]] = {}
    for key in sorted(keys):
        name = key.removeprefix(prefix).partition("/")[0]
        found.setdefault(name, {}).setdefault(key.rpartition("/")[0], []).append(key)
    return {name: folders[max(folders)] for name, folders in found.items()}


def plain_key(key: str) -> str:
    """The key, which must be a path below the store's root as it stands. Raises DataError for one that could climb out of it."""
    parts = PurePosixPath(key).parts
    if key.startswith("/") or ".." in parts or "\0" in key or "\\" in key:
        raise DataError(f"{key!r} is no key of the store: expected names below it, such as 'ledger/churn/000001.json'")
    return key


class FolderBackend:
    """A store in a folder, on a local disk or a file system that renames atomically."""

    def __init__(self, root: Path) -> None:
        self.root, self._resolved = root, root.resolve()

    def _place(self, key: str) -> Path:
        """Where a key's file is. Raises DataError for one that leads out of the folder, by its name or by a link."""
        place = self.root / plain_key(key)
        if not place.resolve().is_relative_to(self._resolved):
            raise DataError(f"{place} is a link that leads out of the store; mount the other disk there in place of the link")
        return place

    def upload(self, key: str, source: Path) -> bool:
        target = self._place(key)
        if self.touch(key):
            return False
        with source.open("rb") as stream, finished(target, stream) as temporary:
            os.chmod(temporary, 0o444)
            os.replace(temporary, target)
        return True

    def download(self, key: str) -> Path:
        path = self._place(key)
        if not path.is_file():
            raise KeyError(key)
        return path

    def read(self, key: str) -> bytes | None:
        try:
            return self._place(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def has(self, key: str) -> bool:
        return self._place(key).is_file()

    def create(self, key: str, content: bytes) -> bool:
        target = self._place(key)
        with finished(target, io.BytesIO(content)) as temporary:
            try:
                os.link(temporary, target)  # fails if the name is taken, whole content otherwise
            except FileExistsError:
                return False
            return True

    def replace(self, key: str, content: bytes) -> None:
        write_atomically(self._place(key), content)

    def remove(self, key: str) -> None:
        place = self._place(key)
        with disk_errors(f"removing {place}"):
            place.unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        found: list[str] = []
        for folder, _, names in os.walk(self._place(prefix.rpartition("/")[0])):
            start = f"{Path(folder).relative_to(self.root).as_posix()}/".removeprefix("./")
            found += [start + name for name in names if not name.startswith(".tmp-")]
        return sorted(key for key in found if key.startswith(prefix))

    def newest(self, prefix: str) -> dict[str, list[str]]:
        base = self._place(prefix)
        found = {place.name: _last(place) for place in (base.iterdir() if base.is_dir() else ()) if place.is_dir()}
        return {name: [file.relative_to(self.root).as_posix() for file in files] for name, files in found.items() if files}

    def stamp(self, key: str) -> Stamp | None:
        try:
            status = self._place(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stamp(status.st_size, status.st_mtime)

    def stamps(self, prefix: str) -> dict[str, Stamp]:
        found = ((key, self.stamp(key)) for key in self.keys(prefix))
        return {key: stamp for key, stamp in found if stamp is not None}  # one may have gone meanwhile

    def touch(self, key: str) -> bool:
        try:
            os.utime(self._place(key))
        except (FileNotFoundError, NotADirectoryError, PermissionError):  # what we cannot make young is written anew
            return False
        return True


def _last(folder: Path) -> list[Path]:
    """The files of the last folder by name that has any, without looking into the folders before it."""
    for place in sorted(folder.iterdir(), reverse=True):
        if files := sorted(file for file in place.glob("[!.]*") if file.is_file()):
            return files
    return []
