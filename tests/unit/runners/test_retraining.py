"""Drift alarms and the runs that answer them, whatever runs the chain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.core.alarms import Alarms
from pipelines.core.deployment import Retraining
from pipelines.core.discovery import Definition
from pipelines.core.errors import DataError
from pipelines.core.evidence import Verdict
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.runners import in_process, retraining
from pipelines.runners.policies import Asked
from pipelines.tracking import open_runs

Sessions = Callable[..., Session]
MONDAY = datetime(2025, 3, 3, tzinfo=UTC)


def sound(session: Session, window: str, policy: Retraining | None = None) -> str:
    verdict = Verdict(project="toy", champion=1, window=window, outcome="drift", recommendation="retrain")
    event = Alarms(session.store, "toy").sound(verdict, session.run, policy or Retraining(cooldown=timedelta(0), per_week=1000))
    assert event
    return event.kind


def story(session: Session) -> list[tuple[str, str]]:
    return [(event.kind, event.run) for event in Alarms(session.store, "toy").events()]


def test_a_training_run_in_process_answers_the_open_alarms(toy_session: Sessions) -> None:
    check, train = toy_session("monitoring", id="check"), toy_session(id="train")
    sound(check, "week 1")
    in_process.run(train)
    assert story(train) == [("raised", "check"), ("claimed", "train"), ("answered", "train")]


def test_one_that_fails_opens_them_again(toy_session: Sessions) -> None:
    check, train = toy_session("monitoring", id="check"), toy_session(id="train", as_of=datetime(2020, 1, 1, tzinfo=UTC))
    sound(check, "week 1")
    with pytest.raises(DataError):
        in_process.run(train)
    assert story(train)[1:] == [("claimed", "train"), ("released", "train")]
    assert Alarms(train.store, "toy").open() == ("week-1-v1",)


@pytest.mark.parametrize(("kind", "stages"), [("training", ["features"]), ("monitoring", ["collect"])])
def test_what_decides_nothing_claims_nothing(kind: str, stages: Sequence[str], toy_session: Sessions) -> None:
    session = toy_session(kind, id="look", as_of=datetime(2025, 6, 2, tzinfo=UTC))
    sound(session, "week 1")
    in_process.run(session, stages)
    assert story(session) == [("raised", "look")]


@pytest.fixture
def retrains(toy: Definition) -> Callable[[str], None]:
    """Gives the toy a policy."""

    def policy(told: str) -> None:
        with (toy.folder / "deployment.yaml").open("a") as stream:
            stream.write(f"\nretraining: {told}\n")

    return policy


def test_an_alarm_whose_run_is_over_without_a_word_starts_another(toy_session: Sessions, retrains: Callable[[str], None]) -> None:
    retrains("{cooldown: PT0S, per_week: 1000}")
    check, train = toy_session("monitoring", id="check"), toy_session(id="train", runner="airflow")
    sound(check, "week 1")
    assert retraining.due(check) == ("week-1-v1",)
    retraining.claim(train)
    open_runs.hold(train)
    assert retraining.due(check) == (), "it is at work"
    open_runs.release(train.store, "toy", "train")  # the DAG run was deleted; the next run's sweep has closed it
    assert retraining.due(check) == ("week-1-v1",)


def test_what_failed_is_tried_again_when_the_policy_lets_it(toy_session: Sessions, retrains: Callable[[str], None]) -> None:
    retrains("{cooldown: P3D, per_week: 9}")
    first = toy_session(id="train-0", as_of=MONDAY, started_by="drift")
    sound(toy_session("monitoring", id="check-0", as_of=MONDAY), "week 1", Retraining(cooldown=timedelta(days=3), per_week=9))
    retraining.claim(first)
    retraining.finish(first, ["train"])
    later = [toy_session("monitoring", id=f"check-{day}", as_of=MONDAY + timedelta(days=day)) for day in range(1, 5)]
    assert [retraining.due(check) for check in later] == [(), (), ("week-1-v1",), ("week-1-v1",)]
    assert retraining.claim(toy_session(id="scheduled", as_of=MONDAY + timedelta(days=1))) == ("week-1-v1",)


def test_cooldown_and_budget_hold_in_a_rehearsal_of_policies(toy: Definition, settings: Settings) -> None:
    mondays = [MONDAY + timedelta(weeks=week) for week in range(5)]
    asked, told = Asked("toy", mondays, "sample"), []
    for monday in mondays:
        check, train = (asked.session("drift", monday, kind) for kind in ("monitoring", "training"))
        told.append(sound(check, f"{monday:%Y-%m-%d}", Retraining(cooldown=timedelta(days=14), per_week=1)))
        retraining.claim(train)
        retraining.finish(train)
    assert told == ["raised", "suppressed", "raised", "suppressed", "raised"]


IN_AIRFLOW = """
import json, types
from datetime import UTC, datetime
from pipelines.core.alarms import Alarms
from pipelines.core.deployment import Retraining
from pipelines.core.evidence import Verdict
from pipelines.runners import airflow_task

emitted = []
outlet = types.SimpleNamespace(add=lambda asset, extra=None: emitted.append(extra))

def monitoring(run_type, why):
    run = types.SimpleNamespace(
        dag_id="toy_monitoring", run_id=f"{run_type}__{why}", run_type=run_type,
        logical_date=datetime(2025, 3, 10, tzinfo=UTC), run_after=datetime(2025, 3, 10, tzinfo=UTC),
    )
    params = {"as_of": None, "profile": "sample", "overrides": {}, "why": why, "rehearsal": None, "fresh": False}
    context = {
        "dag_run": run, "params": params, "ti": types.SimpleNamespace(task_id="decide", try_number=1),
    }
    class Outlets(dict):
        def __missing__(self, key):
            return outlet
    context["outlet_events"] = Outlets()
    session = airflow_task.open_session(context, "toy", "monitoring")
    verdict = Verdict(project="toy", champion=1, window="2025-03-03..2025-03-10", outcome="drift")
    event = Alarms(session.store, "toy").sound(verdict, session.run, session.definition.deployment.retraining)
    airflow_task._tell_of_alarms(context, session)
    return [session.run.started_by, session.run.why, event and event.kind, len(emitted)]

print(json.dumps([monitoring("backfill", "what would spring have said?"), monitoring("scheduled", "backfill")]))
"""


def test_a_reason_given_with_a_backfill_starts_no_retraining(toy: Definition, retrains: Callable[[str], None]) -> None:
    retrains("{cooldown: PT0S, per_week: 1000}")
    done = subprocess.run([sys.executable, "-c", IN_AIRFLOW], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    past, live = json.loads(done.stdout.splitlines()[-1])
    assert past == ["backfill", "what would spring have said?", "suppressed", 0]
    assert live == ["schedule", "backfill", "raised", 1]
