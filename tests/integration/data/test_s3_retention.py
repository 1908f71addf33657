"""Retention where store, snapshots and MLflow's files are in S3."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.data.snapshots import Snapshots
from pipelines.retention import report, survey
from pipelines.runners import in_process
from pipelines.tracking import registry
from pipelines.tracking.lineage import reproduce
from pipelines.tracking.runs import MlflowTracker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MONTHS = 90 * 86400.0


@pytest.fixture
def bucket(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 server on loopback with a bucket that holds everything."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PIPELINES_STORE": "s3://all/store",
        "PIPELINES_DVC_REMOTE": "s3://all/dvc",
        "PIPELINES_MLFLOW_ARTIFACTS": "s3://all/mlflow",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="all")
    yield client
    server.stop()


def used(client: Any) -> int:
    """Bytes in the bucket, but for the count of batches."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="all")
    found = [item for page in pages for item in page.get("Contents", [])]
    return sum(item["Size"] for item in found if "/sweep/" not in item["Key"])


def test_old_runs_go_and_every_version_serves(
    bucket: Any, toy_session: Callable[..., Session], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deployment = tmp_path / "projects" / "toy" / "deployment.yaml"
    deployment.write_text(deployment.read_text() + "retention: {runs: 0, within: P10D}\n")
    easy = {"gates.floors": {"accuracy": 0.5}, "gates.not_worse_by": 1.0}
    asked = [("training", {"overrides": {"seed": seed, **easy}}) for seed in (1, 2, 3)]
    asked.append(("monitoring", {"overrides": easy, "as_of": datetime(2025, 6, 2, tzinfo=UTC)}))
    for graph, told in asked:
        session = toy_session(graph, **told)
        tracker = MlflowTracker(session.settings)
        in_process.run(session, tracker=tracker)
        tracker.finish(session, "FINISHED")
    settings = session.settings
    forgotten = tmp_path / "forgotten"
    forgotten.mkdir()
    (forgotten / "a.csv").write_text("a\n" * 1000)
    Snapshots(settings).add("toy", forgotten)
    Snapshots(settings).push()
    assert report(survey(settings), apply=True)["count"] == 0, "everything is young"
    before, later = used(bucket), time.time() + MONTHS
    told = report(survey(settings, later), apply=True)
    places = {place["what"]: place for place in told["places"]}
    assert any(name.startswith("remote: ") for name in places["snapshots"]["names"])
    remote = sum(2000 for name in places["snapshots"]["names"] if name.startswith("remote: ") and not name.endswith(".dir"))
    in_bucket = ("remembered results", "artifacts in the store", "files of MLflow runs", "records of runs")
    assert all(places[what]["bytes"] for what in in_bucket)
    freed = before - used(bucket)
    assert sum(places[what]["bytes"] for what in in_bucket) + remote <= freed <= told["bytes"]
    again = report(survey(settings, later), apply=True)["places"]
    assert sum(place["count"] for place in again if place["what"] != "temporary files") == 0, "only what was read meanwhile"
    versions = [entry.version for entry in registry.history("toy").entries if entry.kind == "promotion"]
    assert len(versions) == 3
    for version in versions:
        assert version is not None
        assert len(registry.load("toy", version).predict(np.array([[0.1, 1.0], [-2.0, 0.5]]))) == 2
    assert reproduce("toy", 1)["verdict"] == "identical"
    (left,) = Snapshots(settings).status()
    Snapshots(settings).restore("toy", left, tmp_path / "back")
    assert (tmp_path / "back" / "toy.csv").read_bytes() == (tmp_path / "toy.csv").read_bytes()
