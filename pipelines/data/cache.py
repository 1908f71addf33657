"""Downloads, kept by sha256. A file is admitted whole and verified, or not at all.

Layout::

    <home>/cache/downloads/<sha256>         the bytes
    <home>/cache/downloads/<sha256>.json    where they came from, and which sources were tried before
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.core.errors import DataError
from pipelines.core.files import disk_errors, sha256_of, write_atomically
from pipelines.core.settings import Settings


class Came(BaseModel):
    """Where a cached file came from."""

    model_config = ConfigDict(frozen=True)

    source: str
    origin: str
    tried: tuple[str, ...] = ()
    """Sources that did not answer, each with the reason."""


def verify(name: str, sha256: str, origin: str, path: Path) -> None:
    """Compare a file with its declared hash before anything opens it. Raises DataError."""
    found = sha256_of(path)
    if found != sha256:
        raise DataError(
            f"{name} has the wrong checksum: expected sha256 {sha256}, found {found} ({path.stat().st_size:,} bytes) "
            f"at {origin}; nothing of it was read. Check that place, or choose another source with ingest.source"
        )


class Cache:
    """The download cache of one installation."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.home / "cache" / "downloads"

    def find(self, sha256: str) -> tuple[Path, Came] | None:
        """A cached file and where it came from; a damaged one is dropped and counts as absent."""
        path = self.folder / sha256
        try:
            came = Came.model_validate(json.loads(self._note(sha256).read_bytes()))
        except (OSError, ValueError):
            return None
        if not path.is_file():
            return None
        if sha256_of(path) != sha256:
            path.unlink()
            return None
        return path, came

    def admit(self, name: str, sha256: str, came: Came, write: Callable[[Path], object]) -> Path:
        """Let `write` fill a temporary file, verify it, and take it into the cache under its sha256.

        Raises DataError when its content is not what the catalog declares, InfrastructureError when there is no room.
        """
        with disk_errors(f"caching {name} in {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".tmp-") as folder:
                part = Path(folder) / "part"
                write(part)
                verify(name, sha256, came.origin, part)
                part.replace(self.folder / sha256)
        write_atomically(self._note(sha256), came.model_dump_json(indent=1).encode())
        return self.folder / sha256

    def _note(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.json"
