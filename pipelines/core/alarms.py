"""Drift alarms and what became of each: the memory from which retraining follows, whoever was down when it happened.

Airflow's asset events start a retraining within seconds, but some are lost or merged (a paused DAG, a run already active), so
an event only says "look into the journal". An alarm stays open until a training run has claimed and answered it; a run claims
all that are open at once. Every alarm is kept, those that policy suppressed with the reason.

::

    raised ──▶ claimed ──▶ answered        by a run that decided, whether or not it promoted
      │           └──────▶ released        by a run that failed: open again
      └─ or at once: suppressed            cooldown, budget, or a project that does not retrain on drift
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.deployment import Retraining
from pipelines.core.evidence import Verdict
from pipelines.core.journal import Journal
from pipelines.core.run import Run
from pipelines.core.store import Store

Kind = Literal["raised", "suppressed", "claimed", "answered", "released"]

WEEK = timedelta(days=7)
BACKFILL = "a backfill looks at the past and starts nothing now"


class Event(BaseModel):
    """One line of a project's alarms."""

    model_config = ConfigDict(frozen=True)

    number: int = 0
    kind: Kind
    alarms: tuple[str, ...]
    """Names of the alarms it is about, see `name_of`."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    as_of: datetime
    """Of the run that wrote it: cooldown and budget count in the time of the data, so a backfill behaves as the year did."""
    run: str
    started_by: str = ""
    """Why a run that claims was started: drift, schedule or person. Only the first counts against the budget."""
    why: str
    verdict: Verdict | None = None


class Alarms:
    """The alarms of one project."""

    def __init__(self, store: Store, project: str) -> None:
        self.project = project
        self.journal = Journal(store, f"alarms/{project}", Event)

    def events(self) -> tuple[Event, ...]:
        """Everything that happened, oldest first."""
        return self.journal.entries()

    def open(self) -> tuple[str, ...]:
        """Alarms that no training run has claimed, and those whose run failed."""
        return still_open(self.events())

    def of(self, run: str) -> tuple[str, ...]:
        """Alarms that a run has claimed."""
        claims = [event for event in self.events() if event.kind == "claimed" and event.run == run]
        return tuple(dict.fromkeys(name for claim in claims for name in claim.alarms))

    def sound(self, verdict: Verdict, run: Run, policy: Retraining | None) -> Event | None:
        """Keep an alarm, open or suppressed by the policy. None when this window's alarm is known already; that a backfill has
        seen it takes nothing from the run whose turn it is.
        """
        name = name_of(verdict)

        def judged(events: tuple[Event, ...]) -> Event | None:
            backfill = run.started_by == "backfill" and not run.rehearsal
            if any(name in event.alarms for event in events if backfill or event.why != BACKFILL):
                return None
            reason = BACKFILL if backfill else suppression(events, run.as_of, policy)
            return Event(
                kind="suppressed" if reason else "raised",
                alarms=(name,),
                as_of=run.as_of,
                run=run.id,
                why=reason or verdict.recommendation,
                verdict=verdict,
            )

        return self.journal.append(judged)

    def claim(self, run: Run) -> tuple[str, ...]:
        """Take all open alarms for a training run, also those of a run that never came to its end; the names it now has.

        A project's training runs follow one another, so a claim without an answer is of a run that died.
        """

        def taken(events: tuple[Event, ...]) -> Event | None:
            names = still_open([event for event in events if event.kind != "claimed" or event.run == run.id])
            if not names:
                return None
            told = f"retraining, started by {run.started_by}{run.why and f': {run.why}'}"
            return Event(kind="claimed", alarms=names, as_of=run.as_of, run=run.id, started_by=run.started_by, why=told)

        self.journal.append(taken)
        return self.of(run.id)

    def finish(self, run: Run, outcome: str | None, failed: Sequence[str] = ()) -> None:
        """Say what a run's claim led to: `outcome`, or which tasks failed, which opens its alarms again. Told twice, kept once."""
        names = self.of(run.id)

        def said(events: tuple[Event, ...]) -> Event | None:
            last = next((e for e in reversed(events) if e.run == run.id and e.kind in ("claimed", "answered", "released")), None)
            if not names or last is None or last.kind == "answered" or (last.kind == "released" and outcome is None):
                return None
            if outcome is None:
                why = f"the retraining failed in {', '.join(failed)}"
                return Event(kind="released", alarms=names, as_of=run.as_of, run=run.id, why=why)
            return Event(kind="answered", alarms=names, as_of=run.as_of, run=run.id, why=outcome)

        self.journal.append(said)


def name_of(verdict: Verdict) -> str:
    """One alarm a window and champion: checking the same window again raises no second."""
    return f"{re.sub(r'[^0-9A-Za-z.-]+', '-', verdict.window)}-v{verdict.champion or 0}"


def suppression(events: Sequence[Event], as_of: datetime, policy: Retraining | None) -> str:
    """Why an alarm now may start nothing; empty when it may."""
    if policy is None:
        return "deployment.yaml has no section `retraining`: drift is reported, people decide"
    drifts = [e.as_of for e in events if e.kind == "claimed" and e.started_by == "drift" and e.as_of <= as_of]
    if drifts and as_of - drifts[-1] < policy.cooldown:
        return (
            f"cooldown: the last retraining on drift was {_days(as_of - drifts[-1])} before; cooldown is {_days(policy.cooldown)}"
        )
    spent = sum(as_of - one < WEEK for one in drifts)
    if spent >= policy.per_week:
        return (
            f"budget: {spent} retraining{'s' if spent != 1 else ''} on drift within a week; at most {policy.per_week} are allowed"
        )
    return ""


def still_open(events: Sequence[Event]) -> tuple[str, ...]:
    """Alarms that wait for a training run after these events."""
    state: dict[str, Kind] = {}
    for event in events:
        state.update(dict.fromkeys(event.alarms, event.kind))
    return tuple(name for name, kind in state.items() if kind in ("raised", "released"))


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.3g} days"
