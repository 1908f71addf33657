"""Sending numbers to a collector by OTLP over HTTP, OpenTelemetry's own protocol, which Airflow's metrics take, too."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable

from pipelines.core.scrub import without_password
from pipelines.metrics.measures import CATALOG, Measure

log = logging.getLogger("pipelines")

COLLECTOR = "PIPELINES_METRICS"
"""URL of the collector's receiver of metrics, such as http://127.0.0.1:4318/v1/metrics; nothing is sent while it is not set."""
_SECONDS = 2.0
"""Longest time a collector that is away may cost."""


def is_on() -> bool:
    return bool(os.environ.get(COLLECTOR))


def push(measure: Callable[[], Iterable[Measure]]) -> bool:
    """Send what is measured, all at once; whether the collector has it. A failure of any kind is logged and not raised."""
    url = os.environ[COLLECTOR]
    try:
        if _export(url, measure()):
            return True
        log.warning("metrics: %s does not take them; the run is none the worse", without_password(url))
    except Exception as error:
        log.warning("metrics: nothing was sent to %s: %s", without_password(url), error)
    return False


def _export(url: str, measures: Iterable[Measure]) -> bool:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
    from opentelemetry.sdk.resources import Resource

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # says the same as we do, with a traceback
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource.create({"service.name": "pipelines"}), shutdown_on_exit=False)
    meter = provider.get_meter("pipelines")
    gauges = {name: meter.create_gauge(name, description=told) for name, told in CATALOG.items()}
    for name, value, labels in measures:
        gauges[name].set(value, dict(labels))
    exporter = OTLPMetricExporter(endpoint=url, timeout=_SECONDS)
    try:
        data = reader.get_metrics_data()
        return data is not None and exporter.export(data, timeout_millis=1000 * _SECONDS) is MetricExportResult.SUCCESS
    finally:
        exporter.shutdown()
        provider.shutdown()
