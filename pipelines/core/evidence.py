"""What decisions rest on: scores with intervals, criteria with verdicts, drift with calibrated levels.

These are the JSON documents that travel between stages and that people and scripts read; their keys are stable.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

CAUTION = {"simulator": "not real data", "stand-in": "real, but another data set"}
"""What must be said of results from a source of data that is not the data set itself."""


class Document(BaseModel):
    """Base of the documents; unknown keys are ignored, so that older ones can still be read."""

    model_config = ConfigDict(frozen=True)


class Estimate(Document):
    """A number with its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class Score(Document):
    """One model on the test rows."""

    candidate: str
    metrics: dict[str, Estimate]
    rank: int
    """1 is best by the headline metric on the validation rows: the test set picks nobody. 0 is the champion, no candidate."""
    valid: float
    """Headline metric on the validation rows, by which the winner was chosen."""
    latency_ms: float
    """Median time to predict one row."""
    model_mb: float


class Leaderboard(Document):
    """All candidates, and the incumbent under `champion`, on the same test rows."""

    metric: str
    greater_is_better: bool
    rows: int
    confidence: float
    scores: tuple[Score, ...]


class Criterion(Document):
    """One line of a decision."""

    name: str
    """Such as `floor: roc_auc` or `not worse than champion`."""
    wanted: str
    found: str
    passed: bool
    evidence: dict[str, Any] = Field(default_factory=dict)


class Slice(Document):
    """One group of test rows."""

    name: str
    rows: int
    metrics: dict[str, Estimate]
    judged: bool
    """False when it has too few rows."""


class Comparison(Document):
    """Challenger minus incumbent in the headline metric, on the same rows, by paired bootstrap."""

    incumbent: int
    """Its version."""
    gain: Estimate
    """Positive is better, whatever the metric's direction."""
    probability_better: float


class Decision(Document):
    """What evaluate concluded and promote carries out."""

    project: str
    winner: str
    promote: bool
    headline: str
    metric: Estimate
    criteria: tuple[Criterion, ...]
    comparison: Comparison | None
    incumbent: int | None
    """Version the winner was compared with; promotion holds only while it is still the champion."""
    slices: tuple[Slice, ...] = ()
    rows: dict[str, int] = Field(default_factory=dict)
    """Rows in train, valid and test."""
    source: str = ""
    """Which source the data came from, and what must be said of it; see `CAUTION`."""


class Channel(Document):
    """One watched column, score or rate in a drift report."""

    name: str
    kind: Literal["numeric", "categorical", "missing", "score", "prediction", "joint", "label", "performance"]
    statistic: float
    """KS distance, G statistic per row, or the domain classifier's AUC; the larger the further from the reference. Of
    `performance` the metric itself."""
    effect: float
    """Size of the change, comparable between channels: bias-corrected PSI. Of `performance` the loss in the metric."""
    p_value: float
    """Chance of a statistic this large anywhere in the family when nothing changed (max-T), not of this channel alone."""
    drifted: bool
    note: str = ""
    importance: float | None = None
    """What the champion's headline metric loses on the reference when this column is shuffled; None where nobody knows."""

    @property
    def place(self) -> tuple[bool, int, float]:
        """What to look at first, ascending: of the drifted what the champion achieves, what came true, what it answers, then
        columns by effect times importance, all of them together last; the others by their p-value.
        """
        if not self.drifted:
            return True, 0, self.p_value
        kind = OUTCOMES.index(self.kind) if self.kind in OUTCOMES else len(OUTCOMES) + (self.kind == "joint")
        return False, kind, -self.effect * (1.0 if self.importance is None else self.importance)


OUTCOMES = ("performance", "label", "score", "prediction")
"""Kinds of channels that tell of the champion's answers and of what came true; the others are columns, which explain."""


class Performance(Document):
    """The champion's headline metric on the newest rows whose labels are known, beside what it was on the test rows."""

    metric: str
    period: str = ""
    """The window of these rows, which is older than the newest where labels come late."""
    rows: int = 0
    promised: Estimate | None = None
    """At promotion."""
    found: Estimate | None = None
    why: str = ""
    """Why it is not judged; empty when it is."""


class Drift(Document):
    """Comparison of one window with the champion's reference."""

    champion: int | None
    """None while nothing serves: then nothing is judged."""
    rows: int
    reference_rows: int
    judged: bool
    """False when the window is too small."""
    false_alarm_rate: float
    method: str
    channels: tuple[Channel, ...]
    quality: tuple[Criterion, ...] = ()
    """Volume, freshness, new and missing values; one that has not passed is a fault of the data, not drift."""
    performance: Performance | None = None
    p_value: float | None = None
    """Of the window: the smallest of any channel with an effect worth an alarm. None when nothing was judged."""
    limit: float | None = None
    """What the evidence added up over windows of this size has to reach for an alarm; see `parts.drift.sequence`."""

    @property
    def drifted(self) -> tuple[Channel, ...]:
        """The channels that moved in this window alone; none when it is too small to judge."""
        return tuple(channel for channel in self.channels if channel.drifted)


class Verdict(Document):
    """What monitoring concluded."""

    project: str
    champion: int | None
    window: str
    outcome: Literal["no drift", "watch", "drift", "data quality", "too small to judge", "no champion"]
    """`drift` is the alarm, at the stated rate over windows; `watch` more than half of the evidence for one."""
    channels: tuple[str, ...] = ()
    """Those that moved in this window."""
    recommendation: str = ""
    advice: str = ""
    """What is recommended if this window raises an alarm."""
    p_value: float | None = None
    """Of this window alone; None when it was not judged."""
    limit: float | None = None
    evidence: float = 0.0
    """Added up over this champion's windows; an alarm at `limit`."""
    windows: int = 0
    """Windows without a row in common that it was added up over."""
    at: datetime | None = None
    """When the window was judged, of a verdict on record. What the stage gives has no time: the same is the same whenever."""


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """By window, those on one window as they were reached; what was kept without a time comes first."""
    return sorted(verdicts, key=lambda one: (one.window, one.at.timestamp() if one.at else 0.0))
