"""Who holds a run that MLflow shows as RUNNING, and whether the holder is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import psutil

from pipelines.core.run import Run

LEASE = timedelta(hours=1)
"""How long a run may go without a word when its holder cannot be looked at; renewed while a stage is at work, and by each."""

RENEWED = timedelta(minutes=5)
"""A lease younger than this is not worth a write."""

HOLDER, UNTIL = "lease.holder", "lease.until"
_SEVERAL = "tasks"


def lease(run: Run, waits: timedelta = timedelta(0)) -> dict[str, str]:
    """Tags that say who holds the run: this process, or, where each stage is a process of its own, time alone.

    `waits` is how long nobody will be at work on it, as while a person is asked.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}" if run.runner == "in_process" else _SEVERAL
    return {HOLDER: holder, UNTIL: (datetime.now(UTC) + waits + LEASE).isoformat(timespec="seconds")}


def is_old(tags: Mapping[str, str]) -> bool:
    """Whether it is time to renew a lease: it has been running, or it was long and what it waited for is over."""
    return not LEASE - RENEWED <= datetime.fromisoformat(tags[UNTIL]) - datetime.now(UTC) <= LEASE


def why_gone(tags: Mapping[str, str], successor: Run | None = None) -> str | None:
    """Why nobody will finish this run any more, or None while somebody may.

    A DAG has one active run (`max_active_runs=1`), so a `successor` from the same DAG proves its predecessor over.
    """
    if HOLDER not in tags:
        return None  # not opened by us
    host, _, process = tags[HOLDER].partition(":")
    if process and host == socket.gethostname():
        pid, _, started = process.partition(":")
        return None if _started(int(pid)) == started else f"process {pid} on {host} ended without closing it"
    if successor and successor.engine.get("dag_id") and tags.get("airflow.dag_id") == successor.engine["dag_id"]:
        return f"run {successor.id} of the same DAG started after it"
    if datetime.fromisoformat(tags[UNTIL]) < datetime.now(UTC):
        return f"nothing was heard of it; its lease ended at {tags[UNTIL]}"
    return None


def _started(pid: int) -> str:
    """When a process started, to tell it from a later one with its number; empty when there is none."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return ""
