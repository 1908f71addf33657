"""What people are told of a run, that they are told once, and that a broken channel harms nothing."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from pipelines.alerts import Alert, missed, of_run, outbox, send
from pipelines.alerts import __main__ as told
from pipelines.core.alarms import Alarms
from pipelines.core.artifacts import StageResult
from pipelines.core.deployment import AlertKind, Retraining
from pipelines.core.evidence import Verdict
from pipelines.core.execution import Session, save
from pipelines.core.settings import ROOT
from pipelines.runners import airflow_deadline
from pipelines.tracking import open_runs, records
from tests.loopback import Webhook

Sessions = Callable[..., Session]
RUN = "toy_training.run-1"
OVERDUE = {
    "dag_run": {"dag_id": "toy_training", "dag_run_id": "run-1"},
    "deadline": {"deadline_time": "2025-03-03T06:00:00+00:00"},
}
"""What Airflow hands over of a run that is late."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A channel on loopback, the only one there is."""
    server = Webhook()
    monkeypatch.setenv("PIPELINES_ALERTS", server.channel)
    with server.serving():
        yield server


def finished(session: Session, node: str, **values: Any) -> None:
    """A node's outputs, on record as a runner leaves them."""
    outputs = save(session, session.graph.node(node), values, "by hand")
    records.remember(session, StageResult(node=node, fingerprint="by hand", outputs=outputs))


def refused(session: Session, entry: int = 2) -> None:
    told = {"outcome": "refused", "version": 2, "champion": 1, "reason": "refused: floor: accuracy", "entry": entry}
    finished(session, "promote", promotion=told)


def drifted(session: Session, policy: Retraining | None) -> None:
    verdict = Verdict(project="toy", champion=1, window="week 9", outcome="drift", channels=("x0",), recommendation="look at x0")
    finished(session, "decide", verdict=verdict)
    Alarms(session.store, "toy").sound(verdict, session.run, policy)


def test_a_failed_run_tells_stage_message_owner_and_what_to_do(toy_session: Sessions) -> None:
    session = toy_session(id=RUN)
    open_runs.remember_error(session, "validate", {"error.stage": "validate", "error.message": "column x0: 3 rows are missing"})
    (alert,) = of_run(session, "failed")
    assert (alert.kind, alert.title) == ("failure", "toy: training failed in validate")
    assert "column x0: 3 rows are missing" in alert.text
    assert "The champion keeps serving." in alert.text
    assert "Owner: tests" in alert.text
    assert "What to do: docs/runbook.md#failure" in alert.text


def test_a_run_whose_tasks_were_killed_is_told_of_too(toy_session: Sessions) -> None:
    (alert,) = of_run(toy_session(id=RUN), "failed")
    assert "a task that left no word" in alert.title


def test_a_good_run_tells_nothing(toy_session: Sessions) -> None:
    session = toy_session(id=RUN)
    finished(session, "promote", promotion={"outcome": "promoted", "version": 1, "champion": 1, "reason": "", "entry": 1})
    assert of_run(session, "success") == []


def test_a_refused_promotion_is_told_with_its_reason(toy_session: Sessions) -> None:
    session = toy_session(id=RUN)
    refused(session)
    (alert,) = of_run(session, "success")
    assert alert.title == "toy: promotion of version 2 refused"
    assert "floor: accuracy" in alert.body
    assert "Version 1 keeps serving." in alert.body


@pytest.mark.parametrize(
    ("policy", "then"),
    [(Retraining(), "Retraining starts."), (None, "No retraining: deployment.yaml has no section `retraining`")],
)
def test_drift_is_told_with_what_follows(toy_session: Sessions, policy: Retraining | None, then: str) -> None:
    session = toy_session("monitoring", id="toy_monitoring.run-1")
    drifted(session, policy)
    (alert,) = of_run(session, "success")
    assert alert.title == "toy: drift in week 9"
    assert "Moved: x0" in alert.body
    assert then in alert.body


def test_broken_data_are_told_and_retrain_nothing(toy_session: Sessions) -> None:
    session = toy_session("monitoring", id="toy_monitoring.run-1")
    advice = "look at the source, not at the model: volume 9 rows"
    told = Verdict(project="toy", champion=1, window="week 9", outcome="data quality", recommendation=advice)
    finished(session, "decide", verdict=told)
    (alert,) = of_run(session, "success")
    assert (alert.kind, alert.title) == ("drift", "toy: data quality in week 9")
    assert "look at the source" in alert.body
    assert "No retraining: broken data would teach a model the breakage" in alert.body


def test_a_window_that_was_broken_and_has_drifted_since_is_told_of_twice(toy_session: Sessions, webhook: Webhook) -> None:
    broken = toy_session("monitoring", id="toy_monitoring.run-1")
    told = Verdict(project="toy", champion=1, window="week 9", outcome="data quality", recommendation="look at the source")
    for _ in range(2):
        finished(broken, "decide", verdict=told)
        send(broken.store, of_run(broken, "success"))
    mended = toy_session("monitoring", id="toy_monitoring.run-2")
    drifted(mended, Retraining())
    send(mended.store, of_run(mended, "success"))
    assert webhook.titles == ["toy: data quality in week 9", "toy: drift in week 9"]


def test_an_alarm_of_a_later_window_is_told_by_the_run_that_raised_it(toy_session: Sessions, webhook: Webhook) -> None:
    late = toy_session("monitoring", id="toy_monitoring.late")
    calm = Verdict(project="toy", champion=1, window="week 8", outcome="watch")
    finished(late, "decide", verdict=calm)
    alarm = Verdict(project="toy", champion=1, window="week 9", outcome="drift", recommendation="retrain")
    Alarms(late.store, "toy").sound(alarm, late.run, Retraining())
    for session in (late, toy_session("monitoring", id="toy_monitoring.other")):
        send(session.store, of_run(session, "success"))
    assert webhook.titles == ["toy: drift in week 9"]


def test_training_and_monitoring_that_are_killed_on_one_day_are_two_messages(toy_session: Sessions, webhook: Webhook) -> None:
    for graph in ("training", "monitoring"):
        session = toy_session(graph, id=f"toy_{graph}.run-1")
        send(session.store, of_run(session, "failed"))
    assert [title.partition(" failed")[0] for title in webhook.titles] == ["toy: training", "toy: monitoring"]


def test_a_missed_deadline(toy_session: Sessions) -> None:
    (alert,) = missed(toy_session(id=RUN), "2025-03-03 06:00 UTC")
    assert alert.title == "toy: training not finished by 2025-03-03 06:00 UTC"


LIVE = {"started_by": "schedule"}
PAST = [{"rehearsal": "spring"}, {"started_by": "backfill"}, {"started_by": "backfill", "rehearsal": "backfill"}]


@pytest.mark.parametrize("asked", [LIVE, *PAST])
def test_nobody_is_told_of_a_rehearsal_or_a_backfill(asked: dict[str, Any], toy_session: Sessions, webhook: Webhook) -> None:
    session = toy_session(id=RUN, runner="airflow", **asked)
    refused(session)
    told.main("toy", "training", RUN, "failed")
    airflow_deadline.missed("toy", OVERDUE)
    assert len(webhook.titles) == (3 if asked is LIVE else 0), webhook.titles


def test_a_backfill_whose_first_task_was_killed_tells_nobody(toy: Any, webhook: Webhook) -> None:
    told.main("toy", "training", "toy_training.backfill__2025-03-03T00:00:00+00:00", "failed")
    assert webhook.titles == []
    told.main("toy", "training", "toy_training.scheduled__2025-03-03T00:00:00+00:00", "failed")
    assert webhook.titles == ["toy: training failed in a task that left no word"]


def test_a_project_chooses_what_it_tells(toy: Any, toy_session: Sessions) -> None:
    with (toy.folder / "deployment.yaml").open("a") as stream:
        stream.write("alerts: {tell: [drift]}\n")
    session = toy_session(id=RUN)
    refused(session)
    assert of_run(session, "failed") == []
    assert missed(session, "now") == []


def test_the_link_leads_to_the_dag_run(toy_session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:8080")
    (alert,) = of_run(toy_session(id=RUN), "failed")
    assert "Run: http://127.0.0.1:8080/dags/toy_training/runs/run-1" in alert.text


def test_secrets_in_a_message_do_not_leave(toy_session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2hunter2")
    session = toy_session(id=RUN)
    told = {"error.stage": "ingest", "error.message": "cannot log in with hunter2hunter2"}
    open_runs.remember_error(session, "ingest", told)
    (alert,) = of_run(session, "failed")
    assert "hunter2hunter2" not in alert.text


# sending ----------------------------------------------------------------------------------------------------------------


def test_each_alert_is_told_once(toy_session: Sessions, webhook: Webhook) -> None:
    session = toy_session(id=RUN)
    refused(session)
    for _ in range(3):
        send(session.store, of_run(session, "success"))
    assert webhook.titles == ["toy: promotion of version 2 refused"]
    refused(session, entry=3)
    send(session.store, of_run(session, "success"))
    assert len(webhook.got) == 2


def test_the_same_failure_twice_a_day_is_one_message(toy_session: Sessions, webhook: Webhook) -> None:
    for number in (1, 2):
        session = toy_session(id=f"toy_training.run-{number}")
        open_runs.remember_error(session, "ingest", {"error.stage": "ingest", "error.message": "no such file"})
        send(session.store, of_run(session, "failed"))
    assert len(webhook.got) == 1


def test_a_broken_channel_harms_nothing_and_is_tried_again(
    toy_session: Sessions, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    session, webhook.up = toy_session(id=RUN), False
    refused(session)
    (alert,) = of_run(session, "success")
    with caplog.at_level(logging.INFO, logger="pipelines"):
        send(session.store, [alert.model_copy(update={"at": datetime.now(UTC) - timedelta(minutes=2)})])
    assert "promotion of version 2 refused" in caplog.text  # the log has it whatever the channel does
    assert "did not reach channel 1 (json)" in caplog.text
    assert "hunter2hunter2" not in caplog.text
    webhook.up = True
    send(session.store, [])
    send(session.store, [])
    assert webhook.titles == ["toy: promotion of version 2 refused"]


def test_what_waits_is_left_a_minute_to_the_process_that_told_it(toy_session: Sessions, webhook: Webhook) -> None:
    session, webhook.up = toy_session(id=RUN), False
    send(session.store, of_run(session, "failed"))
    webhook.up = True
    send(session.store, [])
    assert webhook.got == []


def test_runs_that_end_at_once_send_what_waits_once(
    toy_session: Sessions, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, webhook.up = toy_session(id=RUN), False
    send(session.store, [older(alert, minutes=5) for alert in of_run(session, "failed")])
    webhook.up, together = True, threading.Barrier(4)
    at_once = outbox.by_apprise

    def slowly(channel: str, alert: Alert) -> bool:
        time.sleep(0.2)
        return at_once(channel, alert)

    def ends() -> None:
        together.wait(30)
        send(session.store, [])

    monkeypatch.setattr(outbox, "by_apprise", slowly)
    runs = [threading.Thread(target=ends) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(webhook.got) == 1
    assert (session.store.keys("outbox/"), session.store.keys("sending/")) == ([], [])


@pytest.mark.parametrize(("minutes", "arrives"), [(0, False), (2, True)])
def test_what_a_killed_process_was_about_to_send_is_sent_a_minute_later(
    minutes: int, arrives: bool, toy_session: Sessions, webhook: Webhook
) -> None:
    session, webhook.up = toy_session(id=RUN), False
    send(session.store, [older(alert, minutes=5) for alert in of_run(session, "failed")])
    name = session.store.keys("outbox/")[0].removeprefix("outbox/")
    killed = datetime.now(UTC) - timedelta(minutes=minutes)
    assert session.store.create(f"sending/{name}/000001", killed.isoformat().encode())
    webhook.up = True
    send(session.store, [])
    assert bool(webhook.got) == arrives


def test_an_alert_whose_process_was_killed_before_it_was_told_is_told_once(toy_session: Sessions, webhook: Webhook) -> None:
    session, webhook.up = toy_session(id=RUN), False
    alerts = [older(alert, minutes=5) for alert in of_run(session, "failed")]
    send(session.store, alerts)
    for key in session.store.keys("alerts/"):
        session.store.remove(key)
    webhook.up = True
    send(session.store, [])
    send(session.store, alerts)
    assert len(webhook.got) == 1


def older(alert: Alert, minutes: float) -> Alert:
    return alert.model_copy(update={"at": datetime.now(UTC) - timedelta(minutes=minutes)})


def test_what_has_arrived_is_not_looked_at_again(toy_session: Sessions, webhook: Webhook) -> None:
    session = toy_session(id=RUN)
    send(session.store, of_run(session, "failed"))
    assert (len(webhook.got), session.store.keys("outbox/")) == (1, [])


def test_a_wrong_url_and_no_channel_at_all(toy_session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    session = toy_session(id=RUN)
    monkeypatch.setenv("PIPELINES_ALERTS", "nonsense")
    assert len(send(session.store, of_run(session, "failed"))) == 1
    monkeypatch.delenv("PIPELINES_ALERTS")
    assert send(session.store, of_run(session, "failed")) == []


def test_old_news_is_not_sent_and_the_log_says_so(
    toy_session: Sessions, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    session, webhook.up = toy_session(id=RUN), False
    (alert,) = of_run(session, "failed")
    send(session.store, [alert.model_copy(update={"at": datetime.now(UTC) - timedelta(days=2)})])
    webhook.up = True
    send(session.store, [])
    assert (webhook.got, session.store.keys("outbox/")) == ([], [])
    assert "did not reach channel 1 (json); a day has passed, it is given up" in caplog.text


def test_no_secret_of_a_channel_is_kept(toy_session: Sessions, webhook: Webhook) -> None:
    session, webhook.up = toy_session(id=RUN), False
    send(session.store, of_run(session, "failed"))
    kept = [session.store.read(key) or b"" for place in ("alerts/", "outbox/") for key in session.store.keys(place)]
    assert kept
    assert not any(b"hunter2" in record for record in kept)


@pytest.mark.parametrize("kind", get_args(AlertKind))
def test_the_runbook_has_a_section_for_each_kind(kind: str) -> None:
    assert re.search(rf"^## {kind}$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
