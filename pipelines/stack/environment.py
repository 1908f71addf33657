"""Every setting of the embedded Airflow and MLflow, in one place: the environment their processes are started with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.core.errors import ConfigError
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


EXECUTOR = "pipelines.runners.airflow_executor.AttentiveExecutor"
USERS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
ROLES = ("viewer", "user", "op", "admin")
"""Of Airflow's simple login, each with all that the ones before it may."""

AIRFLOW = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # every file in the folder is a DAG file; Airflow would otherwise skip those in which it misses the word "dag"
    "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE": "False",
    # a running project fits; more idle workers only cost memory (32 by default)
    "AIRFLOW__CORE__PARALLELISM": "8",
    # the pause between two looks of the scheduler, 1 s by default, is nearly all that a short task costs
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    # what ran under a scheduler that was killed is run again within a minute of its successor's start, not of five
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    # a new project's DAG file is seen after seconds, not after five minutes
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "5",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__API__INSTANCE_NAME": "pipelines",
}
"""Settings that do not depend on the machine: the same in the embedded stack and in docker/compose.yaml."""


def airflow_environment(settings: Settings, ports: Ports, secrets: Secrets) -> dict[str, str]:
    """Airflow's configuration as environment variables: SQLite, tasks on this machine, loopback only, our own secrets."""
    home = settings.home / "airflow"
    return AIRFLOW | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": EXECUTOR,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ports.airflow_url}/execution/",
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


def users(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Who may log in to the embedded Airflow, and in which role: its admin, and those of Airflow's own setting.

    Raises ConfigError for a role that Airflow does not have.
    """
    asked = (os.environ if environ is None else environ).get(USERS, "")
    found = {ADMIN: "admin"}
    for one in filter(None, (part.strip() for part in asked.split(","))):
        user, _, role = one.partition(":")
        if role not in ROLES or (user == ADMIN and role != "admin"):
            raise ConfigError(f"{USERS} has {one!r}; expected user:role with one of the roles {', '.join(ROLES)}")
        found[user] = role
    return found


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


def metrics_environment(collector: str | None) -> dict[str, str]:
    """Airflow's own metrics go where ours go, by OpenTelemetry; nowhere unless a collector is named.

    Deltas, because tasks are short processes: totals of each of them would overwrite one another.
    """
    if not collector:
        return {}
    return {
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "AIRFLOW__METRICS__LEGACY_NAMES_ON": "False",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": collector,
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_METRIC_EXPORT_INTERVAL": "15000",
    }


def sqlite_environment(database: str) -> dict[str, str]:
    """SQLite has one writer: Airflow's processes wait for it. Drivers of other databases do not know the argument."""
    if not database.startswith("sqlite"):
        return {}
    module = "pipelines.runners.airflow_sqlite"
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": f"{module}.CONNECT",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": f"{module}.CONNECT_ASYNC",
    }


def executor_environment(executor: str) -> dict[str, str]:
    """The scheduler of our own executor sleeps there, where tasks can wake it, and nowhere else."""
    return {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0"} if executor == EXECUTOR else {}


def own_mlflow(settings: Settings) -> bool:
    """Whether the stack runs a tracking server itself: not when the tracking URI already names one."""
    return not settings.tracking.startswith(("http://", "https://"))


def full_environment(
    settings: Settings, ports: Ports, secrets: Secrets, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of the stack's processes. The caller's own AIRFLOW__… variables win over ours."""
    caller = dict(os.environ if environ is None else environ)
    env = caller | airflow_environment(settings, ports, secrets) | platform_environment(settings, ports)
    env |= executor_environment(caller.get("AIRFLOW__CORE__EXECUTOR", EXECUTOR))
    env |= metrics_environment(caller.get("PIPELINES_METRICS"))
    env |= {name: value for name, value in caller.items() if name.startswith(("AIRFLOW__", "OTEL_"))}
    env = sqlite_environment(env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]) | env
    env[USERS] = ",".join(f"{user}:{role}" for user, role in users(caller).items())
    # not on its command line, which every user of the machine can read and which may hold a database's password
    env |= {"MLFLOW_BACKEND_STORE_URI": settings.tracking, "MLFLOW_DEFAULT_ARTIFACT_ROOT": settings.artifacts}
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
        # By default it answers to any name that begins like a private address, such as 10.evil.example, and takes files for a
        # folder that none of our runs uses.
        named = f"{HOST}:{ports.mlflow},localhost:{ports.mlflow}"
        found["mlflow"] = [*server, "--allowed-hosts", named, "--no-serve-artifacts"]
    return found
