"""The body of features: split, then engineer, with the project's own parameters checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.result import exported
from pipelines.core.config import Split
from pipelines.core.contract import Project, sample
from pipelines.core.errors import ConfigError
from pipelines.core.execution import Session
from pipelines.runners import in_process


def test_three_sets_and_a_report(toy_session: Callable[..., Session]) -> None:
    session = toy_session()
    outputs = in_process.run(session, ["features"])["features"].outputs
    rows = [session.project.count(session.read(outputs[name])) for name in ("train", "valid", "test")]
    assert sum(rows) == session.project.count(session.read(in_process.run(session, ["validate"])["validate"].outputs["cleaned"]))
    assert min(rows) > 0
    assert session.read(outputs["feature_report"]) == {"columns": ["x0", "x1"]}
    assert "of the training rows" in (session.read(outputs["exploration"]) / "index.html").read_text()


def test_a_project_with_nothing_to_explore(toy_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch) -> None:
    session = toy_session()
    monkeypatch.setattr(type(session.project), "explore", Project.explore)
    result = in_process.run(session, ["features"])
    assert list(session.read(result["features"].outputs["exploration"]).iterdir()) == []
    assert "exploration" not in exported(session, result["features"].outputs)


def test_a_quick_profile_splits_a_sample(toy_session: Callable[..., Session]) -> None:
    def rows(**run: Any) -> list[int]:
        session = toy_session(**run)
        outputs = in_process.run(session, ["features"])["features"].outputs
        return [session.project.count(session.read(outputs[name])) for name in ("train", "valid", "test")]

    everything = rows()
    some = rows(overrides={"split.rows": 100})
    assert sum(some) == 100
    assert min(some) > 0
    assert rows(overrides={"split.rows": sum(everything)}) == rows(overrides={"split.rows": 10**6}) == everything


@given(st.integers(0, 300), st.integers(1, 400), st.integers())
def test_a_sample_keeps_the_order_and_follows_the_seed(rows: int, most: int, seed: int) -> None:
    project = Mock(count=len, take=lambda data, positions: [data[n] for n in positions])
    data = list(range(rows))
    some = sample(project, data, Split(rows=most), seed)
    assert len(some) == min(rows, most)
    assert some == sorted(set(some))
    assert some == sample(project, data, Split(rows=most), seed)
    assert sample(project, data, Split(), seed) == data


def test_a_key_the_project_does_not_know(toy_session: Callable[..., Session]) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml, features: 1 fault\n  - depth: unknown key"):
        in_process.run(toy_session(overrides={"features": {"depth": 3}}), ["features"])
