"""The store: whole or not at all, named by content, created exactly once."""

from __future__ import annotations

import errno
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.artifacts import Ref
from pipelines.core.backend import FolderBackend
from pipelines.core.errors import DataError, InfrastructureError
from pipelines.core.files import sha256_of, write_atomically
from pipelines.core.store import Store


def put(store: Store, path: Path, name: str = "thing") -> Ref:
    return store.put(name, path, codec="text", project="demo", stage="say", fingerprint="f")


def a_file(tmp_path: Path, content: str = "hello") -> Path:
    path = tmp_path / "source.txt"
    path.write_text(content)
    return path


def a_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")
    return folder


def test_a_file_comes_back(store: Store, tmp_path: Path) -> None:
    ref = put(store, a_file(tmp_path))
    assert ref.digest == sha256_of(tmp_path / "source.txt")
    assert ref.size == 5
    assert store.fetch(ref).read_text() == "hello"
    assert store.keep([ref])
    assert store.manifest(ref.digest).stage == "say"


def test_a_folder_comes_back_below_the_folder_asked_for(store: Store, tmp_path: Path) -> None:
    ref = put(store, a_folder(tmp_path))
    under = tmp_path / "under"
    under.mkdir()
    folder = store.fetch(ref, under)
    assert folder.parent == under
    assert {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.txt")} == {"a.txt": "a", "deep/b.txt": "b"}


def test_the_same_content_is_stored_once(store: Store, tmp_path: Path) -> None:
    refs = {put(store, a_file(tmp_path)).digest for _ in range(3)}
    assert len(refs) == 1
    assert len(store.keys("objects/")) == 1


def test_an_artifact_that_is_not_there_is_named(store: Store) -> None:
    gone = Ref(name="model", digest="0" * 64, codec="text", size=1)
    assert not store.keep([gone])
    with pytest.raises(DataError, match=r"artifact 000000000000… is not in the store; run the stage .* again, with --fresh"):
        store.fetch(gone)


def test_a_folder_that_lost_a_file_is_not_held(tmp_path: Path) -> None:
    store = Store(FolderBackend(tmp_path / "store"))
    ref = put(store, a_folder(tmp_path))
    digest = (store.manifest(ref.digest).files or {})["deep/b.txt"]
    (tmp_path / "store" / "objects" / digest[:2] / digest).unlink()
    assert not store.keep([ref])


def test_tampering_is_found_and_named(tmp_path: Path) -> None:
    store = Store(FolderBackend(tmp_path / "store"))
    ref = put(store, a_file(tmp_path))
    stored = tmp_path / "store" / "objects" / ref.digest[:2] / ref.digest
    stored.chmod(0o644)
    stored.write_text("hellO")
    with pytest.raises(DataError, match=r"'thing' is damaged: expected sha256 .* delete that file and run again with --fresh"):
        store.fetch(ref)


def test_tampering_in_the_bucket_is_found(bucket: str, s3_server: str, tmp_path: Path) -> None:
    import boto3

    store = Store.open(f"s3://{bucket}/p", tmp_path / "cache")
    ref = put(store, a_file(tmp_path))
    key = f"p/objects/{ref.digest[:2]}/{ref.digest}"
    boto3.client("s3", endpoint_url=s3_server).put_object(Bucket=bucket, Key=key, Body=b"evil")
    with pytest.raises(DataError, match=r"is damaged"):
        store.fetch(ref)


def test_a_folder_cannot_name_files_outside_itself(tmp_path: Path) -> None:
    store = Store(FolderBackend(tmp_path / "store"))
    ref = put(store, a_folder(tmp_path))
    manifest = store.manifest(ref.digest).model_copy(update={"files": {"../evil": "0" * 64}})
    store.replace(f"manifests/{ref.digest}.json", manifest.model_dump_json().encode())
    with pytest.raises(DataError, match=r"names a file outside its folder: '../evil'"):
        store.fetch(ref)


def test_records_are_created_once_and_replaced_freely(store: Store) -> None:
    assert store.create("a/1", b"first")
    assert not store.create("a/1", b"second")
    assert store.read("a/1") == b"first"
    store.replace("a/1", b'{"third": 3}')
    assert store.read_json("a/1") == {"third": 3}
    assert store.read("a/2") is None
    assert store.keys("a/") == ["a/1"]
    assert store.keys("b/") == []
    store.remove("a/1")
    store.remove("a/1")
    assert store.keys("a/") == []
    assert store.read("a/1") is None
    assert store.create("a/1", b"again")


def test_the_keys_in_the_newest_folder_of_each_folder_are_found(store: Store) -> None:
    assert store.newest("verdicts/") == {}
    for key in ("churn/2026-01/v1.json", "churn/2026-02/v1.json", "churn/2026-02/v2.json", "toy/2025-12/v9.json"):
        store.create(f"verdicts/{key}", b"")
    assert store.newest("verdicts/") == {
        "churn": ["verdicts/churn/2026-02/v1.json", "verdicts/churn/2026-02/v2.json"],
        "toy": ["verdicts/toy/2025-12/v9.json"],
    }


def test_one_of_many_threads_creates(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.create("lock", str(n).encode()), range(8)))
    assert sum(won) == 1
    assert store.read("lock") == str(won.index(True)).encode()


def _create(root: str, number: int, results: Any) -> None:
    store = Store(FolderBackend(Path(root)))
    results.put(sum(store.create(f"race/{key}", str(number).encode()) for key in range(50)))


def test_one_of_many_processes_creates(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()
    workers = [context.Process(target=_create, args=(str(tmp_path), n, results)) for n in range(4)]
    for worker in workers:
        worker.start()
    won = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(won) == 50, "each of 50 records is created by exactly one of four processes"


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(os, "fsync", full)
    store = Store(FolderBackend(tmp_path / "store"))
    for write in (
        lambda: write_atomically(path, b"new"),
        lambda: store.create("key", b"new"),
        lambda: store.replace("key", b"new"),
        lambda: put(store, a_file(tmp_path)),
    ):
        with pytest.raises(InfrastructureError, match=r"the disk is full; free some space .* and run again"):
            write()
    assert path.read_bytes() == b"old"
    assert store.keys("") == []
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    import subprocess

    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        store = Store(FolderBackend(small / "store"))
        kept = put(store, a_file(tmp_path, "small"))
        with pytest.raises(InfrastructureError, match=r"the disk is full"):
            put(store, a_file(tmp_path, "x" * 200_000), "large")
        assert not list(small.rglob(".tmp-*"))
        assert store.fetch(kept).read_text() == "small"
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "change the owner or set PIPELINES_HOME"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EIO, "check the disk and run again"),
    ],
)
def test_what_a_disk_can_do_is_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number), "there")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InfrastructureError, match=remedy):
        write_atomically(tmp_path / "file", b"")


def test_a_store_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(InfrastructureError, match=r"set PIPELINES_HOME|check the disk"):
        Store.open(str(tmp_path / "store"), tmp_path).create("key", b"")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o555)
    with pytest.raises(InfrastructureError, match=r"no permission to write there"):
        Store.open(str(tmp_path / "store"), tmp_path).create("key", b"")


def test_urls(tmp_path: Path) -> None:
    assert Store.open(f"file://{tmp_path}/store", tmp_path).create("key", b"")
    assert (tmp_path / "store" / "key").is_file()
    with pytest.raises(InfrastructureError, match=r"PIPELINES_STORE is 'ftp://x'; expected a folder, file:///folder or s3://"):
        Store.open("ftp://x", tmp_path)


def test_a_bucket_that_is_not_there_is_named(bucket: str, tmp_path: Path) -> None:
    store = Store.open("s3://no-such-bucket/p", tmp_path / "cache")
    for write in (lambda: store.create("key", b""), lambda: store.replace("key", b""), lambda: put(store, a_file(tmp_path))):
        with pytest.raises(InfrastructureError, match=r"in bucket 'no-such-bucket' failed.*check its URL and credentials"):
            write()
    with pytest.raises(InfrastructureError, match=r"listing ledger/"):
        store.keys("ledger/")


def test_a_cached_object_needs_no_server(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(f"s3://{bucket}/p", tmp_path / "cache")
    ref = put(store, a_file(tmp_path))
    store.fetch(ref)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["objects"], "records are always asked for"
    monkeypatch.setattr(store.backend, "bucket", "no-such-bucket")
    assert store.backend.download(f"objects/{ref.digest[:2]}/{ref.digest}").read_text() == "hello"
