"""Every setting of the embedded Airflow and MLflow, in one place: the environment their processes are started with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.core.settings import ROOT, Settings, quiet_environment
from pipelines.stack.secrets import ADMIN, Secrets, password_file

HOST = "127.0.0.1"
"""Nothing of ours listens anywhere else. Not `localhost`, which may mean ::1, where Airflow does not listen."""


class Ports(BaseModel):
    """Where the two servers listen."""

    model_config = ConfigDict(frozen=True)

    airflow: int = 8080
    mlflow: int = 5000

    @property
    def airflow_url(self) -> str:
        return f"http://{HOST}:{self.airflow}"

    @property
    def mlflow_url(self) -> str:
        return f"http://{HOST}:{self.mlflow}"


AIRFLOW = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # every file in the folder is a DAG file; Airflow would otherwise skip those in which it misses the word "dag"
    "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE": "False",
    # a running project fits; more idle workers only cost memory (32 by default)
    "AIRFLOW__CORE__PARALLELISM": "8",
    # the pause between two looks of the scheduler, 1 s by default, is nearly all that a short task costs
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    # a new project's DAG file is seen after seconds, not after five minutes
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "5",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__API__INSTANCE_NAME": "pipelines",
}
"""Settings that do not depend on the machine: the same in the embedded stack and in docker/compose.yaml."""


def airflow_environment(settings: Settings, ports: Ports, secrets: Secrets) -> dict[str, str]:
    """Airflow's configuration as environment variables: SQLite, LocalExecutor, loopback only, our own secrets."""
    home = settings.home / "airflow"
    return AIRFLOW | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ports.airflow_url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(settings.home)),
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": ports.airflow_url,
        "AIRFLOW__API__SECRET_KEY": secrets.api,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.home / "logs" / "tasks"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(settings.home / "logs" / "dag-files"),
    }


def platform_environment(settings: Settings, ports: Ports) -> dict[str, str]:
    """Our own settings for the tasks, so that they see what the caller of `up` saw, and the tracking server."""
    chosen = {
        "PIPELINES_HOME": str(settings.home),
        "PIPELINES_DATA": str(settings.data),
        "PIPELINES_STORE": settings.store,
        "PIPELINES_MLFLOW_ARTIFACTS": settings.artifacts,
        "PIPELINES_DVC_REMOTE": settings.remote,
        "PIPELINES_MIRROR": settings.mirror,
        "PIPELINES_PROJECTS": os.pathsep.join(map(str, settings.projects)),
        "PIPELINES_STUDY": settings.study,
        "MLFLOW_TRACKING_URI": ports.mlflow_url if own_mlflow(settings) else settings.tracking,
    }
    return {name: value for name, value in chosen.items() if value}


def own_mlflow(settings: Settings) -> bool:
    """Whether the stack runs a tracking server itself: not when the tracking URI already names one."""
    return not settings.tracking.startswith(("http://", "https://"))


def full_environment(
    settings: Settings, ports: Ports, secrets: Secrets, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of the stack's processes. The caller's own AIRFLOW__… variables win over ours."""
    caller = dict(os.environ if environ is None else environ)
    env = caller | airflow_environment(settings, ports, secrets) | platform_environment(settings, ports)
    env |= {name: value for name, value in caller.items() if name.startswith("AIRFLOW__")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    env["NO_PROXY"] = env["no_proxy"] = ",".join(filter(None, [env.get("NO_PROXY") or env.get("no_proxy"), HOST]))
    env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # ten idle processes that serve nothing of ours
    env.setdefault("OMP_NUM_THREADS", "1")  # candidates train side by side; two spinning thread pools on one core crawl
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # without bytecode every process imports twice as long
    quiet_environment(env)
    return env


def commands(settings: Settings, ports: Ports) -> dict[str, list[str]]:
    """The command of each process, by name, in the order of starting."""
    airflow = [sys.executable, "-m", "airflow"]
    found = {
        "scheduler": [*airflow, "scheduler", "--skip-serve-logs"],  # its log server would listen on all addresses
        "api-server": [*airflow, "api-server"],
        "dag-processor": [*airflow, "dag-processor"],
        "triggerer": [*airflow, "triggerer", "--skip-serve-logs"],
    }
    if own_mlflow(settings):
        server = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(ports.mlflow), "--workers", "1"]
        found["mlflow"] = [*server, "--backend-store-uri", settings.tracking, "--default-artifact-root", settings.artifacts]
    return found
