"""Bytes from a URL or a folder into a file, giving up on an unreachable or crawling place within seconds.

One attempt, no retries: whoever calls has another source to try, and an engine above retries the whole stage.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass, url2pathname

from pipelines.core.errors import DataError
from pipelines.core.execution import Progress
from pipelines.core.files import disk_errors
from pipelines.core.scrub import without_password

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 3.0
"""For the name look-up, and again for the connection."""
READ_SECONDS = 10.0
"""Longest silence while bytes arrive, and longest wait for an answer's head."""
SLOWEST = 4096
"""Bytes a second, over READ_SECONDS: what comes more slowly is given up. A telephone line brings more, however long it takes."""
_CHUNK = 1 << 18


class Unreachable(Exception):
    """A source did not give the file; the text says why."""


def copy(address: str, target: Path, progress: Progress, size: int | None = None) -> None:
    """Write what is at `address` (http, https, file or a path) to `target`.

    Raises Unreachable, and DataError as soon as a download is larger than `size`, the bytes it is known to have.
    """
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        _download(address, target, progress, size)
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


def _download(url: str, target: Path, progress: Progress, size: int | None) -> None:
    import httpx

    name = url.rpartition("/")[2]
    _look_up(url)
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=True, max_redirects=5) as client,
            _answer(client, url) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise Unreachable(f"{url}: HTTP {response.status_code} {response.reason_phrase}".rstrip())
            if response.headers.get("content-type", "").startswith("text/html"):
                raise Unreachable(f"{url}: a web page came in place of the file (a login or proxy page?)")
            expected = int(response.headers.get("content-length", 0)) or size or 0
            done, speed = 0, _Speed(url)
            _refuse_more(url, expected, size)
            with disk_errors(f"downloading {name}"), target.open("wb") as out:
                for chunk in response.iter_bytes():  # as they come: waiting for a chunk of a given size would hide a crawl
                    out.write(chunk)
                    done += len(chunk)
                    _refuse_more(url, done, size)
                    speed.check(done)
                    progress(done, max(expected, done), f"downloading {name}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{url}: {_reason(error)}") from error


@contextmanager
def _answer(client: httpx.Client, url: str) -> Iterator[httpx.Response]:
    """The answer once its head is there. A head that comes byte by byte breaks no silence: the clock ends it."""
    import httpx

    late = threading.Event()

    def give_up() -> None:
        late.set()
        client.close()

    clock = threading.Timer(READ_SECONDS + CONNECT_SECONDS, give_up)
    clock.daemon = True
    clock.start()
    try:
        response = client.send(client.build_request("GET", url, headers={"Accept-Encoding": "identity"}), stream=True)
    except (httpx.HTTPError, RuntimeError) as error:
        if late.is_set():
            raise Unreachable(f"{url}: no whole answer within {clock.interval:g} s") from error
        raise
    finally:
        clock.cancel()
    with closing(response):
        yield response


class _Speed:
    """Gives up a download of which too little came in READ_SECONDS."""

    def __init__(self, url: str) -> None:
        self.url, self.since, self.had = url, time.monotonic(), 0

    def check(self, done: int) -> None:
        """Told of the bytes so far whenever some came. Raises Unreachable."""
        seconds = time.monotonic() - self.since
        if seconds < READ_SECONDS:
            return
        if (speed := (done - self.had) / seconds) < SLOWEST:
            raise Unreachable(
                f"{self.url}: given up after {done:,} bytes: {speed:,.0f} bytes a second for {seconds:.0f} s, "
                f"expected at least {SLOWEST:,}"
            )
        self.since, self.had = time.monotonic(), done


def _refuse_more(url: str, found: int, size: int | None) -> None:
    if size is not None and found > size:
        raise DataError(
            f"{without_password(url)} is another file than the catalog declares: expected {size:,} bytes, found {found:,} or more; "
            "nothing of it was read. Check that place, or choose another source with ingest.source"
        )


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
