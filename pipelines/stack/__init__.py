"""The embedded stack: Airflow and MLflow on loopback, with embedded databases, started and stopped as one."""

from __future__ import annotations

from pipelines.stack.follow import Failure, Followed, trigger_and_follow
from pipelines.stack.lifecycle import Stack, airflow, down, running, status, up

__all__ = ["Failure", "Followed", "Stack", "airflow", "down", "running", "status", "trigger_and_follow", "up"]
