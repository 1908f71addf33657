"""Bytes from a URL or a folder into a file, giving up on an unreachable place within seconds.

One attempt, no retries: whoever calls has another source to try, and an engine above retries the whole stage.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass, url2pathname

from pipelines.core.execution import Progress
from pipelines.core.files import disk_errors

CONNECT_SECONDS = 3.0
"""For the name look-up, and again for the connection."""
READ_SECONDS = 10.0
"""Longest silence while bytes arrive."""
_CHUNK = 1 << 18


class Unreachable(Exception):
    """A source did not give the file; the text says why."""


def copy(address: str, target: Path, progress: Progress) -> None:
    """Write what is at `address` (http, https, file or a path) to `target`. Raises Unreachable."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        _download(address, target, progress)
    else:
        _copy_file(Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(address), target)


def _copy_file(source: Path, target: Path) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise Unreachable(f"{source}: {error.strerror or error}") from error
    with stream, disk_errors(f"copying {source.name}"), target.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)


def _download(url: str, target: Path, progress: Progress) -> None:
    import httpx

    name = url.rpartition("/")[2]
    _look_up(url)
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=True, max_redirects=5) as client,
            client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise Unreachable(f"{url}: HTTP {response.status_code} {response.reason_phrase}".rstrip())
            if response.headers.get("content-type", "").startswith("text/html"):
                raise Unreachable(f"{url}: a web page came in place of the file (a login or proxy page?)")
            expected = int(response.headers.get("content-length", 0))
            done = 0
            with disk_errors(f"downloading {name}"), target.open("wb") as out:
                for chunk in response.iter_bytes(_CHUNK):
                    out.write(chunk)
                    done += len(chunk)
                    progress(done, max(expected, done), f"downloading {name}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{url}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error) or {"ConnectTimeout": f"no connection within {CONNECT_SECONDS:g} s"}.get(
        type(error).__name__, type(error).__name__
    )


def _look_up(url: str) -> None:
    """Resolve the host (or its proxy's) within CONNECT_SECONDS: a resolver may take half a minute, and has no time limit."""
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    host = (urlsplit(proxy).hostname if proxy else parts.hostname) or ""
    failure: list[str] = [f"{host}: no answer from name resolution within {CONNECT_SECONDS:g} s"]

    def resolve() -> None:
        try:
            socket.getaddrinfo(host, None)
            failure.clear()
        except OSError as error:
            failure[0] = f"{host}: {error.strerror or error}"

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if failure:
        raise Unreachable(failure[0])
