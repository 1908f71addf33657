"""Drift alarms and what became of each: the memory from which retraining follows, whoever was down when it happened.

Airflow's asset events start a retraining within seconds, but some are lost or merged (a paused DAG, a run already active), so
an event only says "look into the journal". An alarm stays open until a training run has claimed and answered it; a run claims
all that are open at once, and a claim whose run is over without an answer counts as none. Every alarm is kept, those that policy
suppressed with the reason.

::

    raised ──▶ claimed ──▶ answered        by a run that decided, whether or not it promoted
      │           └──────▶ released        by a run that failed: open again
      └─ or at once: suppressed            cooldown, budget, or a project that does not retrain on drift
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
Over = Callable[[str], bool]
"""Says of a run, by its id, that it is over, whether or not it had the time to say what became of its alarms."""
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

    def open(self, over: Over = lambda run: False) -> tuple[str, ...]:
        """Alarms that no training run has claimed, and those whose run failed or is over without a word."""
        return still_open(self.events(), over)

    def due(self, as_of: datetime, policy: Retraining, over: Over) -> tuple[str, ...]:
        """Open alarms for which a run may be started now. What no run has tried yet the policy let through when it was raised;
        what one has tried in vain waits until cooldown and budget let another try.
        """
        events = self.events()
        names = still_open(events, over)
        return names if not suppression(events, as_of, policy) else _untried(events, names)

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
            names = still_open(events, lambda other: other != run.id)
            if not names:
                return None
            told = f"retraining, started by {run.started_by}{run.why and f': {run.why}'}"
            return Event(kind="claimed", alarms=names, as_of=run.as_of, run=run.id, started_by=run.started_by, why=told)

        self.journal.append(taken)
        return self.of(run.id)

    def finish(self, run: Run, outcome: str | None, failed: Sequence[str] = ()) -> None:
        """Say what a run's claims led to: `outcome`, or which tasks failed, which opens its alarms again. Told twice, kept once.

        Only of the alarms that are still its own: not those it has answered before, as before its tasks were cleared, nor those
        that another run has taken over.
        """
        own = ("claimed",) if outcome is None else ("claimed", "released")  # released: its failed tasks went on

        def said(events: tuple[Event, ...]) -> Event | None:
            names = tuple(name for name, last in _last(events).items() if last.run == run.id and last.kind in own)
            if not names:
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
    claims = [e for e in events if e.kind == "claimed" and e.started_by == "drift" and e.as_of <= as_of]
    drifts = {claim.run: as_of - claim.as_of for claim in claims}  # one that claims twice, as when its tasks are cleared, is one
    if drifts and min(drifts.values()) < policy.cooldown:
        last = _days(min(drifts.values()))
        return f"cooldown: the last retraining on drift was {last} before; cooldown is {_days(policy.cooldown)}"
    spent = sum(ago < WEEK for ago in drifts.values())
    if spent >= policy.per_week:
        return (
            f"budget: {spent} retraining{'s' if spent != 1 else ''} on drift within a week; at most {policy.per_week} are allowed"
        )
    return ""


def still_open(events: Sequence[Event], over: Over = lambda run: False) -> tuple[str, ...]:
    """Alarms that wait for a training run after these events."""
    found = _last(events).items()
    return tuple(
        name for name, last in found if last.kind in ("raised", "released") or (last.kind == "claimed" and over(last.run))
    )


def _untried(events: Sequence[Event], names: Sequence[str]) -> tuple[str, ...]:
    """Those of these alarms that no run has claimed."""
    tried = {name for event in events if event.kind == "claimed" for name in event.alarms}
    return tuple(name for name in names if name not in tried)


def _last(events: Sequence[Event]) -> dict[str, Event]:
    """The newest event of each alarm."""
    return {name: event for event in events for name in event.alarms}


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.3g} days"
