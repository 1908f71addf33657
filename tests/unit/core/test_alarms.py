"""Drift alarms: each kept once, each answered, none lost whatever order things happen in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipelines.core.alarms import Alarms
from pipelines.core.backend import FolderBackend
from pipelines.core.deployment import Retraining
from pipelines.core.evidence import Verdict
from pipelines.core.run import Run
from pipelines.core.store import Store

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
EAGER = Retraining(cooldown=timedelta(0), per_week=1000)


def drift(window: str, champion: int = 1) -> Verdict:
    return Verdict(project="toy", champion=champion, window=window, outcome="drift", recommendation="retrain")


def run(name: str, day: float = 0, by: Any = "drift") -> Run:
    return Run(project="toy", id=name, as_of=MONDAY + timedelta(days=day), started_by=by)


@pytest.fixture
def alarms(tmp_path: Path) -> Alarms:
    return Alarms(Store(FolderBackend(tmp_path)), "toy")


def kinds(alarms: Alarms) -> list[str]:
    return [event.kind for event in alarms.events()]


def test_an_alarm_is_open_until_a_run_has_claimed_and_answered_it(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    assert alarms.open() == ("week-1-v1",)
    assert alarms.claim(run("train-1")) == ("week-1-v1",)
    assert alarms.open() == ()
    alarms.finish(run("train-1"), "promoted")
    assert (alarms.open(), alarms.of("train-1")) == ((), ("week-1-v1",))
    assert kinds(alarms) == ["raised", "claimed", "answered"]


def test_doing_it_again_changes_nothing(alarms: Alarms) -> None:
    for _ in range(2):
        alarms.sound(drift("week 1"), run("check-1"), EAGER)
    for _ in range(2):
        assert alarms.claim(run("train-1")) == ("week-1-v1",)
    for _ in range(2):
        alarms.finish(run("train-1"), None, ["train"])
    assert kinds(alarms) == ["raised", "claimed", "released"]


def test_one_run_answers_all_alarms_that_came_meanwhile(alarms: Alarms) -> None:
    for week in (1, 2, 3):
        alarms.sound(drift(f"week {week}"), run(f"check-{week}"), EAGER)
    assert alarms.claim(run("train-1")) == ("week-1-v1", "week-2-v1", "week-3-v1")
    alarms.sound(drift("week 4"), run("check-4"), EAGER)
    alarms.finish(run("train-1"), "refused")
    assert alarms.open() == ("week-4-v1",)
    assert alarms.claim(run("train-2")) == ("week-4-v1",)


def test_a_failed_run_opens_its_alarms_again_and_may_go_on_itself(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    alarms.claim(run("train-1"))
    alarms.finish(run("train-1"), None, ["evaluate"])
    assert alarms.open() == ("week-1-v1",)
    assert "failed in evaluate" in alarms.events()[-1].why
    alarms.claim(run("train-1"))  # its failed tasks were cleared
    assert alarms.open() == ()
    alarms.finish(run("train-1"), "promoted")
    assert (kinds(alarms)[-1], alarms.open()) == ("answered", ())


def test_a_claim_of_a_run_that_died_is_taken_over(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    alarms.claim(run("killed"))
    assert alarms.claim(run("train-2")) == ("week-1-v1",)
    alarms.finish(run("train-2"), "promoted")
    assert alarms.claim(run("train-3")) == ()


def test_a_cleared_run_answers_for_its_newest_alarms_alone(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    alarms.claim(run("train-1"))
    alarms.finish(run("train-1"), "promoted")
    alarms.sound(drift("week 2"), run("check-2"), EAGER)
    alarms.claim(run("train-1"))  # all its tasks were cleared
    alarms.finish(run("train-1"), None, ["train"])
    assert alarms.open() == ("week-2-v1",)


def test_of_two_runs_at_once_the_one_that_claimed_last_answers(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    alarms.claim(run("by-hand"))
    alarms.claim(run("scheduled"))
    for outcome in ("promoted", None):
        alarms.finish(run("by-hand"), outcome, ["train"])
    alarms.finish(run("scheduled"), "promoted")
    assert [(event.kind, event.run) for event in alarms.events()[2:]] == [("claimed", "scheduled"), ("answered", "scheduled")]


def test_a_claim_of_a_run_that_is_over_counts_as_none(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    alarms.claim(run("deleted"))
    assert alarms.open() == ()
    assert alarms.open({"deleted"}.__contains__) == ("week-1-v1",)
    assert alarms.due(MONDAY, EAGER, {"deleted"}.__contains__) == ("week-1-v1",)


def test_an_alarm_that_nobody_has_tried_is_due_whatever_was_trained_since(alarms: Alarms) -> None:
    policy = Retraining(cooldown=timedelta(days=3), per_week=1)
    alarms.sound(drift("week 1"), run("check-1"), policy)
    alarms.claim(run("train-1"))
    alarms.sound(drift("week 2"), run("check-2", 7), policy)
    alarms.finish(run("train-1"), "promoted")
    assert alarms.due(MONDAY, policy, lambda run: False) == ("week-2-v1",), "as of the run that closes"


def test_the_latest_retraining_counts_not_the_last_written(alarms: Alarms) -> None:
    for name, day in (("now", 20), ("clock-was-back", 10)):
        alarms.sound(drift(name), run(f"check-{name}", day), EAGER)
        alarms.claim(run(f"train-{name}", day))
    event = alarms.sound(drift("next"), run("check", 21), Retraining(cooldown=timedelta(days=3), per_week=9))
    assert event
    assert event.why.startswith("cooldown: the last retraining on drift was 1 days before")


def test_a_run_that_claims_twice_is_one_retraining(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    for _ in range(2):
        alarms.claim(run("train-1"))
        alarms.finish(run("train-1"), None, ["train"])
    event = alarms.sound(drift("week 2"), run("check-2", 1), Retraining(cooldown=timedelta(0), per_week=2))
    assert event
    assert event.kind == "raised"


def test_without_a_policy_an_alarm_is_kept_and_starts_nothing(alarms: Alarms) -> None:
    event = alarms.sound(drift("week 1"), run("check-1"), None)
    assert event
    assert event.kind == "suppressed"
    assert "deployment.yaml has no section `retraining`" in event.why
    assert (alarms.open(), alarms.claim(run("train-1"))) == ((), ())


def test_a_backfill_starts_nothing(alarms: Alarms) -> None:
    event = alarms.sound(drift("week 1"), run("check-1", by="backfill"), EAGER)
    assert event
    assert event.kind == "suppressed"
    assert "a backfill looks at the past" in event.why


def test_what_people_write_as_a_reason_decides_nothing(alarms: Alarms) -> None:
    said = {"started_by": "backfill", "why": "schedule"}
    event = alarms.sound(drift("week 1"), run("check-1").model_copy(update=said), EAGER)
    assert event
    assert event.kind == "suppressed"
    alarms.sound(drift("week 2"), run("check-2"), EAGER)
    alarms.claim(run("train-1", by="person").model_copy(update={"why": "drift"}))
    assert "started by person: drift" in alarms.events()[-1].why
    event = alarms.sound(drift("week 3"), run("check-3", 1), Retraining(cooldown=timedelta(days=3), per_week=1))
    assert event
    assert event.kind == "raised", "a person's retraining costs no budget"


def test_an_alarm_that_a_backfill_saw_first_is_raised_when_its_turn_comes(alarms: Alarms) -> None:
    for _ in range(2):
        alarms.sound(drift("week 1"), run("filled", by="backfill"), EAGER)
    alarms.sound(drift("week 1"), run("check-1", by="schedule"), EAGER)
    alarms.sound(drift("week 1"), run("filled", by="backfill"), EAGER)
    assert kinds(alarms) == ["suppressed", "raised"]
    assert alarms.open() == ("week-1-v1",)


@pytest.mark.parametrize(
    ("policy", "trained", "day", "reason"),
    [
        (Retraining(cooldown=timedelta(days=3), per_week=9), [0], 2, "cooldown: the last retraining on drift was 2 days before"),
        (Retraining(cooldown=timedelta(days=3), per_week=9), [0], 3, ""),
        (Retraining(cooldown=timedelta(0), per_week=2), [0, 1], 6.5, "budget: 2 retrainings on drift within a week; at most 2"),
        (Retraining(cooldown=timedelta(0), per_week=2), [0, 1], 7, ""),
        (Retraining(cooldown=timedelta(0), per_week=0), [], 0, "budget: 0 retrainings on drift within a week; at most 0"),
        (Retraining(cooldown=timedelta(days=3), per_week=1), [9], 2, ""),
    ],
    ids=["in cooldown", "cooldown over", "budget spent", "a week later", "no budget", "what came later does not count"],
)
def test_cooldown_and_budget(alarms: Alarms, policy: Retraining, trained: Sequence[float], day: float, reason: str) -> None:
    for number, when in enumerate(trained):
        alarms.sound(drift(f"before {number}"), run(f"check-{number}", when), EAGER)
        alarms.claim(run(f"train-{number}", when))
        alarms.finish(run(f"train-{number}", when), "promoted")
    event = alarms.sound(drift("now"), run("check-now", day), policy)
    assert event
    assert event.why.startswith(reason)
    assert event.kind == ("suppressed" if reason else "raised")


def test_scheduled_retraining_costs_no_budget(alarms: Alarms) -> None:
    alarms.sound(drift("week 1"), run("check-1"), EAGER)
    alarms.claim(run("train-1", by="schedule"))
    event = alarms.sound(drift("week 2"), run("check-2", 1), Retraining(cooldown=timedelta(days=3), per_week=1))
    assert event
    assert event.kind == "raised"


class AnyOrder(RuleBasedStateMachine):
    """Checks and training runs in any order, runs that die without a word: in the end every alarm is answered, once."""

    def __init__(self) -> None:
        super().__init__()
        self.alarms = Alarms(Store(Memory()), "toy")
        self.raised: set[str] = set()
        self.windows = self.runs = 0

    @rule(again=st.booleans())
    def alarm(self, again: bool) -> None:
        self.windows += not (again and self.windows)
        event = self.alarms.sound(drift(f"w{self.windows}"), run("check"), EAGER)
        self.raised.update(event.alarms if event else ())

    @rule(end=st.sampled_from(["answered", "failed", "dies"]))
    def train(self, end: str) -> None:
        self.runs += 1
        this, before = run(f"train-{self.runs}"), self.alarms.open()
        assert set(before) <= set(self.alarms.claim(this))
        if end != "dies":
            self.alarms.finish(this, "promoted" if end == "answered" else None, ["train"])

    @invariant()
    def no_alarm_is_lost(self) -> None:
        events = self.alarms.events()
        answered = [name for event in events if event.kind == "answered" for name in event.alarms]
        assert len(answered) == len(set(answered))
        left = self.raised - set(answered)
        assert set(self.alarms.open()) <= left
        assert set(self.copy().claim(run("one-more"))) == left

    def copy(self) -> Alarms:
        return Alarms(Store(Memory(self.alarms.journal.store.backend.records)), "toy")  # type: ignore[attr-defined]


class Memory(FolderBackend):
    """Records in a dictionary: a thousand steps of the machine above in no time."""

    def __init__(self, records: Mapping[str, bytes] | None = None) -> None:
        self.records = dict(records or {})

    def create(self, key: str, content: bytes) -> bool:
        return self.records.setdefault(key, content) is content

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.records if key.startswith(prefix))

    def read(self, key: str) -> bytes | None:
        return self.records.get(key)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
