"""A person between evaluate and promote, on the real Airflow: asked with the evidence, answered by REST as by the UI."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.core.ledger import Entry
from pipelines.core.run import new_id
from pipelines.tracking import registry
from tests.integration.airflow.conftest import Installation, await_dags

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

CAREFUL = '''
"""The toy under another name."""

from pipelines.projects.toy import Toy


class Careful(Toy):
    name = "NAME"


PROJECT = Careful
'''
DEPLOYMENT = """
owner: tests
title: Careful
description: Nothing is promoted unseen.
approval: {{within: {within}}}
retry: {{attempts: 2, delay: 1}}
"""


class Careful:
    """One project whose promotions are approved, and what its tests do and see."""

    def __init__(self, installation: Installation, name: str) -> None:
        self.installation, self.airflow, self.name = installation, installation.airflow, name
        await_dags(installation.airflow, {f"{name}_training"})

    def start(self, **conf: Any) -> str:
        asked = {"dag_run_id": new_id("run"), "logical_date": None, "conf": {"profile": "sample", **conf}}
        run: str = self.airflow.send("POST", f"/dags/{self.name}_training/dagRuns", asked)["dag_run_id"]
        return run

    def until(self, run: str, task: str, *states: str) -> dict[str, Any]:
        end = time.monotonic() + 120
        while True:
            found: dict[str, Any] = self.airflow.get(f"{self.where(run)}/taskInstances/{task}")
            if found and found["state"] in states:
                return found
            assert time.monotonic() < end, found
            time.sleep(0.3)

    def where(self, run: str) -> str:
        return f"/dags/{self.name}_training/dagRuns/{run}"

    def question(self, run: str) -> dict[str, Any]:
        self.until(run, "approve", "awaiting_input")
        time.sleep(3)  # Airflow 3.3 fails a task that is answered before its worker has gone; no person is that quick
        found: dict[str, Any] = self.airflow.get(f"{self.where(run)}/taskInstances/approve/-1/hitlDetails")
        return found

    def answer(self, run: str, option: str, reason: str = "") -> None:
        where = f"{self.where(run)}/taskInstances/approve/-1/hitlDetails"
        self.airflow.send("PATCH", where, {"chosen_options": [option], "params_input": {"reason": reason}})

    def history(self) -> list[Entry]:
        entries = registry.history(self.name, self.installation.settings).entries
        return [entry for entry in entries if entry.kind != "baseline"]


@pytest.fixture
def careful(installation: Installation, new_project: Callable[..., Path]) -> Callable[..., Careful]:
    def make(name: str, within: str = "PT1H") -> Careful:
        new_project(name, CAREFUL.replace("NAME", name), {"deployment.yaml": DEPLOYMENT.format(within=within)})
        return Careful(installation, name)

    return make


def test_approved_it_is_promoted_and_the_history_says_by_whom(careful: Callable[..., Careful]) -> None:
    project = careful("careful")
    run = project.start()
    asked = project.question(run)
    assert asked["subject"] == "Careful: promote the new model?"
    assert "#### Criteria" in asked["body"]
    assert (asked["options"], asked["defaults"]) == (["Approve", "Reject"], ["Reject"])
    stranger = httpx.patch(
        f"{project.installation.stack.airflow_url}/api/v2{project.where(run)}/taskInstances/approve/-1/hitlDetails"
    )
    assert stranger.status_code == 401
    assert project.history() == []
    project.answer(run, "Approve", "looks right")
    project.until(run, "close", "success")
    (entry,) = project.history()
    assert entry.kind == "promotion"
    assert entry.approval is not None
    assert (entry.approval.by, entry.approval.why) == ("admin", "looks right")
    again = project.start()  # nothing is new, so nobody is asked
    project.until(again, "approve", "success")
    project.until(again, "close", "success")
    assert len(project.history()) == 1


def test_rejected_it_is_not_and_the_champion_keeps_serving(careful: Callable[..., Careful]) -> None:
    project = careful("careful_no")
    first = project.start()
    project.question(first)
    project.answer(first, "Approve")
    project.until(first, "close", "success")
    second = project.start(overrides={"seed": 11})
    asked = project.question(second)
    assert "which serves, it gains" in asked["body"]
    project.answer(second, "Reject", "the week of the strike is in it")
    project.until(second, "close", "success")
    promotion, rejection = project.history()
    assert (promotion.kind, rejection.kind) == ("promotion", "rejection")
    assert "rejected by admin" in rejection.why
    assert "the week of the strike is in it" in rejection.why


def test_nobody_answers_in_time(careful: Callable[..., Careful]) -> None:
    project = careful("careful_late", within="PT5S")
    run = project.start()
    project.until(run, "close", "success")
    (entry,) = project.history()
    assert entry.kind == "rejection"
    assert entry.approval is not None
    assert (entry.approval.by, entry.approval.approved) == ("nobody", False)
    assert "nobody answered within" in entry.approval.why
