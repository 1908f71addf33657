"""Sources in their order, and every way in which one can fail."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.config import Ingest
from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.settings import Settings
from pipelines.data import sources, transport
from pipelines.data.catalog import Entry, Simulator

CONTENT = b"a,b\n1,2\n3,4\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Web = Any  # the fixture's type, in conftest.py


def fetch(settings: Settings, **ingest: object) -> sources.Fetched:
    return sources.fetch(Ingest.model_validate({"dataset": "demo", **ingest}), settings, seed=1)


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("pipelines_test_simulator")

    def simulate(folder: Path, rows: int, seed: int, drift: dict[str, float]) -> None:
        (folder / "demo.csv").write_text(f"{rows} {seed} {drift}")

    module.simulate = simulate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipelines_test_simulator", module)


# order ------------------------------------------------------------------------------------------------------------------


def test_the_public_url_comes_first_and_the_cache_needs_no_network(web: Web, entry: Entry, mirrored: Settings) -> None:
    web.answers["/x.csv"] = CONTENT
    first, again = fetch(mirrored), fetch(mirrored)
    assert (first.source, first.origin) == ("url", f"{web.url}/x.csv")
    assert first.files == {"demo.csv": SHA256}
    assert (first.folder / "demo.csv").read_bytes() == CONTENT
    assert first.notes == ["Two rows."]
    assert web.asked == ["/x.csv"]
    assert (again.source, again.origin, again.files, again.tried) == (first.source, first.origin, first.files, first.tried)


def test_the_mirror_is_next_and_the_result_says_why(web: Web, entry: Entry, mirrored: Settings) -> None:
    found, again = fetch(mirrored), fetch(mirrored)
    assert found.source == "mirror"
    assert found.tried == [f"url: {web.url}/x.csv: HTTP 404 Not Found"]
    assert again.tried == found.tried, "a cached answer tells the same story"


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_mirror_may_be_a_url(scheme: str, web: Web, entry: Entry, mirrored: Settings) -> None:
    web.answers["/m/demo/y.csv"] = CONTENT
    mirror = f"file://{mirrored.mirror}" if scheme == "file" else f"{web.url}/m/"
    assert fetch(mirrored.model_copy(update={"mirror": mirror}), source="mirror").files == {"demo.csv": SHA256}


def test_the_password_of_a_mirror_is_no_part_of_where_the_data_came_from(web: Web, entry: Entry, settings: Settings) -> None:
    place = web.url.removeprefix("http://")
    mirror = settings.model_copy(update={"mirror": f"http://ada:hunter2hunter2@{place}"})
    with pytest.raises(InfrastructureError) as refused:
        fetch(mirror, source="mirror")
    assert "hunter2" not in str(refused.value)
    web.answers["/demo/y.csv"] = CONTENT
    found = fetch(mirror, source="mirror")
    assert found.origin == f"http://ada:***@{place}/demo/y.csv"
    kept = [file.read_text(errors="replace") for file in settings.home.rglob("*") if file.is_file()]
    assert not any("hunter2" in text for text in kept)


def test_the_simulator_is_last_and_labelled(web: Web, entry: Entry, settings: Settings, simulator: None) -> None:
    found = fetch(settings)
    assert found.source == "simulator"
    assert found.notes[0].startswith("SIMULATED: 5 rows drawn by pipelines_test_simulator:simulate with seed 1; no real data")
    assert found.tried == [f"url: {web.url}/x.csv: HTTP 404 Not Found", "mirror: PIPELINES_MIRROR is not set"]
    assert (found.folder / "demo.csv").read_text() == "5 1 {}"


def test_one_source_can_be_asked_for(web: Web, entry: Entry, mirrored: Settings, simulator: None) -> None:
    web.answers["/x.csv"] = CONTENT
    assert fetch(mirrored, source="mirror").source == "mirror"
    assert fetch(mirrored, source="url").source == "url", "the mirror's copy is no answer when the URL is asked for"
    assert fetch(mirrored, source="simulator").source == "simulator"
    with pytest.raises(ConfigError, match="'package', which 'demo' does not offer; it has url, mirror, simulator"):
        fetch(mirrored, source="package")


def test_drift_needs_a_simulator(entry: Entry, mirrored: Settings, simulator: None) -> None:
    assert "with planted drift {'price': 0.5}" in fetch(mirrored, source="simulator", drift={"price": 0.5}).notes[0]
    with pytest.raises(ConfigError, match=r"only a simulator can plant; set ingest.source to 'simulator'"):
        fetch(mirrored, drift={"price": 0.5})


def test_a_project_may_bring_its_own_simulator(settings: Settings, simulator: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipelines.projects.demo.simulator", sys.modules["pipelines_test_simulator"])
    found = sources.fetch(Ingest(simulator="pipelines.projects.demo.simulator:simulate", rows=3), settings, seed=2)
    assert found.source == "simulator"
    assert (found.folder / "demo.csv").read_text() == "3 2 {}"


def test_a_simulator_that_is_not_there_is_wrong_use(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"there is no module 'pipelines.projects.churn.gone' for 'draw'; check where"):
        sources.fetch(Ingest(simulator="pipelines.projects.churn.gone:draw"), settings, seed=2)
    with pytest.raises(ConfigError, match=r"module 'pipelines.projects.churn.simulator' has no 'draw'; check where"):
        sources.fetch(Ingest(simulator="pipelines.projects.churn.simulator:draw"), settings, seed=2)


def test_a_stand_in_is_called_one(settings: Settings, entry: Entry, simulator: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Simulator(function="pipelines_test_simulator:simulate", rows=5, stand_in="digits in place of demos")
    monkeypatch.setattr(sources, "entry", lambda *_: entry.model_copy(update={"simulator": real}))
    found = fetch(settings, source="simulator")
    assert found.source == "stand-in"
    assert found.notes == ["STAND-IN: digits in place of demos; 5 rows drawn by pipelines_test_simulator:simulate with seed 1."]


# resources --------------------------------------------------------------------------------------------------------------


def test_a_resource_is_had_like_a_data_set(web: Web, entry: Entry, mirrored: Settings, tmp_path: Path) -> None:
    found = sources.fetch_resource("demo", mirrored, tmp_path / "into")
    assert found.source == "mirror"
    assert [path.read_bytes() for path in (tmp_path / "into").iterdir()] == [CONTENT]
    web.answers["/x.csv"] = b"other"
    Path(mirrored.mirror or "", "demo", "y.csv").write_bytes(CONTENT + b"!")
    assert sources.fetch_resource("demo", mirrored, tmp_path / "again").files == found.files, "the cache needs no source"


def test_a_resource_is_never_simulated(entry: Entry, settings: Settings, simulator: None, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"no source of 'demo' can be reached:\n  - url: .*\n  - mirror: .* not set\n"):
        sources.fetch_resource("demo", settings, tmp_path)


def test_a_resource_with_a_wrong_checksum(web: Web, entry: Entry, settings: Settings, tmp_path: Path) -> None:
    web.answers["/x.csv"] = b"not weights\n"
    with pytest.raises(DataError, match=r"demo\.csv has the wrong checksum"):
        sources.fetch_resource("demo", settings, tmp_path)


# failures ---------------------------------------------------------------------------------------------------------------


def test_a_wrong_checksum_stops_everything(web: Web, entry: Entry, mirrored: Settings) -> None:
    web.answers["/x.csv"] = b"a,b\n1,3\n3,4\n"
    with pytest.raises(DataError) as caught:
        fetch(mirrored)
    message = str(caught.value)
    assert f"demo.csv has the wrong checksum: expected sha256 {SHA256}, found " in message
    assert f"(12 bytes) at {web.url}/x.csv; nothing of it was read" in message
    assert "choose another source with ingest.source" in message
    assert not list((mirrored.home / "cache" / "downloads").iterdir()), "nothing of it is kept"


def test_a_truncated_download_is_no_answer(web: Web, entry: Entry, mirrored: Settings) -> None:
    web.answers["/x.csv"], web.headers["Content-Length"] = CONTENT[:5], str(len(CONTENT))
    found = fetch(mirrored)
    assert found.source == "mirror"
    assert "peer closed connection" in found.tried[0]


def test_a_web_page_in_place_of_the_file_is_no_answer(web: Web, entry: Entry, mirrored: Settings) -> None:
    web.answers["/x.csv"], web.headers["Content-Type"] = b"<html>log in</html>", "text/html; charset=utf-8"
    assert "a web page came in place of the file" in fetch(mirrored).tried[0]


def test_when_none_answers_each_is_named(web: Web, entry: Entry, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "entry", lambda *_: entry.model_copy(update={"simulator": None}))
    with pytest.raises(InfrastructureError) as caught:
        fetch(settings.model_copy(update={"mirror": "/nowhere/at/all"}))
    assert str(caught.value).splitlines() == [
        "no source of 'demo' can be reached:",
        f"  - url: {web.url}/x.csv: HTTP 404 Not Found",
        "  - mirror: /nowhere/at/all/demo/y.csv: No such file or directory",
        "Set PIPELINES_MIRROR to a folder or URL that holds the files, or for a data set ingest.path to files of your own, and run again",
    ]


def test_a_resolver_that_does_not_answer_is_given_up(
    web: Web, entry: Entry, mirrored: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: time.sleep(5))
    started = time.monotonic()
    found = fetch(mirrored)
    assert time.monotonic() - started < 2
    assert found.tried == ["url: 127.0.0.1: no answer from name resolution within 0.2 s"]


def test_a_server_that_does_not_answer_is_given_up(entry: Entry, mirrored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = entry.files[0].model_copy(update={"urls": (f"http://127.0.0.1:{silent.getsockname()[1]}/x",)})
        monkeypatch.setattr(sources, "entry", lambda *_: entry.model_copy(update={"files": (file,)}))
        assert "timed out" in fetch(mirrored).tried[0]


@pytest.fixture
def drip(monkeypatch: pytest.MonkeyPatch, entry: Entry) -> Iterator[Callable[..., None]]:
    """``drip(pieces, pause)``: the entry's URL leads to a server that sends one piece after another, with pauses in seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(pieces: Sequence[bytes], pause: float) -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1 << 16)
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)

        def start(pieces: Sequence[bytes], pause: float) -> None:
            threading.Thread(target=serve, args=(pieces, pause), daemon=True).start()
            file = entry.files[0].model_copy(update={"urls": (f"http://127.0.0.1:{server.getsockname()[1]}/x",)})
            monkeypatch.setattr(sources, "entry", lambda *_: entry.model_copy(update={"files": (file,)}))

        yield start


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_server_that_drips_is_given_up(drip: Callable[..., None], mirrored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte breaks the silence, so that waiting for one never ends."""
    monkeypatch.setattr(transport, "READ_SECONDS", 0.5)
    drip([HEAD, *[b"a"] * 100], 0.1)
    started = time.monotonic()
    found = fetch(mirrored)
    assert found.source == "mirror"
    assert "given up after" in found.tried[0]
    assert "bytes a second for" in found.tried[0]
    assert time.monotonic() - started < 3


def test_a_server_that_drips_the_head_of_its_answer_is_given_up(
    drip: Callable[..., None], mirrored: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.4)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    drip([b"HTTP/1.1 200 OK\r\n", *[b"X"] * 100], 0.1)
    started = time.monotonic()
    found = fetch(mirrored)
    assert found.source == "mirror"
    assert "no whole answer within 0.6 s" in found.tried[0]
    assert time.monotonic() - started < 3


def test_a_slow_download_that_makes_progress_goes_on(
    drip: Callable[..., None], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.2)
    monkeypatch.setattr(transport, "SLOWEST", 2)
    drip([HEAD, *[bytes([one]) for one in CONTENT]], 0.1)
    found = fetch(settings)
    assert (found.source, found.files) == ("url", {"demo.csv": SHA256})


@pytest.mark.parametrize("told", [True, False])
def test_a_body_larger_than_the_catalog_declares_is_not_taken(told: bool, drip: Callable[..., None], mirrored: Settings) -> None:
    """Whether or not the server says beforehand how much it sends, it stops at the first byte too many."""
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 99000000\r\n\r\n") if told else HEAD
    drip([head, *[b"x" * (1 << 16)] * 1500], 0)
    with pytest.raises(
        DataError, match=r"another file than the catalog declares: expected 12 bytes, found [\d,]+ or more"
    ) as refused:
        fetch(mirrored)
    found = int(str(refused.value).partition("found ")[2].partition(" or")[0].replace(",", ""))
    assert found == 99_000_000 if told else found < 1 << 20
    assert not list((mirrored.home / "cache" / "downloads").iterdir()), "nothing of it is kept"


def test_no_room_in_the_cache(web: Web, entry: Entry, mirrored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(address: str, target: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(transport, "copy", full)
    with pytest.raises(
        InfrastructureError, match=r"caching demo.csv in .*downloads failed: No space left.*the disk is full; free"
    ):
        fetch(mirrored)


def test_a_damaged_cache_entry_is_fetched_again(web: Web, entry: Entry, mirrored: Settings) -> None:
    web.answers["/x.csv"] = CONTENT
    fetch(mirrored)
    (mirrored.home / "cache" / "downloads" / SHA256).write_bytes(b"a,b\n")
    assert fetch(mirrored).files == {"demo.csv": SHA256}
    assert web.asked == ["/x.csv", "/x.csv"]


# own files --------------------------------------------------------------------------------------------------------------


def test_a_file_of_ones_own_takes_the_place_of_the_catalogs(entry: Entry, settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "mine.csv"
    own.write_bytes(CONTENT)
    found = fetch(settings, path=str(own))
    assert (found.source, found.origin, found.files) == ("path", str(own), {"demo.csv": SHA256})
    assert sources.fetch(Ingest(path=str(own)), settings, seed=1).files == {"mine.csv": SHA256}


def test_a_file_of_another_format_cannot_take_the_place_of_the_catalogs(entry: Entry, settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "mine.parquet"
    own.write_bytes(CONTENT)
    with pytest.raises(
        DataError, match=r"mine\.parquet', but 'demo\.csv', whose place it takes, is read as \.csv; save it in that format"
    ):
        fetch(settings, path=str(own))


def test_a_folder_of_ones_own_is_taken_as_it_is(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "own" / "deep").mkdir(parents=True)
    (tmp_path / "own" / "deep" / "x").write_bytes(CONTENT)
    assert sources.fetch(Ingest(path=str(tmp_path / "own")), settings, seed=1).files == {"deep/x": SHA256}


def test_a_path_without_files(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"ingest.path is '.*gone.csv', and there is no such file or folder \(.*\); mend the path"
    ):
        sources.fetch(Ingest(path=str(tmp_path / "gone.csv")), settings, seed=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="a folder without files; expected at least one"):
        sources.fetch(Ingest(path=str(tmp_path / "empty")), settings, seed=1)
