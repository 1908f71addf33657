"""The body of features: split, then engineer, with the project's own parameters checked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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


def test_a_key_the_project_does_not_know(toy_session: Callable[..., Session]) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml, features: 1 fault\n  - depth: unknown key"):
        in_process.run(toy_session(overrides={"features": {"depth": 3}}), ["features"])
