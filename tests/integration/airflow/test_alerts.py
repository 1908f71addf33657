"""People are told by the real Airflow: of failures, refused promotions and missed deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.airflow.conftest import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

LATE = '''
"""The toy, which takes its time."""

import time

from pipelines.projects.toy import Toy


class Late(Toy):
    name = "late"

    def fit(self, *arguments):
        time.sleep(12)
        return super().fit(*arguments)


PROJECT = Late
'''
NAMED = '''
"""The toy under another name."""

from pipelines.projects.toy import Toy


class Named(Toy):
    name = "NAME"


PROJECT = Named
'''


def told(installation: Installation, title: str) -> dict[str, str]:
    """The message with that title, once it has come."""
    end = time.monotonic() + 60
    while True:
        found = [body for body in installation.webhook.got if body["title"].startswith(title)]
        if found:
            time.sleep(2)  # a second one would be on its way
            assert len([body for body in installation.webhook.got if body["title"].startswith(title)]) == 1
            return found[0]
        assert time.monotonic() < end, installation.webhook.titles
        time.sleep(0.3)


def test_a_failed_run_is_told_once_with_message_and_link(installation: Installation, new_project: Callable[..., Path]) -> None:
    new_project("broken", NAMED.replace("NAME", "broken"), {"data.csv": "0.1,0.2,1\n0.3,oops,0\n"})
    failed = installation.run("broken")
    assert failed.exit_code == 3
    message = told(installation, "broken: training failed in validate")["message"]
    assert "expected rows of three numbers" in message
    assert failed.url in message
    assert "docs/runbook.md#failure" in message


def test_a_refused_promotion_is_told(installation: Installation, new_project: Callable[..., Path]) -> None:
    new_project("modest", NAMED.replace("NAME", "modest"))
    refused = installation.run("modest", overrides={"gates.floors": {"accuracy": 1.0}})
    assert refused.exit_code == 0
    assert "Nothing serves yet." in told(installation, "modest: promotion of version 1 refused")["message"]


def test_a_missed_deadline_is_told_while_the_run_goes_on(installation: Installation, new_project: Callable[..., Path]) -> None:
    new_project("late", LATE)
    (installation.projects / "late" / "deployment.yaml").open("a").write("deadline: PT8S\n")
    assert installation.run("late").exit_code == 0
    told(installation, "late: training not finished by")
