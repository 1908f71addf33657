"""Files and folders: their hashes, writing them whole or not at all, and what a disk can do told in a sentence."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipelines.core.errors import InfrastructureError

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def contents(path: Path) -> dict[str, str]:
    """Each file of a folder (or the one file) by its path below it, with the sha256 of its bytes, sorted by path."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {p.relative_to(path).as_posix() if p != path else p.name: sha256_of(p) for p in files}


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock that this file stands for; nobody does where there is none."""
    try:
        with path.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def scratch() -> Path:
    """Where our temporary files lie: a folder of the user's own below the machine's folder for temporary files, made here.

    All of ours lie below this one, and nothing else does: what is old there may go, while a folder beside it may be anybody's.
    Raises InfrastructureError when something else stands there, or somebody else may enter it.
    """
    place = Path(tempfile.gettempdir()) / f"pipelines-scratch-{os.getuid()}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InfrastructureError(
            f"temporary files need a folder that only you can enter, and {place} is none ({stat.filemode(found.st_mode)}, owner "
            f"{found.st_uid}); remove it, or set TMPDIR to a folder of yours"
        )
    return place


def scratch_folder(purpose: str) -> tempfile.TemporaryDirectory[str]:
    """A new folder for temporary files, which goes when the object is closed or nobody holds it any more."""
    return tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=scratch())


@contextlib.contextmanager
def disk_errors(doing: str, place: str = "PIPELINES_HOME") -> Iterator[None]:
    """Turn what a disk can do to us into one sentence with a remedy; `place` is the setting that says where we write."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "the disk is full; free some space (`pipelines doctor` shows where it went) and run again",
            errno.EDQUOT: "the disk quota is used up; free some space and run again",
            errno.EACCES: f"no permission to write there; change the owner or set {place} to a folder of yours",
            errno.EROFS: f"the file system is read-only; set {place} to a folder that can be written",
            errno.ENOTDIR: f"a file stands where a folder is needed; set {place} to a folder of yours",
        }.get(error.errno or 0, "check the disk and run again")
        raise InfrastructureError(f"{doing} failed: {error.strerror or error} ({error.filename}); {remedy}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    with finished(path, io.BytesIO(content)) as temporary:
        os.replace(temporary, path)


@contextlib.contextmanager
def finished(target: Path, source: BinaryIO) -> Iterator[str]:
    """A temporary file beside `target` that holds all of `source` and is on the disk; gone afterwards unless it was moved."""
    with disk_errors(f"writing {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".tmp-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                shutil.copyfileobj(source, stream, _CHUNK)
                stream.flush()
                os.fsync(stream.fileno())
            yield temporary
        finally:
            Path(temporary).unlink(missing_ok=True)
