"""Small servers of JSON on loopback."""

from __future__ import annotations

import contextlib
import gzip
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Loopback(ThreadingHTTPServer):
    """A server on a free port of this machine."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve until the end of the block."""
        with self:
            Thread(target=self.serve_forever, daemon=True).start()
            yield
            self.shutdown()


class JsonServer(Loopback, ABC):
    """Answers what is posted to it."""

    def __init__(self) -> None:
        super().__init__(_Handler)

    @abstractmethod
    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and document."""


class _Handler(BaseHTTPRequestHandler):
    server: JsonServer

    def do_POST(self) -> None:
        status, document = self.server.answer(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None: ...


class Collector(Loopback):
    """Takes metrics as OpenTelemetry sends them over HTTP, and keeps the points by name; is away while `up` is false."""

    def __init__(self) -> None:
        super().__init__(_Otlp)
        self.up = True
        self.points: dict[str, list[tuple[dict[str, str], float]]] = {}
        """Labels and value of every point; of a histogram the sum."""

    @property
    def url(self) -> str:
        """For `PIPELINES_METRICS`."""
        return f"http://127.0.0.1:{self.server_port}/v1/metrics"

    def newest(self, name: str, **labels: str) -> float | None:
        """The value that was sent last with these labels among others."""
        found = [value for told, value in self.points.get(name, []) if labels.items() <= told.items()]
        return found[-1] if found else None


class _Otlp(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.up:
            request = ExportMetricsServiceRequest.FromString(
                gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            )
            for resource in request.resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    for point in getattr(metric, metric.WhichOneof("data")).data_points:
                        labels = {one.key: one.value.string_value for one in point.attributes}
                        value = point.sum if hasattr(point, "sum") else point.as_double or point.as_int
                        self.server.points.setdefault(metric.name, []).append((labels, float(value)))
        self.send_response(200 if self.server.up else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None: ...


class Webhook(JsonServer):
    """Keeps what it is sent; answers 500 while `up` is false."""

    def __init__(self) -> None:
        super().__init__()
        self.up = True
        self.got: list[dict[str, Any]] = []

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        if self.up:
            self.got.append(body)
        return (200 if self.up else 500), {}

    @property
    def channel(self) -> str:
        """Its address for `PIPELINES_ALERTS`, with a password that nobody is to see."""
        return f"json://someone:hunter2hunter2@127.0.0.1:{self.server_port}/hook"

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.got]
