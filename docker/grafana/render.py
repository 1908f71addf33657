"""Write the dashboard of the platform: `python docker/grafana/render.py` makes dashboards/pipelines.json anew.

A run sends its numbers once, when it ends, so panels look for the newest within a time that spans several weekly runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "dashboards" / "pipelines.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
_NEWEST = "[30d]"
_WHERE = '{project=~"$project"}'


def newest(name: str, where: str = _WHERE) -> str:
    return f"last_over_time({name}{where}{_NEWEST})"


def where(**labels: str) -> str:
    told = "".join(f', {name}="{value}"' for name, value in labels.items())
    return f'{{project=~"$project"{told}}}'


class Board:
    """Panels in rows, three side by side."""

    def __init__(self) -> None:
        self.panels: list[dict[str, Any]] = []
        self._x = self._y = 0

    def row(self, title: str) -> None:
        self._y += 8 if self._x else 0
        self._x = 0
        self._add({"type": "row", "title": title, "collapsed": False, "panels": []}, 24, 1)
        self._x, self._y = 0, self._y + 1

    def panel(
        self, kind: str, title: str, queries: dict[str, str], unit: str = "short", about: str = "", steps: list[Any] | None = None
    ) -> None:
        """A panel with one query a legend."""
        targets = [
            {"refId": chr(65 + n), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "instant": kind == "stat"}
            for n, (legend, expr) in enumerate(queries.items())
        ]
        defaults: dict[str, Any] = {"unit": unit}
        if steps:
            defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": c, "value": v} for v, c in steps]}
        body = {"type": kind, "title": title, "description": about, "datasource": SOURCE, "targets": targets}
        self._add(body | {"fieldConfig": {"defaults": defaults, "overrides": []}}, 8, 8)

    def _add(self, panel: dict[str, Any], width: int, height: int) -> None:
        place = {"h": height, "w": width, "x": self._x, "y": self._y}
        self.panels.append({"id": len(self.panels) + 1, "gridPos": place, **panel})
        self._x += width
        if self._x >= 24 and height > 1:
            self._x, self._y = 0, self._y + height


def board() -> dict[str, Any]:
    made = Board()
    made.row("Models")
    made.panel(
        "timeseries",
        "Champion: headline metric with its interval",
        {
            f"{{{{project}}}} {{{{metric}}}} {bound}": newest("pipelines_champion_score", where(bound=bound))
            for bound in ("value", "low", "high")
        },
    )
    made.panel("stat", "Champion's version", {"{{project}}": newest("pipelines_champion_version")})
    made.panel(
        "stat",
        "Champion's age",
        {"{{project}}": f"time() - {newest('pipelines_champion_promoted')}"},
        "s",
        "Since the version was promoted",
    )
    made.panel("timeseries", "Decisions so far", {"{{project}} {{kind}}": newest("pipelines_decisions")})
    made.panel("stat", "Newest verdict: drift", {"{{project}}": newest("pipelines_drift")}, steps=[(None, "green"), (1, "red")])
    made.panel("timeseries", "Smallest p-value of the newest verdict", {"{{project}}": newest("pipelines_drift_p_value")})
    made.panel("timeseries", "Drift alarms", {"{{project}} {{state}}": newest("pipelines_alarms")})
    made.row("Runs")
    made.panel(
        "stat",
        "Newest run failed",
        {"{{project}} {{graph}}": newest("pipelines_run_failed")},
        steps=[(None, "green"), (1, "red")],
    )
    made.panel("timeseries", "Time at work, all stages", {"{{project}} {{graph}}": newest("pipelines_run_seconds")}, "s")
    made.panel(
        "timeseries",
        "Stages that were not reused",
        {"{{project}} {{stage}}": newest("pipelines_stage_seconds", where(reused="false"))},
        "s",
    )
    made.panel("timeseries", "Rows", {"{{project}} {{graph}} {{part}}": newest("pipelines_rows")})
    made.row("Airflow")
    made.panel(
        "timeseries", "Scheduler's heartbeats a minute", {"heartbeats": "60 * rate(airflow_scheduler_heartbeat_total[5m])"}
    )
    made.panel(
        "timeseries",
        "Executor",
        {
            "running": "sum(airflow_executor_running_tasks)",
            "queued": "sum(airflow_executor_queued_tasks)",
            "open slots": "sum(airflow_executor_open_slots)",
        },
    )
    made.panel(
        "timeseries",
        "Task instances an hour",
        {
            "successful": "sum(increase(airflow_ti_successes_total[1h]))",
            "failed": "sum(increase(airflow_ti_failures_total[1h]))",
        },
    )
    for state in ("success", "failed"):
        median = f"histogram_quantile(0.5, sum by (dag_id) (rate(airflow_dagrun_duration_{state}_milliseconds[1d])))"
        made.panel("timeseries", f"DAG runs that ended in {state}: median duration", {"{{dag_id}}": median}, "ms")
    made.panel(
        "timeseries",
        "Delay of scheduled DAG runs, median",
        {"{{dag_id}}": "histogram_quantile(0.5, sum by (dag_id) (rate(airflow_dagrun_schedule_delay_milliseconds[1d])))"},
        "ms",
    )
    made.panel("stat", "DAG files with import errors", {"files": "sum(airflow_dag_processing_import_errors)"})
    projects = {
        "name": "project",
        "label": "Project",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(pipelines_run_failed, project)", "refId": "projects"},
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }
    return {
        "uid": "pipelines",
        "title": "Pipelines",
        "schemaVersion": 41,
        "time": {"from": "now-30d", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [projects]},
        "panels": made.panels,
    }


def main() -> None:
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(board(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
