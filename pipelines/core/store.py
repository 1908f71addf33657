"""The artifact store: immutable objects named by content, and small keyed records that are created exactly once.

There are two backends with the same methods, a folder and an S3 bucket. Everything is written whole or not at all: a folder by
temporary file, fsync and rename; S3 by its own atomic put.

Layout::

    objects/ab/abcdef…        one file's bytes, or a folder's listing, named by sha256
    manifests/abcdef….json    what it is and which stage wrote it first
    memo/…, ledger/…, runs/…  keyed records (see fingerprint.py, ledger.py, tracking)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pipelines.core.artifacts import Manifest, Ref
from pipelines.core.errors import DataError, InfrastructureError

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def contents(path: Path) -> dict[str, str]:
    """Each file of a folder (or the one file) by its path below it, with the sha256 of its bytes, sorted by path."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {p.relative_to(path).as_posix() if p != path else p.name: sha256_of(p) for p in files}


@contextlib.contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn what a disk can do to us into one sentence with a remedy."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "the disk is full; free some space (`pipelines doctor` shows where it went) and run again",
            errno.EDQUOT: "the disk quota is used up; free some space and run again",
            errno.EACCES: "no permission to write there; change the owner or set PIPELINES_HOME to a folder of yours",
            errno.EROFS: "the file system is read-only; set PIPELINES_HOME to a folder that can be written",
            errno.ENOTDIR: "a file stands where a folder is needed; set PIPELINES_HOME to a folder of yours",
        }.get(error.errno or 0, "check the disk and run again")
        raise InfrastructureError(f"{doing} failed: {error.strerror or error} ({error.filename}); {remedy}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    with _finished(path, io.BytesIO(content)) as temporary:
        os.replace(temporary, path)


@contextlib.contextmanager
def _finished(target: Path, source: BinaryIO) -> Iterator[str]:
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


class Backend(Protocol):
    """What a place must offer to hold a store. Keys are relative paths with '/'."""

    def upload(self, key: str, source: Path) -> None:
        """Store a file's bytes under `key`; a no-op when the key exists."""

    def download(self, key: str) -> Path:
        """A local file with the bytes of `key`. Raises KeyError when there is none."""

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


class FolderBackend:
    """A store in a folder, on a local disk or a file system that renames atomically."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def upload(self, key: str, source: Path) -> None:
        target = self.root / key
        if target.exists():
            return
        with source.open("rb") as stream, _finished(target, stream) as temporary:
            os.chmod(temporary, 0o444)
            os.replace(temporary, target)

    def download(self, key: str) -> Path:
        path = self.root / key
        if not path.is_file():
            raise KeyError(key)
        return path

    def has(self, key: str) -> bool:
        return (self.root / key).is_file()

    def create(self, key: str, content: bytes) -> bool:
        target = self.root / key
        with _finished(target, io.BytesIO(content)) as temporary:
            try:
                os.link(temporary, target)  # fails if the name is taken, whole content otherwise
            except FileExistsError:
                return False
            return True

    def replace(self, key: str, content: bytes) -> None:
        write_atomically(self.root / key, content)

    def remove(self, key: str) -> None:
        with disk_errors(f"removing {self.root / key}"):
            (self.root / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> list[str]:
        base = self.root / prefix.rpartition("/")[0]
        if not base.is_dir():
            return []
        found = (p for p in base.rglob("*") if p.is_file() and not p.name.startswith(".tmp-"))
        return sorted(k for k in (p.relative_to(self.root).as_posix() for p in found) if k.startswith(prefix))


class S3Backend:
    """A store in an S3 bucket. Conditional puts give `create` its exactly-once (S3 API, `If-None-Match: *`)."""

    def __init__(self, url: str, cache: Path) -> None:
        import boto3

        self.bucket, _, self.prefix = url.removeprefix("s3://").partition("/")
        self.cache = FolderBackend(cache)
        self.client = boto3.client("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"))

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise InfrastructureError(
                f"{doing} in bucket {self.bucket!r} failed: {error}; check its URL and credentials"
            ) from error

    def upload(self, key: str, source: Path) -> None:
        if self.has(key):
            return
        with self._errors(f"storing {key}"):
            self.client.upload_file(str(source), self.bucket, self._key(key))

    def download(self, key: str) -> Path:
        from botocore.exceptions import ClientError

        with contextlib.suppress(KeyError):
            if key.startswith("objects/"):  # records may change, objects never do
                return self.cache.download(key)
        with tempfile.TemporaryDirectory() as folder, self._errors(f"reading {key}"):
            local = Path(folder) / "object"
            try:
                self.client.download_file(self.bucket, self._key(key), str(local))
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    raise KeyError(key) from None
                raise
            self.cache.replace(key, local.read_bytes())
        return self.cache.download(key)

    def has(self, key: str) -> bool:
        from botocore.exceptions import ClientError

        with self._errors(f"looking for {key}"):
            try:
                self.client.head_object(Bucket=self.bucket, Key=self._key(key))
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return False
                raise
        return True

    def create(self, key: str, content: bytes) -> bool:
        from botocore.exceptions import ClientError

        with self._errors(f"writing {key}"):
            try:
                self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=content, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict", "412"):
                    return False
                raise
        return True

    def replace(self, key: str, content: bytes) -> None:
        with self._errors(f"writing {key}"):
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=content)

    def remove(self, key: str) -> None:
        with self._errors(f"removing {key}"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def keys(self, prefix: str) -> list[str]:
        with self._errors(f"listing {prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
            skip = len(self.prefix) + 1 if self.prefix else 0
            return sorted(item["Key"][skip:] for page in pages for item in page.get("Contents", []))


class Store:
    """Artifacts and records over one backend.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> store = Store(FolderBackend(folder / "store"))
    >>> _ = (folder / "hello.txt").write_text("hello")
    >>> ref = store.put("greeting", folder / "hello.txt", codec="text", project="demo", stage="say", fingerprint="f")
    >>> store.fetch(ref).read_text()
    'hello'
    >>> store.create("lock", b"mine"), store.create("lock", b"yours")
    (True, False)
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @classmethod
    def open(cls, url: str, cache: Path) -> Store:
        """The store at a URL: a folder's path, file:///folder or s3://bucket/prefix (cached under `cache`)."""
        if url.startswith("s3://"):
            return cls(S3Backend(url, cache))
        if "://" in url and not url.startswith("file://"):
            raise InfrastructureError(f"PIPELINES_STORE is {url!r}; expected a folder, file:///folder or s3://bucket/prefix")
        return cls(FolderBackend(Path(url.removeprefix("file://"))))

    # artifacts ------------------------------------------------------------------------------------------------------

    def put(
        self,
        name: str,
        path: Path,
        *,
        codec: str,
        project: str,
        stage: str,
        fingerprint: str,
        columns: dict[str, str] | None = None,
    ) -> Ref:
        """Store a file or a folder; the same content is stored once, whoever writes it."""
        files: dict[str, str] | None = None
        if path.is_dir():
            files, size = {}, 0
            for file in sorted(p for p in path.rglob("*") if p.is_file()):
                digest = files[file.relative_to(path).as_posix()] = sha256_of(file)
                self.backend.upload(_object(digest), file)
                size += file.stat().st_size
            listing = json.dumps(files, sort_keys=True).encode()
            digest = hashlib.sha256(listing).hexdigest()
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "listing").write_bytes(listing)
                self.backend.upload(_object(digest), Path(folder) / "listing")
        else:
            digest, size = sha256_of(path), path.stat().st_size
            self.backend.upload(_object(digest), path)
        ref = Ref(name=name, digest=digest, codec=codec, size=size)
        manifest = Manifest(ref=ref, project=project, stage=stage, fingerprint=fingerprint, files=files, columns=columns)
        self.create(f"manifests/{digest}.json", manifest.model_dump_json(indent=1).encode())
        return ref

    def manifest(self, digest: str) -> Manifest:
        """The manifest of an artifact. Raises DataError when the store has none."""
        record = self.read(f"manifests/{digest}.json")
        if record is None:
            raise DataError(f"artifact {digest[:12]}… is not in the store; run the stage that writes it again, with --fresh")
        return Manifest.model_validate_json(record)

    def fetch(self, ref: Ref, under: Path | None = None) -> Path:
        """A local copy of an artifact, its hash verified: a file, or a new folder `under` one that the caller deletes.

        Raises DataError when the artifact is missing or its bytes are not those it was named after.
        """
        files = self.manifest(ref.digest).files
        if files is None:
            return self._verified(ref.name, ref.digest)
        folder = Path(tempfile.mkdtemp(prefix=f"pipelines-{ref.name}-", dir=under))
        for name, digest in files.items():
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise DataError(
                    f"artifact {ref.name!r} names a file outside its folder: {name!r}; it was not written by this platform"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._verified(f"{ref.name}/{name}", digest), target)
        return folder

    def holds(self, ref: Ref) -> bool:
        """Whether all of an artifact is there (the bytes are verified on reading)."""
        record = self.read(f"manifests/{ref.digest}.json")
        if record is None:
            return False
        files = Manifest.model_validate_json(record).files or {}
        return all(self.backend.has(_object(digest)) for digest in {ref.digest, *files.values()})

    def _verified(self, what: str, digest: str) -> Path:
        try:
            path = self.backend.download(_object(digest))
        except KeyError:
            raise DataError(
                f"artifact {what!r} ({digest[:12]}…) is not in the store; run again with --fresh to rebuild it"
            ) from None
        found = sha256_of(path)
        if found != digest:
            raise DataError(
                f"artifact {what!r} is damaged: expected sha256 {digest[:12]}…, found {found[:12]}… in {path}; "
                "delete that file and run again with --fresh to rebuild it"
            )
        return path

    # records --------------------------------------------------------------------------------------------------------

    def create(self, key: str, content: bytes) -> bool:
        """Write a record unless there is one; say whether this call wrote it (compare-and-set on absence)."""
        return self.backend.create(key, content)

    def replace(self, key: str, content: bytes) -> None:
        self.backend.replace(key, content)

    def remove(self, key: str) -> None:
        """Take a record away that says what is so for now, such as who is at work; results and history are never removed."""
        self.backend.remove(key)

    def read(self, key: str) -> bytes | None:
        try:
            return self.backend.download(key).read_bytes()
        except KeyError:
            return None

    def read_json(self, key: str) -> Any:
        content = self.read(key)
        return None if content is None else json.loads(content)

    def keys(self, prefix: str) -> list[str]:
        return self.backend.keys(prefix)


def _object(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest}"
