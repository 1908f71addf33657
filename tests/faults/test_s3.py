"""Storage that fails or dawdles in the middle of a run: it ends right, or it fails as infrastructure and the next one ends right."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from pipelines.core.s3 import S3Backend
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from tests.faults.conftest import Installation
from tests.faults.flaky import Fault, Flaky

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def flaky(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    """A store in a bucket behind a server that can be told to fail."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with Flaky(host, port).serving() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        bucket = f"b-{uuid.uuid4().hex}"  # moto forgets nothing while the process lives
        monkeypatch.setenv("PIPELINES_STORE", f"s3://{bucket}/store")
        boto3.client("s3", endpoint_url=proxy.url).create_bucket(Bucket=bucket)
        yield proxy
    server.stop()


def test_a_record_whose_answer_was_lost_is_known_to_be_ours(flaky: Flaky, tmp_path: Path) -> None:
    """boto3 asks again and is told that the key is taken: by itself."""
    store = Store(S3Backend(os.environ["PIPELINES_STORE"], tmp_path / "cache"))
    flaky.fault, flaky.each = "after", 2
    assert all(store.create(f"race/{number}", b"mine") for number in range(6))
    assert not any(store.create(f"race/{number}", b"mine") for number in range(6)), "the same words of another are not ours"
    assert flaky.failed


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "each"), [("before", 9), ("after", 9), ("slow", 40)])
def test_a_run_ends_right_or_fails_cleanly(installation: Installation, flaky: Flaky, fault: Fault, each: int) -> None:
    flaky.fault, flaky.each = fault, each
    code, said = installation.run()
    assert code in (0, 4), said
    assert flaky.failed
    flaky.each = 0
    again, more = installation.run()
    assert again == 0, more
    store = installation.session.store
    assert installation.versions() == [1]
    assert installation.promotions() == 1
    assert "RUNNING" not in installation.mlflow_runs()
    for key in store.keys(""):
        if key.endswith(".json"):
            json.loads(store.read(key) or b"")
