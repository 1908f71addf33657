"""Where a version came from, and the same again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.execution import Session
from pipelines.core.run import git_state
from pipelines.core.settings import Settings
from pipelines.runners import in_process
from pipelines.tracking import records
from pipelines.tracking.client import connect
from pipelines.tracking.lineage import lineage, reproduce
from pipelines.tracking.runs import MlflowTracker

Sessions = Callable[..., Session]


@pytest.fixture
def champion(toy_session: Sessions, settings: Settings) -> Session:
    """A run of the whole chain, promoted."""
    return _run(toy_session, settings)


def _run(toy_session: Sessions, settings: Settings, overrides: Mapping[str, Any] = MappingProxyType({})) -> Session:
    session = toy_session(overrides={"gates.floors": {"accuracy": 0.5}, **overrides}, started_by="schedule")
    tracker = MlflowTracker(settings)
    in_process.run(session, tracker=tracker)
    tracker.finish(session, "FINISHED")
    return session


def files_of(settings: Settings) -> dict[Path, bytes]:
    places = [Path(settings.store), settings.data]
    return {file: file.read_bytes() for place in places for file in place.rglob("*") if file.is_file()}


def test_lineage_tells_everything(champion: Session, settings: Settings) -> None:
    told = lineage("toy", "champion", settings)
    assert (told["version"], told["aliases"], told["run"], told["why"]) == (1, ["champion"], champion.run.id, "schedule")
    assert told["overrides"] == {"gates.floors": {"accuracy": 0.5}}
    assert told["params"]["gates"]["floors"] == {"accuracy": 0.5}
    assert told["seed"] == "7"
    assert told["data"]["source"] == "path"
    assert told["data"]["pointer"]["md5"]
    assert len(told["data"]["sha256"]) == len(told["params_sha256"]) == 64
    assert set(told["code"]) == {"commit", "dirty"}
    assert told["decision"]["promote"] is True
    chain = {stage["node"]: stage for stage in told["stages"]}
    assert list(chain)[:3] == ["ingest", "validate", "features"]
    assert chain["train-linear"]["outputs"].keys() == {"model", "fit"}
    assert told["data"]["sha256"] == chain["ingest"]["outputs"]["raw"]
    assert told["model"] in {chain[node]["outputs"]["model"] for node in ("train-linear", "train-centroid")}
    with pytest.raises(ConfigError, match="no version '7'"):
        lineage("toy", 7, settings)


def test_a_version_tells_the_fingerprints_of_what_ran_not_of_who_made_the_same_bytes_first(
    champion: Session, toy: Definition, toy_session: Sessions, settings: Settings
) -> None:
    source = toy.folder / "__init__.py"
    source.write_text(source.read_text() + "\n# a remark: another fingerprint of each stage, the same artifacts\n")
    second = _run(toy_session, settings, {"train.candidates.linear.ridge": 0.7})
    ran = {node: result.fingerprint for node, result in records.results(second.store, "toy", second.run.id).items()}
    [_, entry] = [entry for entry in second.ledger.history("toy").entries if entry.kind in ("promotion", "rejection")]
    before = ["ingest", "validate", "features", "train-linear", "train-centroid", "evaluate"]
    told = {key: mark for key, mark in entry.lineage.items() if key.startswith("stage.")}
    assert told == {f"stage.{node}.fingerprint": ran[node] for node in before}
    version = connect(settings).get_model_version("toy", str(entry.version))
    assert {key: version.tags[key] for key in told} == told


def test_reproduced_bit_for_bit_beside_the_real_store(champion: Session, settings: Settings) -> None:
    before = files_of(settings)
    shown: list[tuple[str, str]] = []
    told = reproduce("toy", 1, settings, show=lambda node, verdict: shown.append((node, verdict)))
    assert told["verdict"] == "identical", told
    assert ("train-linear", "identical") in shown
    assert [stage["node"] for stage in told["stages"]][-1] == "evaluate"
    assert files_of(settings) == before
    assert not list((settings.home / "scratch").iterdir())


def test_other_code_gives_another_model_and_says_where(champion: Session, toy: Definition, settings: Settings) -> None:
    told = _with_changed_centroid(settings)
    assert told["verdict"] == "different"
    verdicts = {stage["node"]: stage["verdict"] for stage in told["stages"]}
    assert verdicts["features"] == "identical"
    assert verdicts["train-linear"] == "different"


def _with_changed_centroid(settings: Settings) -> dict[str, Any]:
    from pipelines.core.discovery import find_project

    project = type(find_project("toy").project())
    honest = project.fit

    def fit(self: Any, candidate: str, params: Any, train: Any, valid: Any, training: Any) -> Any:
        return honest(self, candidate, params, self.take(train, range(10)), valid, training)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "fit", fit)
        return reproduce("toy", 1, settings)


def test_a_metric_that_is_called_like_a_time_is_compared(
    toy_session: Sessions, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = toy_session(overrides={"gates.floors": {"accuracy": 0.5}})
    project, late = type(session.project), [1.0]
    honest = project.score
    monkeypatch.setattr(
        project,
        "score",
        lambda self, *given, **named: honest(self, *given, **named) | {"seconds_late": late[0], "seconds": late[0]},
    )
    in_process.run(session, tracker=MlflowTracker(settings))
    assert reproduce("toy", 1, settings)["verdict"] == "identical"
    late[0] = 2.0
    told = reproduce("toy", 1, settings)
    assert told["verdict"] == "different"
    notes = {(stage["node"], name): output["note"] for stage in told["stages"] for name, output in stage["outputs"].items()}
    assert "valid.seconds: 1.0 then, 2.0 now; valid.seconds_late: 1.0 then, 2.0 now" in notes["train-linear", "fit"]
    assert "scores[0].metrics.seconds.high" in notes["evaluate", "leaderboard"]


def test_a_runs_own_time_is_not_compared(toy_session: Sessions, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    session = toy_session(overrides={"gates": {"ceilings": {"latency_ms": 1e6}}})
    project, took = type(session.project), [1.0]
    honest = project.fit

    def fit(self: Any, *given: Any) -> Any:
        return replace(honest(self, *given), curve=[{"loss": 0.5, "seconds": took[0], "images_per_second": took[0]}])

    monkeypatch.setattr(project, "fit", fit)
    in_process.run(session, tracker=MlflowTracker(settings))
    took[0] = 2.0
    told = reproduce("toy", 1, settings)
    assert told["verdict"] == "identical", told
    (fit,) = [stage["outputs"]["fit"] for stage in told["stages"] if stage["node"] == "train-linear"]
    assert fit["note"] == "but for timings"


def test_changed_source_falls_back_to_the_stored_snapshot(champion: Session, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "toy.csv").unlink()
    told = reproduce("toy", 1, settings)
    assert told["verdict"] == "identical"
    assert any("stored snapshot was used" in warning for warning in told["warnings"])


def test_the_code_of_a_project_with_its_own_repository_is_told_and_compared(
    toy: Definition, toy_session: Sessions, settings: Settings
) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(toy.folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    made = git("rev-parse", "HEAD")
    (toy.folder / "prompt.txt").write_text("not committed\n")
    git_state.cache_clear()
    _run(toy_session, settings)
    told = lineage("toy", "champion", settings)
    assert (told["code"]["project.commit"], told["code"]["project.dirty"]) == (made, "true")
    run = connect(settings).get_run(told["mlflow_run"])
    diff = Path(connect(settings).download_artifacts(run.info.run_id, "uncommitted-project.diff"))
    assert diff.read_text() == "Only here, unknown to git: prompt.txt\n"
    assert run.data.tags["git.project.commit"] == made

    git("add", ".")
    git("commit", "--quiet", "-m", "second")
    git_state.cache_clear()
    told = lineage("toy", "champion", settings)
    assert f"the project's own repository: made at commit {made}; this is {git('rev-parse', 'HEAD')}" in told["warnings"]
    assert any("made with uncommitted changes; the run's artifact uncommitted-project.diff" in one for one in told["warnings"])


@pytest.mark.parametrize(("path", "source"), [(None, "stand-in"), ("toy.csv", "path")])
def test_rows_in_place_of_a_data_set_are_had_again(
    path: str | None, source: str, toy: Definition, toy_session: Sessions, settings: Settings, tmp_path: Path
) -> None:
    file = f"{{name: toy.csv, sha256: {64 * 'a'}, bytes: 1}}"
    simulator = "{function: 'pipelines.projects.toy.draw:simulate', rows: 600, stand_in: rows drawn}"
    (toy.folder / "catalog").mkdir()
    (toy.folder / "catalog" / "rows.yaml").write_text(
        f"title: Rows\ntask: none\nlicence: MIT\nfiles: [{file}]\nsimulator: {simulator}\n"
    )
    (toy.folder / "draw.py").write_text(
        "from tests.conftest import write_toy_data\n\n\n"
        "def simulate(folder, rows, seed, drift):\n    write_toy_data(folder / 'toy.csv', rows, seed)\n"
    )
    _run(toy_session, settings, {"ingest.dataset": "rows", "ingest.path": path and str(tmp_path / path)})
    told = reproduce("toy", 1, settings)
    assert lineage("toy", 1, settings)["data"]["source"] == source
    assert (told["verdict"], [one for one in told["warnings"] if "ingest" in one]) == ("identical", [])


def test_a_run_without_records_cannot_be_reproduced(champion: Session, settings: Settings) -> None:
    for record in (Path(settings.store) / "runs" / "toy" / champion.run.id / "nodes").glob("train-*"):
        record.unlink()
    with pytest.raises(DataError, match="no record of what train-linear, train-centroid gave"):
        reproduce("toy", 1, settings)
