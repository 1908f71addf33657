"""Executing one node: reuse, evidence, errors that say what to do."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipelines.core import execution
from pipelines.core.artifacts import StageResult
from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.execution import Context, NoTracker, Session, execute
from pipelines.core.graph import Graph, Output, Stage
from pipelines.runners import in_process

NUMBER, NOTE = Output("number", "json"), Output("note", "text")


@pytest.fixture
def bodies() -> Iterator[ModuleType]:
    """The stage bodies beside this file, importable as `bodies`."""
    spec = importlib.util.spec_from_file_location("bodies", Path(__file__).with_name("bodies.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["bodies"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bodies"]


def chain(first: str = "make", params: tuple[str, ...] = (), looks_at: tuple[str, ...] = (), reuse: bool = True) -> Graph:
    return Graph(
        "training",
        (
            Stage("make", f"bodies:{first}", "d", (), (NUMBER, NOTE), params, looks_at, reuse=reuse),
            Stage("double", "bodies:double", "d", ("number",), (Output("doubled", "json"),), each="candidate"),
            Stage("total", "bodies:total", "d", ("doubled",), (Output("total", "json"),)),
        ),
        ("linear", "centroid"),
    )


@pytest.fixture
def open_session(toy_session: Callable[..., Session], bodies: ModuleType) -> Callable[..., Session]:
    def session(graph: Graph, **run: Any) -> Session:
        opened = toy_session(**run)
        opened.__dict__["graph"] = graph
        return opened

    return session


def test_the_chain_computes_and_then_reuses(open_session: Callable[..., Session], bodies: ModuleType) -> None:
    results = in_process.run(open_session(chain()))
    session = open_session(chain())
    assert session.read(results["total"].outputs["total"]) == 4
    assert bodies.calls == ["make", "double-linear", "double-centroid", "total"]
    again = in_process.run(session)
    assert bodies.calls[4:] == []
    assert all(result.reused for result in again.values())
    assert {n: r.outputs for n, r in again.items()} == {n: r.outputs for n, r in results.items()}
    in_process.run(open_session(chain(), fresh=True))
    assert len(bodies.calls) == 8


def test_a_stage_that_acts_on_the_world_runs_every_time(open_session: Callable[..., Session], bodies: ModuleType) -> None:
    for _ in range(2):
        in_process.run(open_session(chain(reuse=False)))
    assert bodies.calls == ["make", "double-linear", "double-centroid", "total", "make"]


def test_a_body_that_made_do_is_run_again(open_session: Callable[..., Session], bodies: ModuleType) -> None:
    for _ in range(2):
        in_process.run(open_session(chain("make_do")))
    assert bodies.calls == ["make_do", "double-linear", "double-centroid", "total", "make_do"], "what follows saw no change"


def test_what_it_depends_on_makes_it_run_again(open_session: Callable[..., Session], bodies: ModuleType) -> None:
    graph = chain(params=("seed",), looks_at=("as_of", "champion"))

    def ran(**run: Any) -> list[str]:
        bodies.calls.clear()
        in_process.run(open_session(graph, **run))
        return list(bodies.calls)

    day = datetime(2025, 1, 1, tzinfo=UTC)
    assert len(ran(as_of=day)) == 4
    assert ran(as_of=day) == []
    assert ran(as_of=day, overrides={"gates.rows": 9}) == [], "a section it does not name does not count"
    assert ran(as_of=day, overrides={"seed": 8}) == ["make"], "the same number comes out, so what follows is reused"
    assert ran(as_of=datetime(2025, 1, 2, tzinfo=UTC)) == ["make"]


def test_a_lost_or_damaged_artifact_is_made_again_or_named(open_session: Callable[..., Session], bodies: ModuleType) -> None:
    session = open_session(chain())
    results = in_process.run(session)
    digest = results["make"].outputs["number"].digest
    stored = Path(session.settings.store) / "objects" / digest[:2] / digest
    stored.unlink()
    bodies.calls.clear()
    in_process.run(open_session(chain()))
    assert bodies.calls == ["make"]
    stored.chmod(0o644)
    stored.write_text("7")
    with pytest.raises(DataError, match=r"artifact 'number' is damaged"):
        in_process.run(open_session(chain(), fresh=True), ["double"])


def test_only_what_is_needed_is_run(open_session: Callable[..., Session], bodies: ModuleType) -> None:
    assert set(in_process.run(open_session(chain()), ["double-linear"])) == {"make", "double-linear"}


def test_a_stage_without_what_it_reads_says_what_to_run(open_session: Callable[..., Session]) -> None:
    session = open_session(chain())
    with pytest.raises(
        ConfigError,
        match=r"stage 'total' needs double-linear, double-centroid first; run them before, or the whole chain with `pipelines run`",
    ):
        execute(session, session.graph.node("total"), {})


def test_a_data_error_keeps_its_evidence(open_session: Callable[..., Session]) -> None:
    told: list[Any] = []

    class Listener(NoTracker):
        def failed(self, session: Any, node: Any, error: BaseException, outputs: Any) -> None:
            told.append((node.name, error, outputs))

    session = open_session(chain("refuse"))
    with pytest.raises(DataError, match="column 'x': is never negative: 3 rows"):
        in_process.run(session, tracker=Listener())
    [(node, _, outputs)] = told
    assert node == "make"
    assert session.read(outputs["number"]) == {"failed": 3}
    with pytest.raises(DataError):
        in_process.run(open_session(chain("refuse")))  # a failure is never answered from the store


@pytest.mark.parametrize(("body", "message"), [("full", "No space left on device"), ("memory", "MemoryError")])
def test_what_the_machine_does_may_be_tried_again(open_session: Callable[..., Session], body: str, message: str) -> None:
    with pytest.raises(
        InfrastructureError, match=rf"stage 'make' could not go on: .*{message}.*finished stages are not repeated"
    ):
        in_process.run(open_session(chain(body)))


def test_a_disk_full_while_outputs_are_written_leaves_nothing_half_written(
    open_session: Callable[..., Session], bodies: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = os.fsync, []

    def fills_up(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    session = open_session(chain())
    session.code.digest(["pipelines.core.graph"])
    monkeypatch.setattr(os, "fsync", fills_up)
    with pytest.raises(InfrastructureError, match="the disk is full"):
        in_process.run(session)
    monkeypatch.setattr(os, "fsync", real)
    assert session.store.keys("memo/") == [], "a stage that did not finish is not remembered"
    assert not list(Path(session.settings.store).rglob(".tmp-*"))
    bodies.calls.clear()
    assert set(in_process.run(open_session(chain()))) == {"make", "double-linear", "double-centroid", "total"}
    assert len(bodies.calls) == 4


def test_a_codec_that_cannot_write_is_an_infrastructure_error(
    open_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(value: Any, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    from pipelines.core.codecs import Json

    monkeypatch.setattr(Json, "write", staticmethod(full))
    with pytest.raises(InfrastructureError, match="stage 'make' could not go on"):
        in_process.run(open_session(chain()))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("forgetful", r"stage 'make' did not return \['note'\], which the graph declares"),
        ("talkative", r"stage 'make' returned \['more'\], which the graph does not declare"),
        ("curious", r"stage 'make' runs once, not per candidate"),
        ("gone", r"module 'bodies' has no 'gone'"),
    ],
)
def test_a_body_that_breaks_the_contract_is_told_so(open_session: Callable[..., Session], body: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        in_process.run(open_session(chain(body)))


def test_a_context_tells_one_artifact_from_several(open_session: Callable[..., Session], tmp_path: Path) -> None:
    session = open_session(chain())
    done: dict[str, StageResult] = in_process.run(session, ["double"])
    node = session.graph.node("total")
    inputs = execution.gather(session.graph, node, done)
    context = Context(session, node, inputs, session.ledger.history("toy"), lambda *_: None, tmp_path, "f")
    assert set(context.refs("doubled")) == {"linear", "centroid"}
    assert context.champion is None
    with pytest.raises(AssertionError, match=r"doubled is one artifact per candidate; use refs\(\)"):
        context.ref("doubled")
    assert set(context.project.candidate_params) == {"linear", "centroid"}


def test_an_error_of_a_stage_is_raised_as_it_is(open_session: Callable[..., Session], bodies: ModuleType) -> None:
    def broken(context: Context) -> dict[str, Any]:
        return {"number": 1 / 0}

    bodies.make = broken  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError):
        in_process.run(open_session(chain()))
