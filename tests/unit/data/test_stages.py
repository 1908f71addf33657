"""ingest and collect, on the toy project."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.execution import Session, execute
from pipelines.data import sources
from pipelines.data.catalog import Entry
from tests.conftest import write_toy_data

Open = Callable[..., Session]


def run(session: Session, node: str) -> tuple[Any, dict[str, Any]]:
    """Execute a first node; return its result and the values of its JSON outputs."""
    result = execute(session, session.graph.node(node), {})
    return result, {name: session.read(ref) for name, ref in result.outputs.items() if ref.codec == "json"}


def test_ingest_says_where_the_data_came_from(toy_session: Open) -> None:
    session = toy_session(as_of=datetime(2025, 3, 1, tzinfo=UTC))
    result, values = run(session, "ingest")
    snapshot = values["snapshot"]
    assert snapshot["source"] == "path"
    assert list(snapshot["files"]) == ["toy.csv"]
    assert snapshot["pointer"]["path"].startswith("toy/")
    assert snapshot["window"] == {"start": None, "end": "2025-02-24T00:00:00+00:00", "weeks": [0, 7], "replay_weeks": 20}
    assert (session.read(result.outputs["raw"]) / "toy.csv").is_file()


def test_ingest_twice_gives_the_same_artifacts(toy_session: Open) -> None:
    first, _ = run(toy_session(as_of=datetime(2025, 3, 1, tzinfo=UTC)), "ingest")
    same_week, _ = run(toy_session(as_of=datetime(2025, 2, 25, tzinfo=UTC)), "ingest")
    next_week, _ = run(toy_session(as_of=datetime(2025, 3, 3, tzinfo=UTC)), "ingest")
    digests = [[ref.digest for ref in result.outputs.values()] for result in (first, same_week, next_week)]
    assert not same_week.reused
    assert digests[0] == digests[1], "what follows is reused within a week"
    assert digests[0][0] == digests[2][0]
    assert digests[0][1] != digests[2][1]


def test_ingest_before_the_first_rows(toy_session: Open) -> None:
    with pytest.raises(DataError, match="no data as of 2024-12-31: the first rows arrive on 2025-01-06"):
        run(toy_session(as_of=datetime(2024, 12, 31, tzinfo=UTC)), "ingest")


def test_collect_takes_the_newest_window(toy_session: Open) -> None:
    session = toy_session("monitoring", as_of=datetime(2025, 3, 1, tzinfo=UTC))
    result, values = run(session, "collect")
    info = values["window_info"]
    assert info["window"] == "2025-02-17..2025-02-24"
    assert info["rows"] == 15 == len(session.read(result.outputs["window"])["x"])
    assert (info["source"], info["replayed"], info["restarted"], info["champion"]) == ("path", True, False, None)
    assert info["note"].startswith("There is no champion yet")


def test_labels_come_late(toy_session: Open) -> None:
    late = {"labels_after": 2}
    session = toy_session("monitoring", as_of=datetime(2025, 3, 1, tzinfo=UTC), overrides=late)
    result, values = run(session, "collect")
    assert values["window_info"]["labels"] == {
        "window": "2025-02-03..2025-02-10",
        "start": "2025-02-03T00:00:00+00:00",
        "rows": 15,
    }
    assert len(session.read(result.outputs["outcomes"])["y"]) == 15
    _, training = run(toy_session(as_of=datetime(2025, 3, 1, tzinfo=UTC), overrides=late), "ingest")
    assert training["snapshot"]["window"]["end"] == "2025-02-10T00:00:00+00:00", "rows without a label train no model"
    _, first = run(toy_session("monitoring", as_of=datetime(2025, 1, 20, tzinfo=UTC), overrides=late), "collect")
    assert first["window_info"]["labels"] == {"window": None, "start": None, "rows": 0}
    _, backlog = run(toy_session(as_of=datetime(2025, 1, 7, tzinfo=UTC), overrides=late), "ingest")
    assert backlog["snapshot"]["window"]["end"] == "2025-01-06T00:00:00+00:00", "what was there before has labels"


def test_collect_says_how_many_rows_are_usual(toy_session: Open) -> None:
    _, values = run(toy_session("monitoring", as_of=datetime(2025, 3, 1, tzinfo=UTC)), "collect")
    assert values["window_info"]["usual_rows"] == 15.0
    _, first = run(toy_session("monitoring", as_of=datetime(2025, 1, 13, tzinfo=UTC)), "collect")
    assert first["window_info"]["usual_rows"] is None


def test_collect_after_the_replay_starts_over_and_says_so(toy_session: Open) -> None:
    first, early = run(toy_session("monitoring", as_of=datetime(2025, 1, 13, tzinfo=UTC)), "collect")
    again, late = run(toy_session("monitoring", as_of=datetime(2025, 6, 2, tzinfo=UTC)), "collect")
    assert first.outputs["window"].digest == again.outputs["window"].digest
    assert (early["window_info"]["restarted"], late["window_info"]["restarted"]) == (False, True)


def test_a_window_without_rows_names_the_nearest_with_rows(toy_session: Open, toy: Definition, tmp_path: Path) -> None:
    few = tmp_path / "few" / "toy.csv"
    few.parent.mkdir()
    np.savetxt(few, np.ones((4, 3)), delimiter=",")  # two rows arrive within twenty weeks: in weeks 1 and 11
    session = toy_session("monitoring", as_of=datetime(2025, 5, 26, tzinfo=UTC), overrides={"ingest.path": str(few)})
    with pytest.raises(DataError) as caught:
        run(session, "collect")
    assert str(caught.value) == (
        "window 2025-05-19..2025-05-26 has no rows; the nearest with rows is 2025-03-17..2025-03-24. "
        "Choose as_of 2025-03-24, or check why the source has no newer rows"
    )


def test_where_no_window_has_rows(toy_session: Open, tmp_path: Path) -> None:
    few = tmp_path / "few" / "toy.csv"
    few.parent.mkdir()
    np.savetxt(few, np.ones((2, 3)), delimiter=",")
    overrides = {"ingest.path": str(few), "replay.backlog": 0.9}
    with pytest.raises(DataError, match=r"has no rows; nor has any of the 520 windows before it. Check the source"):
        run(toy_session("monitoring", as_of=datetime(2025, 5, 26, tzinfo=UTC), overrides=overrides), "collect")


def test_own_files_that_changed_are_read_again(toy_session: Open, tmp_path: Path) -> None:
    own = tmp_path / "own" / "toy.csv"
    own.parent.mkdir()
    np.savetxt(own, np.ones((40, 3)), delimiter=",")
    first, again = (run(toy_session(overrides={"ingest.path": str(own)}), "ingest")[0] for _ in range(2))
    assert (first.reused, again.reused) == (False, True)
    np.savetxt(own, np.zeros((40, 3)), delimiter=",")
    changed, _ = run(toy_session(overrides={"ingest.path": str(own)}), "ingest")
    assert not changed.reused
    assert changed.outputs["raw"].digest != first.outputs["raw"].digest


@pytest.fixture
def published(tmp_path: Path, toy: Definition, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror that holds the toy's rows, known as the data set `toy_rows`, which also has a simulator. Nobody is told of it."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    rows = (mirror / "toy.csv", (tmp_path / "toy.csv").read_bytes())
    rows[0].write_bytes(rows[1])
    file = {"name": "toy.csv", "sha256": hashlib.sha256(rows[1]).hexdigest(), "bytes": len(rows[1]), "mirror": "toy.csv"}
    made = {"title": "Toy", "task": "none", "licence": "CC0", "files": [file]}
    simulator = {"function": "toy_simulator:simulate", "rows": 600}
    monkeypatch.setattr(sources, "entry", lambda *_: Entry.model_validate({**made, "simulator": simulator}))
    module = ModuleType("toy_simulator")
    module.simulate = lambda folder, rows, seed, drift: write_toy_data(folder / "toy.csv", rows, seed + 9)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_simulator", module)
    monkeypatch.delenv("PIPELINES_MIRROR", raising=False)
    return mirror


@pytest.mark.parametrize(
    ("graph", "node", "told"), [("training", "ingest", "snapshot"), ("monitoring", "collect", "window_info")]
)
def test_rows_that_had_to_be_simulated_are_asked_for_again(
    graph: str, node: str, told: str, toy_session: Open, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the remedy our own message names, a mirror, changes nothing for runs as of the same date."""
    ask = {"as_of": datetime(2025, 3, 1, tzinfo=UTC), "overrides": {"ingest.path": None, "ingest.dataset": "toy_rows"}}
    first, values = run(toy_session(graph, **ask), node)
    assert values[told]["source"] == "simulator"
    again, _ = run(toy_session(graph, **ask), node)
    assert (again.reused, again.outputs) == (True, first.outputs), "asked again, and the same rows came: nothing is new"
    monkeypatch.setenv("PIPELINES_MIRROR", str(published))
    real, values = run(toy_session(graph, **ask), node)
    assert (real.reused, values[told]["source"]) == (False, "mirror")
    assert run(toy_session(graph, **ask), node)[0].reused


def test_rows_that_were_asked_for_from_the_simulator_are_reused(toy_session: Open, published: Path) -> None:
    ask = {"ingest.path": None, "ingest.dataset": "toy_rows", "ingest.source": "simulator"}
    assert [run(toy_session(overrides=ask), "ingest")[0].reused for _ in range(2)] == [False, True]


@pytest.mark.parametrize(("graph", "node"), [("training", "ingest"), ("monitoring", "collect")])
def test_a_project_brings_its_own_entry_and_is_answered_from_the_store_until_that_one_changes(
    graph: str, node: str, toy_session: Open, toy: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (tmp_path / "toy.csv").read_bytes()
    entry = (
        "title: Toy\ntask: none\nlicence: CC0\nfiles:\n"
        f"  - {{name: toy.csv, sha256: {hashlib.sha256(rows).hexdigest()}, bytes: {len(rows)}, mirror: toy.csv}}\n"
    )
    own = toy.folder / "catalog" / "toy_rows.yaml"
    own.parent.mkdir()
    own.write_text(entry)
    monkeypatch.setenv("PIPELINES_MIRROR", str(tmp_path))
    ask = {"as_of": datetime(2025, 3, 1, tzinfo=UTC), "overrides": {"ingest.path": None, "ingest.dataset": "toy_rows"}}
    first, values = run(toy_session(graph, **ask), node)
    assert values["snapshot" if graph == "training" else "window_info"]["source"] == "mirror"
    (own.parent / "another.yaml").write_text(entry)
    assert run(toy_session(graph, **ask), node)[0].reused
    own.write_text(entry.replace("title: Toy", "title: Toys"))
    again, _ = run(toy_session(graph, **ask), node)
    assert (again.reused, again.outputs) == (False, first.outputs)


def test_an_unknown_data_set_names_both_places(toy_session: Open, toy: Definition) -> None:
    places = f"{re.escape(str(toy.folder / 'catalog'))} and .*pipelines/data/catalog"
    with pytest.raises(
        ConfigError, match=rf"there is no 'telco_chrun' in the data catalog \({places}\); did you mean 'telco_churn'"
    ):
        run(toy_session(overrides={"ingest.path": None, "ingest.dataset": "telco_chrun"}), "ingest")
