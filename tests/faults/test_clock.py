"""The clock is set back while something waits for it: nothing is lost, nothing is younger than nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.alerts import outbox
from pipelines.alerts.alert import Alert
from pipelines.core.alarms import Alarms
from pipelines.core.backend import FolderBackend
from pipelines.core.deployment import Retraining
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Verdict
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.run import Run, new_id
from pipelines.core.store import Store
from pipelines.tracking import leases

HOUR = timedelta(hours=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Sets the clock that the platform reads by so much."""
    import sys

    def jump(by: timedelta) -> None:
        class Shifted(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return datetime.now(UTC) + by

        for name, module in list(sys.modules.items()):
            if name.startswith("pipelines.") and isinstance(getattr(module, "datetime", None), type):
                monkeypatch.setattr(module, "datetime", Shifted)

    return jump


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBackend(tmp_path / "store"))


def test_an_alert_that_waits_is_sent_although_the_clock_went_back(
    store: Store, clock: Callable[[timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    up = False
    monkeypatch.setenv("PIPELINES_ALERTS", "json://127.0.0.1:9/hook")
    monkeypatch.setattr(outbox, "by_apprise", lambda channel, alert: up and not sent.append(alert.title))
    alert = Alert(kind="drift", project="toy", key="w1", title="toy: drift", body="", owner="me", runbook="")
    outbox.send(store, [alert])
    up = True
    clock(-5 * HOUR)
    outbox.send(store, [])
    assert sent == ["toy: drift"]
    assert store.keys("outbox/") == []


def test_an_alarm_is_answered_although_the_clock_went_back(store: Store, clock: Callable[[timedelta], None]) -> None:
    alarms, policy = Alarms(store, "toy"), Retraining(cooldown=timedelta(days=3), per_week=1)
    verdict = Verdict(project="toy", champion=1, window="week 1", outcome="drift")
    alarms.sound(verdict, Run(project="toy", as_of=datetime.now(UTC)), policy)
    clock(-48 * HOUR)
    run = Run(project="toy", started_by="drift", as_of=datetime.now(UTC) - 48 * HOUR)
    (name,) = alarms.claim(run)
    alarms.finish(run, "trained")
    assert [event.kind for event in alarms.events()] == ["raised", "claimed", "answered"], "in order of writing, not of the clock"
    assert alarms.open() == ()
    assert name == "week-1-v1"


def test_a_retraining_of_the_future_does_not_count_against_the_budget(store: Store) -> None:
    """It was claimed under a clock that was wrong; else no alarm would be answered until that day."""
    alarms, policy = Alarms(store, "toy"), Retraining(cooldown=timedelta(days=3), per_week=1)
    now = datetime.now(UTC) - timedelta(days=30)

    def sound(week: int, at: datetime) -> str:
        verdict = Verdict(project="toy", champion=1, window=f"week {week}", outcome="drift")
        event = alarms.sound(verdict, Run(project="toy", as_of=at), policy)
        assert event is not None
        return event.kind

    assert sound(1, now + timedelta(days=29)) == "raised"
    alarms.claim(Run(project="toy", started_by="drift", as_of=now + timedelta(days=29)))
    assert sound(2, now) == "raised"


def test_the_history_keeps_its_order(store: Store, clock: Callable[[timedelta], None]) -> None:
    ledger = Ledger(store)
    ledger.append("toy", Entry(kind="promotion", run="a", why="", version=1))
    clock(-48 * HOUR)
    ledger.append("toy", Entry(kind="promotion", run="b", why="", version=2, replaced=1), champion=1)
    champion = ledger.history("toy").champion
    assert champion is not None
    assert champion.version == 2


def test_a_run_that_began_at_midnight_goes_on_before_midnight(clock: Callable[[timedelta], None]) -> None:
    began = datetime.now(UTC)
    clock(-timedelta(minutes=10))
    Run(project="toy", as_of=began)  # each of its tasks makes this anew
    with pytest.raises(ConfigError, match="in the future"):
        Run(project="toy", as_of=began + 2 * HOUR)


def test_the_lease_of_a_living_run_outlives_the_clock(clock: Callable[[timedelta], None]) -> None:
    tags = leases.lease(Run(project="toy", runner="airflow"))
    for by in (-48 * HOUR, timedelta(minutes=50)):
        clock(by)
        assert leases.why_gone(tags) is None
    clock(2 * leases.LEASE)
    assert leases.why_gone(tags)


def test_ids_stay_unique(clock: Callable[[timedelta], None]) -> None:
    before = {new_id("run") for _ in range(50)}
    clock(-HOUR)
    assert not before & {new_id("run") for _ in range(50)}
