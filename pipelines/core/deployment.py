"""What a project says in deployment.yaml: how it is operated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pipelines.core.config import Fault, Strict, faults_of, listing, read_yaml, validated
from pipelines.core.errors import ConfigError, did_you_mean


class Retry(Strict):
    """Retries of infrastructure errors; bad data is never retried."""

    attempts: int = Field(3, ge=0)
    delay: timedelta = Field(timedelta(seconds=10), ge=timedelta(0))
    """Before the first retry; doubled each time."""
    longest: timedelta = Field(timedelta(minutes=10), ge=timedelta(0))


class Retraining(Strict):
    """When drift retrains. Times are those of the data (`as_of`)."""

    cooldown: timedelta = Field(timedelta(days=3), ge=timedelta(0))
    """No alarm starts a retraining sooner than this after the last one that did; ISO 8601, such as P3D."""
    per_week: int = Field(1, ge=0)
    """Most retrainings on drift within seven days."""


class Approval(Strict):
    """A person is asked before a promotion is carried out. `approval: required` is short for these defaults."""

    within: timedelta = Field(timedelta(days=1), gt=timedelta(0))
    """Nobody's answer within this time is a rejection; ISO 8601, such as P1D."""
    reviewers: tuple[str, ...] = ()
    """Names of the users who may answer; none: everybody who may operate the DAG."""


AlertKind = Literal["failure", "rejection", "drift", "deadline"]


class Alerts(Strict):
    """Which messages people get; where they go is the installation's business (`PIPELINES_ALERTS`)."""

    tell: tuple[AlertKind, ...] = ("failure", "rejection", "drift", "deadline")
    runbook: str = "docs/runbook.md"
    """Page that says what to do, with a section for each kind."""


class Retention(Strict):
    """Which runs are kept whole. Beside them all that the history refers to stays, however old."""

    runs: int = Field(20, ge=0)
    """So many of the newest."""
    within: timedelta = Field(timedelta(days=90), ge=timedelta(0))
    """And all that were at work within this time; ISO 8601, such as P90D."""


Tag = Annotated[str, Field(min_length=1, max_length=100)]
"""As long as Airflow lets a DAG's tag be."""


class Deployment(Strict):
    """All of deployment.yaml: what operating a project needs to know."""

    owner: str
    title: str
    description: str
    tags: tuple[Tag, ...] = ()
    system: Tag | None = None
    """Name of the system of several projects this one is part of."""
    schedule: str | None = None
    """Cron (UTC) of the training DAG; none means by hand or by drift only."""
    monitoring: str | None = None
    """Cron (UTC) of the monitoring DAG."""
    retraining: Retraining | None = None
    """Retraining on drift; None: drift is reported and people decide."""
    approval: Approval | None = None
    """Who must say yes before a promotion; None: what passes the gates is promoted."""
    deadline: timedelta | None = Field(None, gt=timedelta(0))
    """Longest time from the start of a training run to its end before people are told; ISO 8601, such as PT2H."""
    alerts: Alerts = Alerts()
    retention: Retention = Retention()
    retry: Retry = Retry()
    profile: str = "full"
    """Profile of scheduled runs."""
    at_once: int | None = Field(None, gt=0)
    """How many candidates are trained side by side; 1 where each of them uses all cores. None: as many as the executor lets."""

    @field_validator("owner", "title", "description")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected some text, for people who meet the project in Airflow and MLflow")
        return value

    @field_validator("approval", mode="before")
    @classmethod
    def _in_short(cls, value: Any) -> Any:
        return {} if value == "required" else value


def load_deployment(path: Path) -> Deployment:
    """Read deployment.yaml. Raises ConfigError that names every fault, crons included."""
    raw = read_yaml(path)
    if wrong := cron_faults(raw):
        raise ConfigError(listing(str(path), [*faults_of(Deployment, raw), *wrong]))
    return validated(Deployment, raw, str(path))


def cron_faults(deployment: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with the crons of an unchecked deployment.yaml."""
    crons = {key: deployment.get(key) for key in ("schedule", "monitoring")}
    return [
        Fault((key,), f"{cron!r} is not a cron expression ({fault})")
        for key, cron in crons.items()
        if isinstance(cron, str) and cron and (fault := _cron_fault(cron))
    ]


def _cron_fault(cron: str) -> str | None:
    if cron.startswith("@"):
        known = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
        return None if cron in known else f"unknown preset; {did_you_mean(cron, known)}"
    if len(cron.split()) != 5:
        return f"expected five fields, found {len(cron.split())}"
    from croniter import croniter

    return None if croniter.is_valid(cron) else "a field is out of range"
