"""`pipelines alarms`: what drift did, for people and for scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipelines.core.alarms import Alarms
from pipelines.core.deployment import Retraining
from pipelines.core.evidence import Verdict
from pipelines.core.run import Run


def test_alarms_are_told_with_what_became_of_them(cli: Any, toy_session: Any) -> None:
    assert "No alarm yet" in cli("alarms", "toy").out
    alarms = Alarms(toy_session().store, "toy")
    check = Run(project="toy", id="check-1", as_of=datetime(2025, 3, 10, tzinfo=UTC))
    for window, policy in (("week 1", Retraining()), ("week 2", None)):
        verdict = Verdict(project="toy", champion=1, window=window, outcome="drift", recommendation="retrain")
        alarms.sound(verdict, check, policy)
    train = Run(project="toy", id="train-1", as_of=check.as_of, started_by="drift")
    alarms.claim(train)
    alarms.finish(train, "trained, judged and decided")
    told = cli("alarms", "toy").out
    assert "suppressed week-2-v1" in told
    assert "deployment.yaml has no section `retraining`" in told
    assert "answered   week-1-v1" in told
    assert [event["kind"] for event in cli("alarms", "toy", "--json").json] == ["raised", "suppressed", "claimed", "answered"]


def test_an_unknown_project_is_wrong_use(cli: Any, toy: Any) -> None:
    said = cli("alarms", "tyo")
    assert said.code == 2
    assert "there is no project 'tyo'" in said.err
