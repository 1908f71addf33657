"""Snapshots on an S3 server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import DataError, InfrastructureError
from pipelines.core.settings import Settings
from pipelines.data.snapshots import Snapshots

pytestmark = pytest.mark.integration


@pytest.fixture
def s3(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 server on loopback with a bucket `raw`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="raw")
    yield client
    server.stop()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.csv").write_text("a\n1\n")
    return folder


def test_a_snapshot_comes_back_from_s3(s3: Any, settings: Settings, raw: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(settings.model_copy(update={"remote": "s3://raw/dvc"}))
    pointer = snapshots.add("demo", raw)
    assert snapshots.push() == 2
    assert snapshots.push() == 0
    shutil.rmtree(snapshots.root)
    shutil.rmtree(settings.home, ignore_errors=True)
    snapshots.restore("demo", pointer, tmp_path / "back")
    assert (tmp_path / "back" / "a.csv").read_text() == "a\n1\n"


def test_a_tampered_object_is_noticed(s3: Any, settings: Settings, raw: Path, tmp_path: Path) -> None:
    snapshots = Snapshots(settings.model_copy(update={"remote": "s3://raw/dvc"}))
    pointer = snapshots.add("demo", raw)
    snapshots.push()
    shutil.rmtree(snapshots.root)
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="raw")["Contents"]]
    file = next(key for key in keys if not key.endswith(".dir"))
    s3.put_object(Bucket="raw", Key=file, Body=b"a\n9\n")
    with pytest.raises(DataError, match=r"cannot be restored|is not what was versioned"):
        snapshots.restore("demo", pointer, tmp_path / "back")


def test_a_bucket_that_is_not_there(s3: Any, settings: Settings, raw: Path) -> None:
    snapshots = Snapshots(settings.model_copy(update={"remote": "s3://elsewhere/dvc"}))
    snapshots.add("demo", raw)
    with pytest.raises(
        InfrastructureError, match=r"pushing snapshots to s3://elsewhere/dvc failed: .*check PIPELINES_DVC_REMOTE"
    ):
        snapshots.push()


def test_a_server_that_is_down(settings: Settings, raw: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    snapshots = Snapshots(settings.model_copy(update={"remote": "s3://raw/dvc"}))
    snapshots.add("demo", raw)
    with pytest.raises(InfrastructureError, match="pushing snapshots to s3://raw/dvc failed"):
        snapshots.push()
