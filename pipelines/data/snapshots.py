"""Raw data versioned by DVC, without git: every snapshot that a run has used can be restored, here or from the remote.

One DVC repository of its own lies in `<data>/snapshots`. A snapshot is a folder named by the sha256 of its content, beside
the `.dvc` file that DVC writes for it::

    <data>/snapshots/churn/4f0c…d1/          the files (links into DVC's cache)
    <data>/snapshots/churn/4f0c…d1.dvc       DVC's pointer, which runs log

DVC itself refuses to work while another process holds its lock; here the second one waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.files import contents, disk_errors, write_atomically
from pipelines.core.settings import Settings, quiet_environment

if TYPE_CHECKING:
    from dvc.repo import Repo

_REMOTE = "snapshots"
_LOCK_SECONDS = 120.0


class Snapshots:
    """The snapshots of one installation."""

    def __init__(self, settings: Settings) -> None:
        self.root = settings.data / "snapshots"
        self.remote = settings.remote
        self._site_cache = settings.home / "cache" / "dvc"

    def add(self, project: str, folder: Path) -> dict[str, Any]:
        """Version a folder; return its pointer: path, md5, size, nfiles. The same content again changes nothing."""
        relative = f"{project}/{_content(folder)}"
        target = self.root / relative
        with self._locked():
            if self._cached(relative):
                os.utime(target)  # used again: young to `unused`
            else:
                with disk_errors(f"copying a snapshot of {project} to {target}"):
                    shutil.rmtree(target, ignore_errors=True)
                    shutil.copytree(folder, target)
                with self._repo("versioning a snapshot") as repo:
                    repo.add([str(target)])
            return self._pointer(relative)

    def push(self) -> int:
        """Send what the remote does not have; return the number of files sent."""
        with self._locked(), self._repo(f"pushing snapshots to {self.remote}") as repo:
            return int(repo.push())

    def restore(self, project: str, pointer: Mapping[str, Any], target: Path) -> None:
        """Write a snapshot's files into `target`, from DVC's cache or else from the remote, its content verified.

        Raises DataError when neither has it or the remote's copy was changed.
        """
        path = str(pointer.get("path", ""))
        relative = path.removesuffix(".dvc")
        if not path.startswith(f"{project}/") or Path(relative).name == relative or ".." in Path(relative).parts:
            raise ConfigError(
                f"the pointer {dict(pointer)!r} is not of project {project!r}; expected path {project}/<sha256>.dvc"
            )
        with self._locked():
            self._write_pointer(relative, pointer)
            shutil.rmtree(self.root / relative, ignore_errors=True)
            with self._repo(f"restoring {relative}") as repo:
                self._pull(repo, relative, pointer)
            found = _content(self.root / relative)
            if found != Path(relative).name:
                raise DataError(
                    f"snapshot {relative} is not what was versioned: expected sha256 {Path(relative).name}, found {found}; "
                    f"the copy in {self.remote} or in {self.root / '.dvc' / 'cache'} was changed. Restore it from a backup"
                )
            with disk_errors(f"restoring a snapshot to {target}"):
                shutil.copytree(self.root / relative, target, dirs_exist_ok=True, copy_function=shutil.copyfile)

    def status(self) -> list[dict[str, Any]]:
        """Every snapshot with its pointer, and whether DVC's cache holds it."""
        paths = sorted(p.relative_to(self.root).as_posix() for p in self.root.glob("*/*.dvc"))
        names = [path.removesuffix(".dvc") for path in paths]
        return [{"project": n.split("/")[0], **self._pointer(n), "cached": self._cached(n)} for n in names]

    def unused(self, kept: Iterable[Mapping[str, Any]], before: float) -> dict[str, int]:
        """Bytes of each file and folder that neither these pointers need nor a snapshot added since `before` (seconds since the
        epoch): in the workspace, in DVC's cache and in the remote.
        """
        if not self.root.is_dir():
            return {}
        with self._locked(), self._repo("looking for unused snapshots") as repo:
            return {name: size for place in self._unused(repo, kept, before) for name, size, _ in place}

    def remove_unused(self, kept: Iterable[Mapping[str, Any]], before: float) -> list[str]:
        """Remove what `unused` finds; its names. As DVC's own gc, but that this one knows the pointers of other machines, and
        leaves what is young.
        """
        if not self.root.is_dir():
            return []
        with self._locked(), self._repo("removing unused snapshots") as repo:
            places = self._unused(repo, kept, before)
            for (odb, _), place in zip(self._places(repo), places[1:], strict=True):
                if place:
                    odb.fs.remove([path for _, _, path in place])
                    _forget(odb)
            for _, _, path in places[0]:
                shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
            return [name for place in places for name, _, _ in place]

    # what is not needed any more ----------------------------------------------------------------------------------------

    def _unused(self, repo: Repo, kept: Iterable[Mapping[str, Any]], before: float) -> list[list[tuple[str, int, str]]]:
        """Name, bytes and path of what is unused: in the workspace, in the cache, in the remote."""
        here = {path.relative_to(self.root).as_posix(): path for path in self.root.glob("*/*.dvc")}
        young = [name for name, path in here.items() if max(_age(path), _age(path.with_suffix(""))) >= before]
        stay = {str(one["path"]): str(one["md5"]) for one in kept}
        stay |= {name: str(self._pointer(name.removesuffix(".dvc"))["md5"]) for name in young}
        old = [each for name, path in here.items() if name not in stay for each in (path, path.with_suffix("")) if each.exists()]
        places = self._places(repo)
        used = {oid for md5 in stay.values() for oid in (md5, *_listed([odb for odb, _ in places], md5))}
        found = [[(str(path), _size_alone(path), str(path)) for path in old]]
        for odb, name in places:
            paths = [odb.oid_to_path(oid) for oid in odb.all() if oid not in used]
            infos = ((path, odb.fs.info(path)) for path in paths)
            found.append([(f"{name}: {path}", info["size"], path) for path, info in infos if _written(info) < before])
        return found

    def _places(self, repo: Repo) -> list[tuple[Any, str]]:
        """DVC's object databases that hold snapshots."""
        return [
            (repo.cache.local, "cache"),
            (repo.cloud.get_remote_odb(_REMOTE, "gc", hash_name="md5"), "remote"),
        ]

    # DVC ----------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _repo(self, doing: str) -> Iterator[Repo]:
        """The repository, made on first use, with its errors in our words."""
        quiet_environment()
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
        from fsspec.exceptions import FSTimeoutError

        for name in ("dvc", "dvc_objects", "dvc_data"):
            logging.getLogger(name).setLevel(logging.ERROR)  # DVC talks on stdout, which is the caller's
        try:
            with disk_errors(doing):
                self._configure()
                try:
                    with Repo(str(self.root), _wait_for_lock=True) as repo:
                        yield repo
                except OSError as error:
                    if error.filename is not None:
                        raise  # a file of ours; else it is the remote that speaks in the words of the operating system
                    raise self._refusal(doing, error) from error
        except (DvcException, FSTimeoutError, *_botocore_errors()) as error:
            raise self._refusal(doing, error) from error

    def _refusal(self, doing: str, error: BaseException) -> InfrastructureError:
        return InfrastructureError(
            f"{doing} failed: {_first_line(error)}; check PIPELINES_DVC_REMOTE ({self.remote}), its credentials and the disk, "
            "and run again"
        )

    def _configure(self) -> None:
        """Write DVC's settings, so that the `dvc` command works in this folder too. An S3 remote takes AWS's own variables."""
        remote = {"url": self.remote, "verify": "true"}
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if self.remote.startswith("s3://") and endpoint:
            remote["endpointurl"] = endpoint
        core = {"no_scm": "true", "analytics": "false", "check_update": "false", "remote": _REMOTE}
        core["site_cache_dir"] = str(self._site_cache)
        sections = {"core": core, "cache": {"type": '"hardlink,copy"'}, f"'remote \"{_REMOTE}\"'": remote}
        lines = [
            f"[{name}]\n" + "".join(f"    {key} = {value}\n" for key, value in keys.items()) for name, keys in sections.items()
        ]
        content = "".join(lines).encode()
        path = self.root / ".dvc" / "config"
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)

    def _pull(self, repo: Repo, relative: str, pointer: Mapping[str, Any]) -> None:
        from dvc.exceptions import CheckoutError, DownloadError

        try:
            repo.pull([str(self.root / f"{relative}.dvc")], force=True)
        except (CheckoutError, DownloadError) as error:
            raise DataError(
                f"snapshot {relative} (md5 {pointer.get('md5')}) cannot be restored: neither DVC's cache nor {self.remote} "
                f"holds it undamaged ({_first_line(error)}); push it from where it was made, or restore the remote from a backup"
            ) from error

    # pointers -----------------------------------------------------------------------------------------------------------

    def _pointer(self, relative: str) -> dict[str, Any]:
        content = yaml.safe_load((self.root / f"{relative}.dvc").read_text(encoding="utf-8"))
        out = content["outs"][0]
        return {"path": f"{relative}.dvc", "md5": out["md5"], "size": out["size"], "nfiles": out["nfiles"]}

    def _write_pointer(self, relative: str, pointer: Mapping[str, Any]) -> None:
        out = {key: pointer[key] for key in ("md5", "size", "nfiles")} | {"hash": "md5", "path": Path(relative).name}
        write_atomically(self.root / f"{relative}.dvc", yaml.safe_dump({"outs": [out]}, sort_keys=False).encode())

    def _cached(self, relative: str) -> bool:
        """Whether the pointer is there and DVC's cache holds all it points to."""
        if not (self.root / f"{relative}.dvc").is_file():
            return False
        objects = self.root / ".dvc" / "cache" / "files" / "md5"
        md5 = self._pointer(relative)["md5"]
        try:
            listing = json.loads((objects / md5[:2] / md5[2:]).read_bytes())
        except (OSError, ValueError):
            return False
        return all((objects / one["md5"][:2] / one["md5"][2:]).is_file() for one in listing)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time; the others wait."""
        with disk_errors(f"opening {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("w")
        with lock:
            deadline = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise InfrastructureError(
                            f"another process has worked on the snapshots in {self.root} for {_LOCK_SECONDS:g} s; "
                            "see what it does (`fuser` on that folder's .lock), then run again"
                        ) from None
                    time.sleep(0.05)
            yield


def _listed(odbs: Iterable[Any], md5: str) -> list[str]:
    """The md5 of each file of a snapshot, from where its listing is found."""
    for odb in odbs:
        with contextlib.suppress(FileNotFoundError), odb.fs.open(odb.oid_to_path(md5)) as stream:
            return [one["md5"] for one in json.load(stream)]
    return []


def _forget(odb: Any) -> None:
    """Clear what DVC remembers of an object database, as its own gc does."""
    from dvc_data.hashfile.db import get_index

    get_index(odb).clear()


def _age(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _size_alone(path: Path) -> int:
    """Bytes that removing a file or folder frees: those of links into the cache are the cache's."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files if one.stat().st_nlink == 1)


def _written(info: Mapping[str, Any]) -> float:
    """When a file of an object database was written, in seconds since the epoch, by what a disk or S3 says of it."""
    return float(info["mtime"]) if "mtime" in info else float(info["LastModified"].timestamp())


def _content(folder: Path) -> str:
    """sha256 of a folder's sorted paths and the sha256 of each file; the first 32 hex digits."""
    return hashlib.sha256(json.dumps(contents(folder), sort_keys=True).encode()).hexdigest()[:32]


def _first_line(error: BaseException) -> str:
    """What DVC says first, without its colours and links."""
    return re.sub(r"\x1b\[\d+m", "", str(error)).strip().partition("\n")[0].rstrip(":") or type(error).__name__


def _botocore_errors() -> tuple[type[Exception], ...]:
    """What an S3 remote raises through DVC; botocore is there whenever DVC's S3 support is."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError
