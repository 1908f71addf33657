"""Where things live. Every value has an embedded default and one environment variable that moves it elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: the folder that holds `pipelines/`, `dags/` and `dvc.yaml`."""


class Settings(BaseModel):
    """Paths and URLs of one installation. `PIPELINES_HOME` moves everything that has no setting of its own."""

    model_config = ConfigDict(frozen=True)

    home: Path
    """Everything the platform writes: store, caches, databases, logs (`PIPELINES_HOME`)."""
    data: Path
    """DVC's workspace: snapshots and what `dvc repro` writes (`PIPELINES_DATA`)."""
    store: str
    """URL of the artifact store, a folder or s3://bucket/prefix (`PIPELINES_STORE`)."""
    tracking: str
    """MLflow tracking URI (`MLFLOW_TRACKING_URI`); the embedded database by default, so no server is needed."""
    artifacts: str
    """Where MLflow puts run artifacts, a folder or s3:// URL (`PIPELINES_MLFLOW_ARTIFACTS`)."""
    remote: str
    """DVC remote of the raw snapshots, a folder or s3:// URL (`PIPELINES_DVC_REMOTE`)."""
    mirror: str | None
    """Folder or URL with the files of the data catalog, tried after the public URL (`PIPELINES_MIRROR`)."""
    projects: tuple[Path, ...]
    """Folders with projects of one's own, besides the ones shipped here (`PIPELINES_PROJECTS`, separated by ':')."""
    study: str | None
    """Optuna storage URL (`PIPELINES_STUDY`); a journal file per study under `home` when not set."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        env = os.environ if environ is None else environ
        home = _folder(env.get("PIPELINES_HOME") or str(ROOT / ".pipelines"))
        return cls(
            home=home,
            data=_folder(env.get("PIPELINES_DATA") or str(ROOT / "data")),
            store=_expanded(env.get("PIPELINES_STORE")) or str(home / "store"),
            tracking=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
            artifacts=_expanded(env.get("PIPELINES_MLFLOW_ARTIFACTS")) or str(home / "mlflow-artifacts"),
            remote=_expanded(env.get("PIPELINES_DVC_REMOTE")) or str(home / "dvc-remote"),
            mirror=_expanded(env.get("PIPELINES_MIRROR")) or None,
            projects=tuple(_folder(p) for p in env.get("PIPELINES_PROJECTS", "").split(os.pathsep) if p),
            study=env.get("PIPELINES_STUDY") or None,
        )


def _expanded(text: str | None) -> str:
    """A folder or URL with `~` spelt out, which a shell leaves alone inside quotes, after ':' and in files of settings."""
    return os.path.expanduser(text or "")  # noqa: PTH111  # Path.expanduser raises for a user nobody knows


def _folder(text: str) -> Path:
    return Path(_expanded(text)).absolute()


def quiet_environment(environ: dict[str, str] | None = None) -> None:
    """Switch off the telemetry of every library we use, threads that spin while they wait, and MLflow's long patience and
    chatter, in `environ` (this process by default). Threads obey only when their library is loaded afterwards.
    """
    env = os.environ if environ is None else environ
    for name, value in (NO_TELEMETRY | NO_SPINNING | NO_PATIENCE).items():
        env.setdefault(name, value)


NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "FEAST_USAGE": "False",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "SCARF_NO_ANALYTICS": "true",
}

NO_SPINNING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""OpenMP's threads sleep while they wait for each other. Spinning, the default, is a little quicker on idle cores; where another
process wants the core, a network with two threads becomes ten times slower than with one."""

NO_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow's client retries for four minutes by default; here whoever called retries, with backoff, and says so."""
