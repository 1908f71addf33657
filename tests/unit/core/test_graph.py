"""The graph: edges follow from names."""

from __future__ import annotations

import pytest

from pipelines.core.errors import ConfigError
from pipelines.core.graph import MONITORING, TRAINING, Graph, Output, Stage, monitoring, training


def stage(name: str, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), each: bool = False) -> Stage:
    outputs = tuple(Output(output, "json") for output in writes)
    return Stage(name, f"somewhere:{name}", "doc", reads, outputs, each="candidate" if each else None)


def test_what_no_stage_writes_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match=r"stage 'b' reads 'dat', which no stage before it writes; did you mean 'data'\?"):
        Graph("g", (stage("a", writes=("data",)), stage("b", reads=("dat",))), ())


def test_what_only_a_later_stage_writes_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="stage 'a' reads 'data', which no stage before it writes"):
        Graph("g", (stage("a", reads=("data",)), stage("b", writes=("data",))), ())


def test_two_stages_cannot_write_the_same() -> None:
    with pytest.raises(ConfigError, match="'data' is written by both 'a' and 'b'"):
        Graph("g", (stage("a", writes=("data",)), stage("b", writes=("data",))), ())


def test_a_stage_per_candidate_is_unrolled() -> None:
    graph = training(["x", "y"])
    assert [node.name for node in graph.nodes][3:5] == ["train-x", "train-y"]
    evaluate = graph.node("evaluate")
    assert {node.name for node in graph.upstream(evaluate)} == {"features", "train-x", "train-y", "ingest", "validate"}


def test_ancestors_are_all_that_is_needed_in_order() -> None:
    graph = training(["x", "y"])
    assert [node.name for node in graph.ancestors(["train-x"])] == ["ingest", "validate", "features", "train-x"]
    assert [node.name for node in graph.ancestors(["train"])][-2:] == ["train-x", "train-y"]
    assert graph.ancestors([node.name for node in graph.nodes]) == graph.nodes


def test_an_unknown_stage_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"there is no stage 'evalute' in training; did you mean 'evaluate'"):
        training(["x"]).ancestors(["evalute"])
    with pytest.raises(ConfigError, match=r"there is no stage 'train-z' in training; did you mean 'train-x'"):
        training(["x"]).node("train-z")


def test_every_declared_stage_and_output_is_documented_or_plain() -> None:
    for declared in (*TRAINING, *MONITORING):
        assert declared.doc.endswith("."), declared.name
        assert declared.body == f"pipelines.stages.{declared.name}:{declared.name}"
    assert [node.name for node in monitoring().nodes] == ["collect", "check", "decide"]
