"""A PostgreSQL of one's own, from the system's binaries, reached by a unix socket."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """The folder with `initdb` and `pg_ctl`: that of `pg_ctl` on PATH, or Debian's newest."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").is_file()), None)


@dataclass(frozen=True)
class Postgres:
    """A cluster in a folder, which can be stopped and started again."""

    tools: Path
    folder: Path
    user: str

    @property
    def url(self) -> str:
        return self.address("postgres")

    def address(self, database: str) -> str:
        """URL of a database of this server."""
        return f"postgresql+psycopg2://studies:hidden-word@/{database}?host={self.folder}"

    def make(self, database: str) -> str:
        """Make a database; its URL."""
        self._call("createdb", "--host", str(self.folder), "--username", "studies", database)
        return self.address(database)

    def create(self) -> None:
        self._call("initdb", "--auth=trust", "--username=studies", "--no-sync", "--pgdata", str(self.folder / "data"))

    def start(self) -> None:
        self._control("start", "-o", f"-k {self.folder} -c listen_addresses='' -c fsync=off", "-l", str(self.folder / "log"))

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        self._call("pg_ctl", "-D", str(self.folder / "data"), "-w", *arguments)

    def _call(self, tool: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.tools / tool), *arguments],
            user=self.user if os.getuid() == 0 else None,  # it refuses to run as root
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )


@contextlib.contextmanager
def serving() -> Iterator[Postgres]:
    """A running server; skips the test where there is none to run."""
    tools = binaries()
    if tools is None:
        if os.environ.get("CI"):
            pytest.fail("there is no PostgreSQL; install the package postgresql")
        pytest.skip("there is no PostgreSQL on this machine (package postgresql)")
    user = next((name for name in ("postgres", "nobody") if _exists(name)), pwd.getpwuid(os.getuid()).pw_name)
    # outside tmp_path, whose parents only this user may enter, and short, as the name of a socket must be
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, user)
    server = Postgres(tools, folder, user)
    try:
        server.create()
        server.start()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
