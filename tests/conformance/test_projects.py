"""Every project found, held to the contract: one test a check."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipelines.conformance import CHECKS, Subject, cases, run_check
from pipelines.core.discovery import find_projects

HERE = ("in_process",)
ELSEWHERE = ("dvc", "airflow")
"""Their stages run in processes of their own, so that `another_process_agrees` has nothing to add."""
CASES = [
    pytest.param(
        project,
        check,
        runner,
        id=f"{project}-{check}{f'-{runner}' if runner else ''}",
        marks=marks,
    )
    for project in find_projects(extra=())
    for runners, marks in ((HERE, []), (ELSEWHERE, [pytest.mark.integration, pytest.mark.slow]))
    for check, runner in ((one.name, runner) for one, runner in cases(runners))
    if runner is not None or (runners == HERE and check != "another_process_agrees")
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("project", "check", "runner"), CASES)
def test_project(subject_of: Callable[[str], Subject], project: str, check: str, runner: str | None) -> None:
    outcome = run_check(subject_of(project), CHECKS[check], runner)
    if outcome.state == "skipped":
        pytest.skip(outcome.message)
    assert outcome.ok, f"{outcome.state}: {outcome.message}"
    if outcome.state == "expected failure":
        pytest.xfail(outcome.message)
