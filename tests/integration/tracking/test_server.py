"""Tracking and registry against a real MLflow server: other processes, outages, races and kills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.tracking import registry
from pipelines.tracking.client import connect
from pipelines.tracking.runs import MlflowTracker
from pipelines.tracking.versions import Versions

pytestmark = pytest.mark.integration

Sessions = Callable[..., Session]

CHILD = """
import json, os, signal, sys, time
from pathlib import Path
from pipelines.core.execution import Session
from pipelines.core.errors import PipelineError
from pipelines.core.run import Run
import toy_chain

asked = json.loads(sys.argv[1])
session = Session(Run(project="toy", profile="sample", id=asked["run"]))
done = toy_chain.make_chain(session, Path(asked["place"]), model=asked["model"], incumbent=asked.get("incumbent"))
if point := asked.get("die_after"):
    import importlib
    module, owner, name = point
    owner = getattr(importlib.import_module(module), owner)
    real = getattr(owner, name)

    def last(*args, **kwargs):
        real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, last)
if gate := asked.get("gate"):
    Path(gate + "." + asked["run"]).touch()
    while not Path(gate).exists():
        time.sleep(0.01)
try:
    print(json.dumps(toy_chain.promote(session, done)))
except PipelineError as error:
    print(json.dumps({"outcome": type(error).__name__, "reason": str(error)}))
"""


def start(**asked: Any) -> subprocess.Popen[str]:
    """Promote in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(asked)], stdout=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate(timeout=240)
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    return told


def versions(settings: Settings) -> list[int]:
    return sorted(int(version.version) for version in connect(settings).search_model_versions("name = 'toy'"))


def test_champion_loads_in_a_plain_process(toy_session: Sessions, served: Settings, tmp_path: Path) -> None:
    assert outcome(start(run="one", place=str(tmp_path / "made"), model=1.0))["outcome"] == "promoted"
    code = (
        "import json, mlflow; model = mlflow.pyfunc.load_model('models:/toy@champion');"
        "print(json.dumps([model.predict(rows)['probability'].tolist() for rows in ([[1.0, 2.0]], [[1, 2], [0, 0]])]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True).stdout
    assert json.loads(said.splitlines()[-1]) == [pytest.approx([0.8808], abs=1e-4), pytest.approx([0.8808, 0.5], abs=1e-4)]
    run = connect(served).get_model_version("toy", "1").run_id
    session = toy_session(id="one")
    assert (MlflowTracker(served).url(session) or "").endswith(f"/runs/{run}")


def test_server_down_in_the_middle_and_back(toy_session: Sessions, served: Settings, server: Any, tmp_path: Path) -> None:
    from toy_chain import make_chain, promote

    session = toy_session()
    session.settings = served
    done = make_chain(session, tmp_path / "made")
    tracker = MlflowTracker(served)
    tracker.record(session, session.graph.node("ingest"), done["ingest"])
    server.stop()
    for attempt in (
        lambda: tracker.record(session, session.graph.node("validate"), done["validate"]),
        lambda: promote(session, done),
        lambda: MlflowTracker(served).open(toy_session()),
    ):
        started = time.monotonic()
        with pytest.raises(InfrastructureError, match=rf"MLflow at {server.url} does not answer.*pipelines stack up"):
            attempt()
        assert time.monotonic() - started < 15
    tracker.finish(session, "FAILED")  # says nothing, there is nobody to tell

    server.start()
    assert promote(session, done)["outcome"] == "promoted"
    for node in session.graph.nodes:
        if node.name in done:
            tracker.record(session, node, done[node.name])
    tracker.finish(session, "FINISHED")
    experiment = connect(served).get_experiment_by_name("toy").experiment_id
    runs = connect(served).search_runs([experiment])
    assert [run.info.status for run in runs if "candidate" not in run.data.tags] == ["FINISHED"]


def test_server_down_between_ledger_and_alias(served: Settings, server: Any, tmp_path: Path) -> None:
    assert outcome(start(run="one", place=str(tmp_path / "made"), model=1.0))["version"] == 1
    assert outcome(start(run="two", place=str(tmp_path / "made"), model=2.0, incumbent=1))["version"] == 2
    server.stop()
    told: list[str] = []
    assert registry.rollback(served, "toy", why="outage", tell=told.append).version == 1
    assert "does not answer" in told[0]
    assert registry.find("toy", "champion", served).version == 1  # decided, and what `pipelines predict` uses
    server.start()
    assert registry.repair("toy", served)["moved"] == {"champion": [2, 1], "previous": [1, None]}
    assert Versions(served, "toy").aliases() == {"champion": 1}


def test_of_two_racing_promotions_one_wins(served: Settings, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    racers = [
        start(run=name, place=str(tmp_path / name), model=model, gate=str(gate)) for name, model in (("a", 1.0), ("b", 2.0))
    ]
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("go.*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    gate.touch()
    told = [outcome(racer) for racer in racers]
    assert sorted(one["outcome"] for one in told) == ["GateRefused", "promoted"]
    loser = next(one for one in told if one["outcome"] == "GateRefused")
    assert "became champion while this run was compared with version None" in loser["reason"]
    history = registry.history("toy", served)
    assert [entry.kind for entry in history.entries] == ["promotion"]
    assert Versions(served, "toy").aliases() == {"champion": history.entries[0].version}


KILLS = [
    ("pipelines.tracking.runs", "MlflowTracker", "_create"),
    ("pipelines.tracking.runs", "MlflowTracker", "open"),
    ("mlflow.tracking", "MlflowClient", "create_logged_model"),
    ("mlflow.tracking", "MlflowClient", "log_model_artifacts"),
    ("mlflow.tracking", "MlflowClient", "create_model_version"),
    ("pipelines.core.ledger", "Ledger", "append"),
    ("mlflow.tracking", "MlflowClient", "set_registered_model_alias"),
]


def test_sigkill_at_each_step_then_again_makes_one_version(served: Settings, tmp_path: Path) -> None:
    """Run after run dies one step further on; the last one finds what they left, and there is one of everything."""
    place = str(tmp_path / "made")
    for number, point in enumerate(KILLS):
        killed = start(run=f"run-{number}", place=place, model=1.0, die_after=point)
        killed.communicate(timeout=240)
        assert killed.returncode == -signal.SIGKILL, point
    told = outcome(start(run="run-last", place=place, model=1.0))
    assert (told["outcome"], told["version"]) == ("promoted", 1)
    assert versions(served) == [1]
    assert [entry.kind for entry in registry.history("toy", served).entries] == ["promotion"]
    assert Versions(served, "toy").aliases() == {"champion": 1}
    client = connect(served)
    experiment = client.get_experiment_by_name("toy").experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    MlflowTracker(served).sweep("toy")
    assert {run.info.status for run in client.search_runs([experiment])} == {"FAILED"}
