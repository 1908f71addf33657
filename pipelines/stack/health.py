"""Which parts of the stack answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import httpx

from pipelines.stack.environment import Ports
from pipelines.stack.processes import Started

_PARTS = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}
"""Airflow's names in its health report to ours."""


def healthy(ports: Ports, processes: Iterable[Started], *, mlflow: bool, timeout: float = 2) -> set[str]:
    """Names of the processes that say they are well.

    A heartbeat from before a process was started is its predecessor's, which Airflow goes on reporting for half a minute.
    """
    began = {process.name: process.at for process in processes}
    found = set()
    with httpx.Client(timeout=timeout, trust_env=False) as client:
        try:
            report = client.get(f"{ports.airflow_url}/api/v2/monitor/health").raise_for_status().json()
            # the part that tasks talk to is built at its first request, which takes seconds: now, not in the first task
            client.get(f"{ports.airflow_url}/execution/health").raise_for_status()
            found.add("api-server")
            found.update(ours for theirs, ours in _PARTS.items() if _beats(report.get(theirs) or {}, theirs, began.get(ours, 0)))
        except (httpx.HTTPError, ValueError):
            pass
        if mlflow:
            try:
                client.get(f"{ports.mlflow_url}/health").raise_for_status()
                found.add("mlflow")
            except httpx.HTTPError:
                pass
    return found


def _beats(report: Mapping[str, Any], part: str, since: float) -> bool:
    beat = report.get(f"latest_{part}_heartbeat")
    return report.get("status") == "healthy" and (beat is None or datetime.fromisoformat(beat).timestamp() >= since)
