"""The artifact store: immutable objects named by content, and small keyed records that are created exactly once.

There are two backends with the same methods, a folder and an S3 bucket. Everything is written whole or not at all: a folder by
temporary file, fsync and rename; S3 by its own atomic put.

Layout::

    objects/ab/abcdef…        one file's bytes, or a folder's listing, named by sha256
    manifests/abcdef….json    what it is and which stage wrote it first
    memo/…, ledger/…, runs/…  keyed records (see fingerprint.py, ledger.py, tracking)
    rehearsals/<name>/ledger… what a rehearsal decided, beside what serves (see `Store.rehearsing`)
    sweep/…                   whether old objects are being removed just now (see sweep.py)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.core.artifacts import Manifest, Ref
from pipelines.core.backend import Backend, FolderBackend
from pipelines.core.errors import DataError, InfrastructureError
from pipelines.core.files import contents, scratch, scratch_folder, sha256_of
from pipelines.core.sweep import undisturbed

_DECIDED = ("ledger/", "alarms/", "approvals/", "registry/", "verdicts/")
"""Records of what was decided: a rehearsal has its own."""


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

    def __init__(self, backend: Backend, rehearsal: str = "") -> None:
        self.backend, self.rehearsal = backend, rehearsal

    def rehearsing(self, name: str) -> Store:
        """The same store with the history of a rehearsal: artifacts and results are shared, decisions are its own.

        >>> import tempfile
        >>> store = Store.open(tempfile.mkdtemp(), Path())
        >>> store.rehearsing("try").create("ledger/churn/000001.json", b"promoted")
        True
        >>> store.keys("ledger/"), store.rehearsing("try").keys("ledger/")
        ([], ['ledger/churn/000001.json'])
        """
        return Store(self.backend, name)

    def rehearsals(self) -> list[str]:
        """Names of those that have decided something."""
        return sorted({key.split("/")[1] for key in self.keys("rehearsals/")})

    @classmethod
    def open(cls, url: str, cache: Path) -> Store:
        """The store at a URL: a folder's path, file:///folder or s3://bucket/prefix (cached under `cache`)."""
        if url.startswith("s3://"):
            from pipelines.core.s3 import S3Backend

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

        def described(digest: str, size: int, files: dict[str, str] | None) -> Manifest:
            ref = Ref(name=name, digest=digest, codec=codec, size=size)
            return Manifest(ref=ref, project=project, stage=stage, fingerprint=fingerprint, files=files, columns=columns)

        if not path.is_dir():
            digest = sha256_of(path)
            return self._put({digest: path}, described(digest, path.stat().st_size, None))
        files = contents(path)
        size = sum((path / file).stat().st_size for file in files)
        text = json.dumps(files, sort_keys=True).encode()
        digest = hashlib.sha256(text).hexdigest()
        with scratch_folder("listing") as folder:
            listing = Path(folder) / "listing"
            listing.write_bytes(text)
            sources = {each: path / file for file, each in files.items()} | {digest: listing}
            return self._put(sources, described(digest, size, files))

    def _put(self, sources: dict[str, Path], manifest: Manifest) -> Ref:
        if not self._upload(sources, manifest):  # what was there may be old, and just being removed
            undisturbed(self.backend, lambda: self._upload(sources, manifest) or True)
        return manifest.ref

    def _upload(self, sources: dict[str, Path], manifest: Manifest) -> bool:
        """Store an artifact's objects, by digest, and its manifest; whether all objects are new here."""
        new = [self.backend.upload(_object(digest), source) for digest, source in sources.items()]
        self.create(_manifest(manifest.ref.digest), manifest.model_dump_json(indent=1).encode())
        return all(new)

    def manifest(self, digest: str) -> Manifest:
        """The manifest of an artifact. Raises DataError when the store has none."""
        record = self.read(_manifest(digest))
        if record is None:
            raise DataError(
                f"artifact {digest[:12]}… is not in the store; run the stage that writes it again, with --fresh (`dvc repro --force`)"
            )
        return Manifest.model_validate_json(record)

    def fetch(self, ref: Ref, under: Path | None = None) -> Path:
        """A local copy of an artifact, its hash verified: a file, or a new folder `under` one that the caller deletes with
        all that is in it; without one, the new folder is the caller's to delete.

        Raises DataError when the artifact is missing or its bytes are not those it was named after.
        """
        files = self.manifest(ref.digest).files
        if files is None:
            return self._verified(ref.name, ref.digest)
        folder = Path(tempfile.mkdtemp(prefix=f"{ref.name}-", dir=under or scratch()))
        for name, digest in files.items():
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise DataError(
                    f"artifact {ref.name!r} names a file outside its folder: {name!r}; it was not written by this platform"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._verified(f"{ref.name}/{name}", digest), target)
        return folder

    def keep(self, refs: Iterable[Ref]) -> bool:
        """Whether all of these artifacts are there, to be used again: they count as young from now on, so that retention,
        even one that is at work, leaves them.
        """
        wanted = tuple(refs)
        return undisturbed(self.backend, lambda: all(map(self._touched, wanted)))

    def _touched(self, ref: Ref) -> bool:
        record = self.read(_manifest(ref.digest))
        objects = Manifest.model_validate_json(record).objects if record else ()
        return bool(objects) and all(self.backend.touch(_object(digest)) for digest in objects)

    def _verified(self, what: str, digest: str) -> Path:
        try:
            path = self.backend.download(_object(digest))
        except KeyError:
            raise DataError(
                f"artifact {what!r} ({digest[:12]}…) is not in the store; run again with --fresh (`dvc repro --force`) to rebuild it"
            ) from None
        found = sha256_of(path)
        if found != digest:
            raise DataError(
                f"artifact {what!r} is damaged: expected sha256 {digest[:12]}…, found {found[:12]}… in {path}; "
                "delete that file and run again with --fresh (`dvc repro --force`) to rebuild it"
            )
        return path

    # records --------------------------------------------------------------------------------------------------------

    def create(self, key: str, content: bytes) -> bool:
        """Write a record unless there is one; say whether this call wrote it (compare-and-set on absence)."""
        return self.backend.create(self._place(key), content)

    def replace(self, key: str, content: bytes) -> None:
        self.backend.replace(self._place(key), content)

    def remove(self, key: str) -> None:
        """Take a record away: one that says what is so for now, such as who is at work, or one that nothing needs any more."""
        self.backend.remove(self._place(key))

    def read(self, key: str) -> bytes | None:
        return self.backend.read(self._place(key))

    def read_json(self, key: str) -> Any:
        content = self.read(key)
        return None if content is None else json.loads(content)

    def keys(self, prefix: str) -> list[str]:
        place = self._place(prefix)
        return [prefix + key[len(place) :] for key in self.backend.keys(place)]

    def _place(self, key: str) -> str:
        """Where a record lies: what was decided in a rehearsal, below its name."""
        return f"rehearsals/{self.rehearsal}/{key}" if self.rehearsal and key.startswith(_DECIDED) else key

    def newest(self, prefix: str) -> dict[str, list[str]]:
        """The keys in the last folder by name below each folder of `prefix`, which ends with '/'; those before are not listed."""
        place = self._place(prefix)
        return {name: [prefix + key[len(place) :] for key in keys] for name, keys in self.backend.newest(place).items()}


def _object(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest}"


def _manifest(digest: str) -> str:
    return f"manifests/{digest}.json"
