"""Which parts of the stack answer."""

from __future__ import annotations

import httpx

from pipelines.stack.environment import Ports

_PARTS = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}
"""Airflow's names in its health report to ours."""


def healthy(ports: Ports, *, mlflow: bool, timeout: float = 2) -> set[str]:
    """Names of the processes that say they are well."""
    found = set()
    with httpx.Client(timeout=timeout, trust_env=False) as client:
        try:
            report = client.get(f"{ports.airflow_url}/api/v2/monitor/health").raise_for_status().json()
            found.add("api-server")
            found.update(ours for theirs, ours in _PARTS.items() if (report.get(theirs) or {}).get("status") == "healthy")
        except (httpx.HTTPError, ValueError):
            pass
        if mlflow:
            try:
                client.get(f"{ports.mlflow_url}/health").raise_for_status()
                found.add("mlflow")
            except httpx.HTTPError:
                pass
    return found
