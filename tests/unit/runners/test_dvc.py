"""The DVC runner without DVC: what is rendered, and one node after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.artifacts import StageResult
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.execution import NoTracker, Session
from pipelines.core.graph import Node
from pipelines.runners import dvc


class Witness(NoTracker):
    """A tracker that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def record(self, session: Session, node: Node, result: StageResult) -> None:
        self.told.append(f"{node.name} {'reused' if result.reused else 'ran'}")

    def failed(self, session: Session, node: Node, error: BaseException, outputs: Mapping[str, Any]) -> None:
        self.told.append(f"{node.name} failed")

    def finish(self, session: Session, status: str) -> None:
        self.told.append(status)


@pytest.fixture
def workspace(toy: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "dvc.yaml").write_text(dvc.render({"toy": toy}, "sample"))
    return folder


def stages(toy: Definition, profile: str = "full") -> dict[str, Any]:
    rendered: dict[str, Any] = yaml.safe_load(dvc.render({"toy": toy}, profile))["stages"]
    return rendered


def test_every_node_is_a_plain_stage(toy: Definition) -> None:
    found = stages(toy)
    assert list(found) == [f"toy-{node.name}" for node in toy.training.nodes]
    evaluate = found["toy-evaluate"]
    assert evaluate["cmd"].endswith("python -m pipelines stage toy evaluate")
    assert {f"data/toy/{name}.json" for name in ("features", "train-linear", "train-centroid")} <= set(evaluate["deps"])
    assert "pipelines/stages/evaluate.py" in evaluate["deps"]
    assert str(toy.folder / "__init__.py") in evaluate["deps"]
    assert [next(iter(one)) for key in ("outs", "metrics") for one in evaluate[key]] == [
        "data/toy/evaluate.json",
        "data/toy/plots",
        "data/toy/metrics.json",
    ]
    assert stages(toy, "sample")["toy-ingest"]["cmd"].endswith("--profile sample")


def test_no_stage_depends_on_the_whole_params_file(toy: Definition) -> None:
    """DVC follows it key by key; a dependency on the folder or the file would rerun everything for a gate."""
    for stage in stages(toy).values():
        assert not {str(toy.folder), str(toy.params_file)} & set(stage["deps"])


def test_own_data_are_a_dependency_of_ingest_alone(toy: Definition) -> None:
    path = str(toy.params().ingest.path)
    assert [name for name, stage in stages(toy).items() if path in stage["deps"]] == ["toy-ingest"]


def test_a_node_follows_its_own_parameters(toy: Definition) -> None:
    tree = {
        "seed": 1,
        "train": {"trials": 3, "candidates": {"linear": {}, "centroid": {"x": 1}}},
        "gates": {"floors": {}},
        "profiles": {"sample": {"train": {"trials": 0, "candidates": {"linear": {"ridge": 1}}}}, "full": {}},
    }
    linear, centroid, evaluate = (toy.training.node(name) for name in ("train-linear", "train-centroid", "evaluate"))
    assert dvc.params_keys(tree, linear, "full") == ["seed", "train.trials", "train.candidates.linear"]
    assert dvc.params_keys(tree, linear, "sample") == [
        "seed",
        "train.trials",
        "train.candidates.linear",
        "profiles.sample.train.trials",
        "profiles.sample.train.candidates.linear",
    ]
    assert "profiles.sample.train.candidates.linear" not in dvc.params_keys(tree, centroid, "sample")
    assert dvc.params_keys(tree, evaluate, "full") == ["seed", "gates"]


def test_a_bare_date_is_refused_with_the_remedy(toy: Definition) -> None:
    toy.params_file.write_text(toy.params_file.read_text().replace('"2025-01-06"', "2025-01-06"))
    with pytest.raises(ConfigError, match=r'params.yaml: replay: start: 2025-01-06 is a bare date.* in quotes: "2025-01-06"'):
        stages(toy)


def test_what_a_project_holds_beside_its_code_is_followed(toy: Definition) -> None:
    for name in ("prompts/system.md", "catalog/rows.yaml", "README.md"):
        (toy.folder / name).parent.mkdir(exist_ok=True)
        (toy.folder / name).write_text("words")
    deps = stages(toy)["toy-features"]["deps"]
    assert {str(toy.folder / name) for name in ("prompts/system.md", "catalog")} <= set(deps)
    assert str(toy.folder / "README.md") not in deps


def test_nodes_hand_over_references(workspace: Path) -> None:
    tracker = Witness()
    for name in ("ingest", "validate"):
        dvc.run_node("toy", name, profile="sample", run_id="r", tracker=tracker)
    first = (workspace / "data" / "toy" / "ingest.json").read_bytes()
    record = json.loads(first)
    assert set(record) == {"as_of", "outputs"}
    assert set(record["outputs"]) == {"raw", "snapshot"}
    assert len(first) < 4096
    dvc.run_node("toy", "ingest", profile="sample", run_id="s", tracker=tracker)
    assert (workspace / "data" / "toy" / "ingest.json").read_bytes() == first, "nothing in it tells two runs apart"
    assert tracker.told == [
        *("ingest ran", "FINISHED"),
        *("ingest reused", "validate ran", "FINISHED"),  # what a run builds on is told first
        *("ingest reused", "FINISHED"),
    ]


def test_a_run_is_told_the_fingerprint_of_what_it_builds_on_not_of_who_made_the_same_first(
    workspace: Path, toy: Definition
) -> None:
    class Marks(Witness):
        def record(self, session: Session, node: Node, result: StageResult) -> None:
            self.told.append(result.fingerprint)

    tracker = Marks()
    dvc.run_node("toy", "ingest", profile="sample", run_id="first", tracker=tracker)
    source = toy.folder / "__init__.py"
    source.write_text(source.read_text() + "\n# a remark: the same comes out\n")
    dvc.run_node("toy", "ingest", profile="sample", run_id="second", tracker=tracker)
    dvc.run_node("toy", "validate", profile="sample", run_id="third", tracker=tracker)
    first, _, second, _, built_on, _, _ = tracker.told
    assert (first != second, built_on) == (True, second)


def test_later_nodes_read_as_of_the_first_ones_date(workspace: Path) -> None:
    dvc.run_node("toy", "ingest", profile="sample", tracker=Witness())
    path = workspace / "data" / "toy" / "ingest.json"
    path.write_text(path.read_text().replace(json.loads(path.read_text())["as_of"], "2024-12-31T00:00:00+00:00"))
    with pytest.raises(DataError, match="no data as of 2024-12-31"):
        dvc.run_node("toy", "validate", profile="sample", tracker=Witness())


def test_a_failure_is_told_and_leaves_no_result(workspace: Path, toy: Definition) -> None:
    tracker = Witness()
    Path(str(toy.params().ingest.path)).write_text("not,numbers\n")
    dvc.run_node("toy", "ingest", profile="sample", tracker=tracker)
    with pytest.raises(DataError, match="expected rows of three numbers"):
        dvc.run_node("toy", "validate", profile="sample", tracker=tracker)
    assert tracker.told[-2:] == ["validate failed", "FAILED"]
    assert not (workspace / "data" / "toy" / "validate.json").exists()


def test_a_node_before_its_time(workspace: Path) -> None:
    with pytest.raises(ConfigError, match="'validate' needs ingest first"):
        dvc.run_node("toy", "validate", profile="sample", tracker=Witness())


def test_an_unknown_node_gets_a_suggestion(workspace: Path) -> None:
    with pytest.raises(ConfigError, match="there is no stage 'evalute' in training; did you mean 'evaluate'"):
        dvc.run_node("toy", "evalute", tracker=Witness())


def test_outside_the_folder_of_dvc_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no dvc.yaml in .*; run this, or better `dvc repro`, where it is"):
        dvc.run_node("toy", "ingest", tracker=Witness())


def test_without_a_dvc_process_each_call_is_a_run_of_its_own() -> None:
    first, second = dvc.shared_run_id(), dvc.shared_run_id()
    assert first != second
    assert first.startswith("dvc-")
