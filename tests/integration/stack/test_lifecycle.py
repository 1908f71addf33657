"""Up and down with stand-ins for Airflow and MLflow that start at once, so that every mishap can be played through."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil
import pytest
from rich.console import Console

from pipelines import stack
from pipelines.core.discovery import Definition
from pipelines.core.errors import InfrastructureError
from pipelines.core.settings import ROOT, Settings
from pipelines.stack import follow, lifecycle, state
from pipelines.stack import processes as processes_module
from pipelines.stack.environment import Ports
from pipelines.stack.processes import Started
from tests.conftest import find_free_port
from tests.disk import small_disk

if TYPE_CHECKING:
    from pipelines.stack.client import Airflow

pytestmark = pytest.mark.integration

STAND_IN = """
import http.server, json, os, sys
body = json.dumps({part: {"status": "healthy"} for part in ("scheduler", "dag_processor", "triggerer")}).encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *rest): pass
if len(sys.argv) > 2 and sys.argv[2] == "child" and os.fork() == 0:
    import time; time.sleep(600)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def small(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A stack of two small servers and one process that only waits; a database that is there already."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)

    def commands(settings: Settings, ports: Ports) -> dict[str, list[str]]:
        wait = [sys.executable, "-c", "import time; time.sleep(600)"]
        return {
            "mlflow": [sys.executable, str(script), str(ports.mlflow)],
            "api-server": [sys.executable, str(script), str(ports.airflow), "child"],
            "scheduler": wait,
        }

    monkeypatch.setattr(lifecycle, "commands", commands)
    monkeypatch.setattr(lifecycle, "_migrate", lambda *rest: None)
    yield settings
    stack.down(settings, console=console())


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def ports() -> Ports:
    return Ports(airflow=find_free_port(), mlflow=find_free_port())


def processes(settings: Settings) -> tuple[Started, ...]:
    known = state.load(settings.home)
    return known.processes if known else ()


def test_up_twice_is_once_and_down_leaves_nothing(small: Settings) -> None:
    wanted = ports()
    first = stack.up(small, wanted=wanted, console=console())
    assert (first.reused, first.airflow_url) == (False, f"http://127.0.0.1:{wanted.airflow}")
    families = [process for one in processes(small) for process in one.family()]
    assert len(families) == 4, "three processes, and the child of one"
    again = stack.up(small, wanted=wanted, console=console())
    assert again.reused
    assert again.seconds < 1
    assert {one["state"] for one in stack.status(small).values()} == {"healthy"}
    assert stack.down(small, console=console()) == 4
    assert not [process for process in families if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert (stack.status(small), stack.down(small, console=console())) == ({}, 0)


def test_a_busy_port_is_left_to_its_owner(small: Settings) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        busy = owner.getsockname()[1]
        said = console()
        up = stack.up(small, wanted=Ports(airflow=busy, mlflow=find_free_port()), console=said)
    assert up.airflow_url != f"http://127.0.0.1:{busy}"
    assert f"port {busy} is taken by another program; airflow gets port" in said.file.getvalue()  # type: ignore[attr-defined]


def test_a_stack_that_lost_a_process_is_started_anew(small: Settings) -> None:
    stack.up(small, wanted=ports(), console=console())
    before = {one.name: one.pid for one in processes(small)}
    os.kill(before["api-server"], signal.SIGKILL)
    _gone(before["api-server"])
    said = console()
    assert not stack.up(small, wanted=ports(), console=said).reused
    assert "api-server of the running stack died" in said.file.getvalue()  # type: ignore[attr-defined]
    assert not set(before.values()) & {one.pid for one in processes(small)}
    assert not psutil.pid_exists(before["scheduler"])


def test_who_follows_a_run_is_told_that_a_process_died(small: Settings, toy: Definition) -> None:
    """Without a scheduler a run is queued for ever."""
    stack.up(small, wanted=ports(), console=console())
    scheduler = next(one for one in processes(small) if one.name == "scheduler")
    scheduler.log.write_text("database is locked\n")
    os.kill(scheduler.pid, signal.SIGKILL)
    _gone(scheduler.pid)
    followed = follow.Followed(dag="toy_training", run="mine", url="", state="queued", run_id="toy_training.mine")
    with pytest.raises(InfrastructureError, match=r"scheduler of the stack died; `make up` starts .*\n.*database is locked"):
        follow._follow(cast("Airflow", Queued()), small, followed, toy.training, console())


class Queued:
    """Answers as an Airflow whose run never begins."""

    def get(self, path: str, **query: Any) -> Any:
        return {"task_instances": [], "dag_runs": [], "state": "queued"}


def test_a_state_whose_process_ids_went_to_strangers_harms_nobody(small: Settings) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        stale = Started(name="scheduler", pid=stranger.pid, at=time.time() - 3600, log=small.home / "log")
        state.save(small.home, state.State(ports=ports(), settings="of old", processes=(stale,)))
        assert not stale.alive
        assert not stack.up(small, wanted=ports(), console=console()).reused
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_half_finished_start_is_cleaned_away(small: Settings) -> None:
    stack.up(small, wanted=ports(), console=console())
    known = state.load(small.home)
    assert known is not None
    left = known.processes[0]
    for one in known.processes[1:]:
        os.killpg(one.pid, signal.SIGKILL)
    state.save(small.home, known.model_copy(update={"processes": (left,)}))
    assert not stack.up(small, wanted=ports(), console=console()).reused
    assert not left.alive


def test_a_process_that_dies_at_the_start_shows_the_end_of_its_log(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    good = lifecycle.commands
    dies = [sys.executable, "-c", "print('no such table: dag'); raise SystemExit(3)"]
    monkeypatch.setattr(
        lifecycle, "commands", lambda s, p: good(s, p) | {"api-server": good(s, p)["scheduler"], "scheduler": dies}
    )
    with pytest.raises(InfrastructureError, match=r"scheduler stopped while starting; the end of .*\nno such table: dag"):
        stack.up(small, wanted=ports(), console=console())
    assert processes(small) == ()


def test_tasks_api_is_built_before_airflow_counts_as_healthy(small: Settings) -> None:
    """Its first request takes seconds, which must not be those of the first task."""
    wanted = ports()
    Path(small.home).mkdir(exist_ok=True)
    asked = small.home / "asked"
    script = Path(lifecycle.commands(small, wanted)["api-server"][1])
    script.write_text(
        STAND_IN.replace("self.send_response(200)", f"print(self.path, file=open({str(asked)!r}, 'a')); self.send_response(200)")
    )
    stack.up(small, wanted=wanted, console=console())
    assert "/execution/health" in asked.read_text().split()


def test_patience_has_an_end(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    good = lifecycle.commands
    monkeypatch.setattr(lifecycle, "commands", lambda s, p: good(s, p) | {"mlflow": good(s, p)["scheduler"]})
    with pytest.raises(InfrastructureError, match=r"mlflow not healthy after 2 s; the end of"):
        stack.up(small, wanted=ports(), console=console(), patience=2)
    assert processes(small) == ()


def test_two_starts_at_once_make_one_stack(small: Settings) -> None:
    said: list[str] = []
    with state.exclusive(small.home, said.append):
        second = state.exclusive(small.home, said.append, patience=0.3)
        with pytest.raises(InfrastructureError, match=rf"process {os.getpid()} has been"):
            second.__enter__()
    assert said == [f"waiting for process {os.getpid()}, which is starting or stopping this stack"]


def test_a_home_that_cannot_be_written_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = settings.model_copy(update={"home": tmp_path / "file" / "home"})
    with pytest.raises(InfrastructureError, match="a file stands where a folder is needed; set PIPELINES_HOME"):
        stack.up(blocked, console=console())


@pytest.fixture
def tight(small: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The small stack with its home on a disk of one megabyte."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        on_disk = small.model_copy(update={"home": disk / "home"})
        yield on_disk
        assert stack.down(on_disk, console=console()) == 0, "the failed start left something running"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """Every process that is started, recorded or not."""
    seen: list[Started] = []
    start = processes_module.start

    def noting(name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> Started:
        seen.append(start(name, command, env, log))
        return seen[-1]

    monkeypatch.setattr(lifecycle, "start", noting)
    return seen


def test_a_full_disk_before_the_first_process_is_named(tight: Settings) -> None:
    _fill(tight.home)
    with pytest.raises(InfrastructureError, match=r"No space left on device.*the disk is full; free some space"):
        stack.up(tight, wanted=ports(), console=console())
    assert processes(tight) == ()


def test_a_stack_on_a_full_disk_can_be_stopped_and_none_is_started_on_it(tight: Settings, started: list[Started]) -> None:
    stack.up(tight, wanted=ports(), console=console())
    known = processes(tight)
    started.clear()
    _fill(tight.home)
    assert stack.down(tight, console=console()) == 4
    with pytest.raises(InfrastructureError, match="the disk is full; free some space"):
        stack.up(tight, wanted=ports(), console=console())
    assert 1 <= len(started) < 3, "the first whose record cannot be written is the last that is started"
    assert not [one.name for one in (*known, *started) if one.alive]


def test_a_disk_that_fills_while_starting_is_named_and_nothing_goes_on(
    tight: Settings, started: list[Started], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, noting = lifecycle.commands, lifecycle.start
    fills = [sys.executable, "-c", f"import os; os.system('head -c 9m /dev/zero > {tight.home}/filler'); raise SystemExit(1)"]
    monkeypatch.setattr(lifecycle, "commands", lambda s, p: good(s, p) | {"scheduler": fills})

    def start(name: str, *rest: Any) -> Started:
        made = noting(name, *rest)
        while name == "scheduler" and made.alive:  # the disk is full before the next is started, however busy the machine
            time.sleep(0.05)
        return made

    monkeypatch.setattr(lifecycle, "start", start)
    with pytest.raises(InfrastructureError, match=r"the disk (of .* )?is full; free some space"):
        stack.up(tight, wanted=ports(), console=console())
    assert len(started) == 3
    assert not [one.name for one in started if one.alive]


def test_a_read_only_home_is_named(tight: Settings) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tight.home.parent)], check=True)
    with pytest.raises(InfrastructureError, match="the file system is read-only; set PIPELINES_HOME"):
        stack.up(tight, wanted=ports(), console=console())
    subprocess.run(["mount", "-o", "remount,rw", str(tight.home.parent)], check=True)


@pytest.mark.parametrize("package", ["airflow", "mlflow"])
def test_a_missing_package_is_named(small: Settings, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InfrastructureError, match=f"^{package} not found in .*; `make setup` installs what is missing"):
        stack.up(small, wanted=ports(), console=console())
    assert processes(small) == ()


def test_a_start_that_was_killed_is_cleaned_away_by_the_next(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after SIGKILL: what it had started goes on, and its state says so."""

    def killed(*rest: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "_wait", killed)
        patch.setattr(lifecycle, "_stop", lambda *rest: 0)
        with pytest.raises(KeyboardInterrupt):
            stack.up(small, wanted=ports(), console=console())
    left = processes(small)
    assert [one.alive for one in left] == [True, True, True]
    assert stack.down(small, console=console()) >= 3
    assert not [one.name for one in left if one.alive]


def test_nothing_runs_is_an_error_with_a_remedy(settings: Settings) -> None:
    with pytest.raises(InfrastructureError, match="start it with `make up`"):
        stack.running(settings)


def test_make_help_names_every_target() -> None:
    shown = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in shown.splitlines()] == sorted(
        ["run", "up", "down", "test", "coverage", "lint", "lock", "bench", "help", "setup"]
    )


def _fill(home: Path) -> None:
    home.mkdir(exist_ok=True)
    with (home / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


def _gone(pid: int) -> None:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)


def test_a_process_started_again_leaves_what_the_one_before_it_said(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for word in ("killed", "alive"):
        psutil.Process(processes_module.start("server", [sys.executable, "-c", f"print('{word}')"], os.environ, log).pid).wait(20)
    assert (log.read_text(), log.with_name("server.log.1").read_text()) == ("alive\n", "killed\n")
