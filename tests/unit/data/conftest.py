"""A small data set in every kind of source, all on this machine."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.core.settings import Settings
from pipelines.data import sources
from pipelines.data.catalog import Entry

CONTENT = b"a,b\n1,2\n3,4\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Web:
    """A web server on loopback. `answers` maps paths to what is sent; `asked` is what was requested."""

    url: str
    answers: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            body = found.answers.get(self.path)
            self.send_response(200 if body is not None else 404)
            for name, value in {"Content-Length": str(len(body or b"")), **found.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Web(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def entry(web: Web, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """One file at a URL and in the mirror, and a simulator. It stands in for the catalog."""
    made = Entry.model_validate(
        {
            "title": "Demo",
            "task": "none",
            "licence": "CC0",
            "rows": 2,
            "files": [
                {
                    "name": "demo.csv",
                    "sha256": SHA256,
                    "bytes": len(CONTENT),
                    "urls": [f"{web.url}/x.csv"],
                    "mirror": "demo/y.csv",
                }
            ],
            "simulator": {"function": "pipelines_test_simulator:simulate", "rows": 5},
            "notes": ["Two rows."],
        }
    )
    monkeypatch.setattr(sources, "entry", lambda *_: made)
    return made


@pytest.fixture
def mirrored(settings: Settings, tmp_path: Path) -> Settings:
    """Settings whose mirror holds the file."""
    file = tmp_path / "mirror" / "demo" / "y.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return settings.model_copy(update={"mirror": str(tmp_path / "mirror")})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No mirror but the one a test gives."""
    return settings.model_copy(update={"mirror": None})
