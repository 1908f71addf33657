"""Airflow's API server alone, with DAGs in its table, for what needs no scheduler."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import httpx

from pipelines.core.settings import ROOT, Settings
from pipelines.stack.environment import HOST, Ports, full_environment
from pipelines.stack.ports import free
from pipelines.stack.secrets import ADMIN, load_or_create, password

PATIENCE = 180
"""Seconds for the server to start."""
DAGS = """
import sys
from datetime import UTC, datetime, timedelta
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session

with create_session() as session:
    session.add(DagBundleModel(name="dags-folder"))
    session.flush()
    for project in sys.argv[1:]:
        for kind in ("training", "monitoring"):
            dag = DagModel(dag_id=f"{project}_{kind}", bundle_name="dags-folder", fileloc=f"{project}.py")
            dag.is_stale = dag.is_paused = False
            dag.next_dagrun_create_after = datetime.now(UTC) + timedelta(hours=17)
            session.add(dag)
"""
"""Puts the DAGs of the projects given into Airflow's table, as its DAG processor would."""


@contextlib.contextmanager
def serving(settings: Settings, projects: Sequence[str], users: str = f"{ADMIN}:admin") -> Iterator[httpx.Client]:
    """A client that is logged in as the admin; the server ends with the block. `users` as Airflow's simple login has them."""
    port = free()
    env = full_environment(settings, Ports(airflow=port), load_or_create(settings.home), dict(os.environ))
    env |= {"PYTHONPATH": str(ROOT), "AIRFLOW__CORE__DAGS_FOLDER": str(settings.home / "dags")}
    env |= {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users, "MLFLOW_TRACKING_URI": settings.tracking}
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    subprocess.run([sys.executable, "-c", DAGS, *projects], env=env, check=True, capture_output=True)
    log = (settings.home / "api-server.log").open("wb")
    server = subprocess.Popen([*airflow, "api-server"], env=env, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=60, trust_env=False) as client:
            _await(client)
            client.headers["Authorization"] = f"Bearer {token(client, ADMIN, password(settings.home))}"
            yield client
    finally:
        server.terminate()
        server.wait(60)
        log.close()


def token(client: httpx.Client, user: str, secret: str) -> str:
    """What a user's requests carry who has logged in."""
    answer = client.post("/auth/token", json={"username": user, "password": secret})
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _await(client: httpx.Client) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            client.get("/api/v2/version").raise_for_status()
            return
        except httpx.TransportError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
