"""A server in front of another that fails on purpose: some requests before they arrive, some after they were carried out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Literal

Fault = Literal["before", "after", "slow"]
"""503 without having asked; 500 although it was done, as when an answer is lost; a second late."""


class Flaky(ThreadingHTTPServer):
    """Passes requests on, and lets every `each`-th one fail; `each` 0 lets none."""

    daemon_threads = True

    def __init__(self, host: str, port: int, fault: Fault = "before", each: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.fault, self.each = (host, port), fault, each
        self.asked, self.failed = count(1), 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[Flaky]:
        with self:
            Thread(target=self.serve_forever, daemon=True).start()
            yield self
            self.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Flaky
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self._body()
        hit = bool(self.server.each) and next(self.server.asked) % self.server.each == 0
        self.server.failed += hit
        if hit and self.server.fault == "before":
            return self._answer(503, b"", [])
        if hit and self.server.fault == "slow":
            time.sleep(1)
        behind = HTTPConnection(*self.server.behind, timeout=60)
        with contextlib.closing(behind):
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("transfer-encoding", "expect")}
            behind.request(self.command, self.path, body, headers | {"Content-Length": str(len(body))})
            answer = behind.getresponse()
            content = answer.read()
        if hit and self.server.fault == "after":
            return self._answer(500, b"", [])
        return self._answer(answer.status, content, answer.getheaders())

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        told = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "server", "date") and (
                name.lower() != "content-length" or self.command == "HEAD"
            ):
                self.send_header(name, value)
        if self.command != "HEAD" or "content-length" not in told:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None: ...
