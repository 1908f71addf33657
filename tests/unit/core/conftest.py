"""Stores of both kinds, and a graph of tiny stages whose bodies are in `bodies.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.core.backend import FolderBackend
from pipelines.core.s3 import S3Backend
from pipelines.core.store import Store


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 server on a free port of loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An empty bucket, reachable through the environment."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"b-{abs(hash(str(tmp_path)))}"
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The same promises, whatever holds the bytes."""
    if request.param == "folder":
        return Store(FolderBackend(tmp_path / "store"))
    name = request.getfixturevalue("bucket")
    return Store(S3Backend(f"s3://{name}/some/prefix", tmp_path / "cache"))
