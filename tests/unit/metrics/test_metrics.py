"""Numbers arrive at a collector, from real runs; and a collector that is away harms none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from pipelines import metrics
from pipelines.cli import main
from pipelines.core.alarms import Alarms
from pipelines.core.artifacts import StageResult
from pipelines.core.deployment import Retraining
from pipelines.core.errors import DataError
from pipelines.core.evidence import Channel, Drift, Verdict
from pipelines.core.execution import Session, save
from pipelines.core.ledger import Ledger
from pipelines.core.settings import ROOT, Settings
from pipelines.runners import in_process
from pipelines.tracking import records
from pipelines.tracking.runs import MlflowTracker
from tests.loopback import Collector

Sessions = Callable[..., Session]
EASY = {"gates.floors": {"accuracy": 0.5}, "gates.not_worse_by": 1.0}


@pytest.fixture
def collector(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector on loopback, to which `PIPELINES_METRICS` points."""
    server = Collector()
    monkeypatch.setenv("PIPELINES_METRICS", server.url)
    with server.serving():
        yield server


def run(session: Session) -> None:
    tracker = MlflowTracker(session.settings)
    in_process.run(session, tracker=tracker)
    tracker.finish(session, "FINISHED")


def test_a_project_from_training_to_rollback(collector: Collector, toy_session: Sessions, settings: Settings) -> None:
    for seed in (1, 2):
        run(toy_session(overrides={"seed": seed, **EASY}))
    run(toy_session("monitoring", as_of=datetime(2025, 6, 2, tzinfo=UTC), overrides={"monitor.rows": 5, **EASY}))
    ledger = Ledger(toy_session().store)
    champion = ledger.history("toy").champion
    assert champion is not None
    score = champion.metrics["accuracy"]
    for bound in ("value", "low", "high"):
        assert collector.newest("pipelines.champion.score", metric="accuracy", bound=bound) == score[bound]
    assert collector.newest("pipelines.champion.version", project="toy") == 2
    assert collector.newest("pipelines.champion.promoted", project="toy") == pytest.approx(champion.at.timestamp())
    assert collector.newest("pipelines.decisions", kind="promotion") == 2
    assert collector.newest("pipelines.run.failed", graph="training") == 0
    stages = [told["stage"] for told, _ in collector.points["pipelines.stage.seconds"]]
    assert {"ingest", "train-linear", "baseline", "check"} <= set(stages)
    assert (collector.newest("pipelines.run.seconds", graph="training") or 0) > 0
    assert (collector.newest("pipelines.rows", graph="training", part="test") or 0) > 0
    assert (collector.newest("pipelines.rows", graph="monitoring", part="window") or 0) > 0
    assert collector.newest("pipelines.drift") in (0, 1)
    assert 0 < (collector.newest("pipelines.drift.p_value", project="toy") or 0) <= 1
    assert main(["rollback", "toy", "--why", "to see"]) == 0
    assert collector.newest("pipelines.decisions", kind="rollback") == 1
    assert collector.newest("pipelines.champion.version") == 1
    assert set(collector.points) <= set(metrics.CATALOG)


@pytest.mark.parametrize(
    ("outcome", "moved", "told"),
    [
        ("drift", False, 1),
        ("watch", True, 0),
        ("no drift", False, 0),
        ("data quality", True, None),
        ("too small to judge", False, None),
    ],
)
def test_drift_is_what_the_verdict_says_not_what_moved(
    outcome: str, moved: bool, told: float | None, collector: Collector, toy_session: Sessions
) -> None:
    session = toy_session("monitoring")
    channel = Channel(name="x0", kind="numeric", statistic=0.1, effect=0.2, p_value=0.03, drifted=moved)
    drift = Drift(
        champion=1, rows=500, reference_rows=900, judged=True, false_alarm_rate=0.02, method="", channels=(channel,), p_value=0.03
    )
    finished = {"check": {"drift": drift}, "decide": {"verdict": Verdict(project="toy", champion=1, window="w", outcome=outcome)}}
    for node, values in finished.items():
        outputs = save(session, session.graph.node(node), values, "by hand")
        records.remember(session, StageResult(node=node, fingerprint="by hand", outputs=outputs))
    metrics.tell_run(session, "success")
    assert collector.newest("pipelines.drift") == told
    assert collector.newest("pipelines.drift.p_value") == 0.03


def test_alarms_are_counted_by_what_became_of_them(collector: Collector, toy_session: Sessions) -> None:
    session = toy_session("monitoring")
    alarms = Alarms(session.store, "toy")
    for window, policy in (("week 1", Retraining()), ("week 2", Retraining()), ("week 3", None)):
        verdict = Verdict(project="toy", champion=1, window=window, outcome="drift", recommendation="retrain")
        alarms.sound(verdict, session.run, policy)
    metrics.tell_project(session.store, "toy")
    assert collector.newest("pipelines.alarms", state="waiting") == 2
    assert collector.newest("pipelines.alarms", state="suppressed") == 1


@pytest.mark.parametrize("asked", [{"rehearsal": "spring"}, {"started_by": "backfill"}])
def test_what_looks_back_leaves_the_numbers_of_what_serves_alone(
    asked: dict[str, str], collector: Collector, toy_session: Sessions
) -> None:
    run(toy_session(overrides=EASY, **asked))
    with pytest.raises(DataError):
        run(toy_session(as_of=datetime(2020, 1, 1, tzinfo=UTC), **asked))
    metrics.tell_project(toy_session(rehearsal="spring").store, "toy")
    assert not collector.points


def test_a_run_that_fails_says_so(collector: Collector, toy_session: Sessions) -> None:
    with pytest.raises(DataError):
        run(toy_session(as_of=datetime(2020, 1, 1, tzinfo=UTC)))
    assert collector.newest("pipelines.run.failed", graph="training") == 1


@pytest.mark.parametrize("away", ["answers 503", "nobody listens", "no URL at all"])
def test_a_collector_that_is_away_fails_nothing_and_costs_little(
    away: str, toy_session: Sessions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, free_port: int
) -> None:
    server = Collector()
    server.up = False
    url = {"answers 503": server.url, "nobody listens": f"http://me:hunter2hunter2@127.0.0.1:{free_port}/", "no URL at all": "?"}
    monkeypatch.setenv("PIPELINES_METRICS", url[away])
    with server.serving():
        began = time.monotonic()
        metrics.tell_run(toy_session(), "success")
        assert time.monotonic() - began < 30
    (record,) = [record for record in caplog.records if "metrics" in record.message]
    assert "hunter2" not in caplog.text
    assert record.levelname == "WARNING"


def test_records_that_cannot_be_read_fail_nothing(
    collector: Collector, toy_session: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    session = toy_session()
    session.store.create("ledger/toy/000001.json", b"broken")
    metrics.tell_run(session, "success")
    assert "nothing was sent" in caplog.text
    assert not collector.points


def test_off_by_default(toy_session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    metrics.tell_run(toy_session(), "success")
    assert not [name for name in sys.modules if name.startswith("opentelemetry.exporter")]


def test_the_page_names_every_metric_with_its_meaning() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert [name for name, told in metrics.CATALOG.items() if f"| `{name}` | {told} |" not in page] == []
