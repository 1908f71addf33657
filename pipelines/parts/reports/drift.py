"""The page of a drift check: verdict and advice, plots, then the tables. Our own tests judge; others are linked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.evidence import OUTCOMES, Channel, Drift, Performance, Verdict
from pipelines.parts.reports.page import render_page
from pipelines.parts.reports.sketch import Sketch

LARGE = 0.25
"""Bars are drawn to this effect at least, customarily a large one, so that a small one looks small."""
PICTURES = 12
QUIET = 4
"""Channels drawn where none has drifted: those that moved most."""
LISTED = 12
"""Channels in the overview of p-values."""
LEADING = 8
"""Rows of the table that are not folded away; all that drifted are among them."""
EXPLAINING = 3
"""Drifted columns named beside the recommendation."""
COLOURS = {"no drift": "good", "watch": "watch", "drift": "bad", "data quality": "warn"}
"""Of verdicts; the others are grey."""


def shown(drift: Drift) -> list[Channel]:
    """The channels whose distribution is worth a drawing: those that drifted, or those that came nearest to it."""
    drawable = [channel for channel in drift.channels if channel.kind not in ("performance", "joint") and channel.statistic > 0]
    return [c for c in drawable if c.drifted][:PICTURES] or drawable[:QUIET]


def render(
    drift: Drift,
    verdict: Verdict,
    window: Mapping[str, Any],
    folder: Path,
    pictures: Sequence[Sketch] = (),
    history: Sequence[Verdict] = (),
    links: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write `index.html` into `folder`; `links` are further pages beside it, title to file. Returns `folder`."""
    whole = [channel for channel in drift.channels if channel.kind == "missing" and channel.statistic == 0]
    listed = [channel for channel in drift.channels if channel not in whole]
    page = render_page(
        "drift.html",
        drift=drift,
        verdict=verdict,
        colour=COLOURS.get(verdict.outcome, "quiet"),
        colours=COLOURS,
        window=window,
        pictures=pictures,
        history=[*history, verdict],
        performance=drift.performance and _scale(drift.performance),
        surprises=_surprises(drift, listed),
        links=links or {},
        notes=notes,
        listed=listed,
        leading=max(LEADING, len(drift.drifted)),
        explaining=[channel for channel in drift.drifted if channel.kind not in OUTCOMES][:EXPLAINING],
        metric=drift.performance.metric if drift.performance else "",
        whole=[channel.name.removesuffix(" (missing)") for channel in whole],
        largest=max([channel.effect for channel in drift.channels if channel.kind != "performance"] + [LARGE]),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Dot:
    """A channel on a line from 1 to the smallest p-value there can be."""

    channel: Channel
    place: float
    """Percent of the line."""


@dataclass(frozen=True)
class Surprises:
    """All channels by their p-value, on a logarithmic scale."""

    dots: tuple[Dot, ...]
    threshold: float
    """Place of the stated rate, percent."""
    least: float
    left_out: int


def _surprises(drift: Drift, channels: Sequence[Channel]) -> Surprises | None:
    if not channels:
        return None
    ordered = sorted(channels, key=lambda channel: channel.p_value)
    least = min(ordered[0].p_value, drift.false_alarm_rate / 4)

    def place(p_value: float) -> float:
        return 100 * math.log(p_value) / math.log(least)

    dots = tuple(Dot(channel, place(channel.p_value)) for channel in ordered[:LISTED])
    return Surprises(dots, place(drift.false_alarm_rate), least, len(ordered) - len(dots))


@dataclass(frozen=True)
class Scale:
    """Two intervals of a metric on one line."""

    found: Performance
    low: float
    high: float


def _scale(performance: Performance) -> Scale:
    ends = [end for e in (performance.promised, performance.found) if e for end in (e.low, e.high)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.08 * (high - low) or 0.5
    return Scale(performance, low - room, high + room)
