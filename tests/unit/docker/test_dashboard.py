"""Grafana's dashboard asks for metrics that exist."""

from __future__ import annotations

import importlib.resources
import json
import re
import runpy
from typing import Any

import yaml

from pipelines import metrics
from pipelines.core.settings import ROOT
from pipelines.stack.environment import metrics_environment

FOLDER = ROOT / "docker" / "grafana"
BOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "pipelines.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
_SUFFIX = {"counter": "_total", "gauge": "", "timer": "_milliseconds"}
"""What Prometheus adds to the name of a metric that comes by OTLP, for its kind and unit."""


def as_prometheus(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def of_airflow() -> set[str]:
    """Names that this Airflow says it emits."""
    file = importlib.resources.files("airflow._shared.observability.metrics") / "metrics_template.yaml"
    told = yaml.safe_load(file.read_text())["metrics"]
    return {f"airflow_{as_prometheus(one['name'])}{_SUFFIX[one['type']]}" for one in told}


def queried() -> set[str]:
    asked = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]
    asked += [variable["query"]["query"] for variable in BOARD["templating"]["list"]]
    return {name for text in asked for name in re.findall(r"\b(?:airflow|pipelines)_\w+", text)}


def test_every_metric_that_is_asked_for_is_sent() -> None:
    ours = {as_prometheus(name) for name in metrics.CATALOG}
    asked = queried()
    assert {name for name in asked if name.startswith("airflow_")} <= of_airflow()
    assert {name for name in asked if name.startswith("pipelines_")} == ours, "and each of ours has a panel"
    assert len(asked) > len(ours) + 5


def test_the_file_is_what_its_command_writes() -> None:
    assert runpy.run_path(str(FOLDER / "render.py"))["board"]() == BOARD


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_compose_provides_the_collector_and_the_dashboard_and_off_is_the_default() -> None:
    services = COMPOSE["services"]
    assert services["prometheus"]["profiles"] == services["grafana"]["profiles"] == ["metrics"]
    assert "--web.enable-otlp-receiver" in services["prometheus"]["command"]
    mounted = [volume.partition(":")[0] for one in ("prometheus", "grafana") for volume in services[one]["volumes"]]
    assert all((ROOT / path).exists() for path in mounted if path.startswith("./"))
    source = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"] if "datasource" in panel} == {source["uid"]}
    environment = COMPOSE["x-environment"]
    assert environment["AIRFLOW__METRICS__OTEL_ON"] == "${METRICS:-False}"
    assert environment["PIPELINES_METRICS"].startswith("${METRICS:+http://prometheus:9090/")


def test_compose_and_the_embedded_stack_send_alike() -> None:
    assert metrics_environment(None) == {}
    embedded = metrics_environment("there")
    environment = COMPOSE["x-environment"]
    assert set(embedded) <= set(environment)
    same = set(embedded) - {"AIRFLOW__METRICS__OTEL_ON", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"}
    assert {name: environment[name] for name in same} == {name: embedded[name] for name in same}
