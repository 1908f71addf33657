"""Streams of the calibration in which three columns swing over the year: beside the whole reference, and beside its season."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from bench.drift_judge import (
    DONORS,
    LARGE,
    LIMITS,
    SIZES,
    STATED,
    WATCHING,
    WEEKS,
    Cells,
    Judge,
    alarms,
    delay,
    interval,
    until,
)
from bench.drift_usual import Counts, Flags
from bench.drift_world import REFERENCE_ROWS, Drawn, rows
from pipelines.parts.drift import Part, Season
from pipelines.parts.drift.coding import Floats

YEAR, WEEK = 52 * 7 * 86_400.0, 7 * 86_400.0
SEASON = Season(YEAR, WEEK)
IN_SEASON = replace(WATCHING, together=SEASON.together)
CHANGED = 100
"""Streams of each change."""
CHANGES: dict[str, dict[str, Any]] = {
    "0.2 σ in 3 of 30": {"shift": 0.2},
    "0.3 σ in 3 of 30": {"shift": 0.3},
    "0.2 σ in 10 of 30": {"shift": 0.2, "columns": 10},
    "correlation 0 → 0.3 among 5": {"pair": 0.3, "columns": 5},
}


class Year:
    """A reference that knows when its rows are from, and its parts beside each week of the next year."""

    def __init__(self, drawn: Drawn, weeks: Floats, seed: int) -> None:
        self.drawn = drawn
        self.whole = Judge.of(drawn, seed, weeks * WEEK)
        reference = self.whole.reference
        assert reference.times is not None
        ends = [np.array([week, week + 1]) * WEEK for week in range(WEEKS)]
        self.parts = [Part(reference, SEASON.near(reference.times, end)) for end in ends]

    def p_values(self, profiles: list[Floats], size: int) -> tuple[Floats, Floats]:
        """Of one window in each week of the year, each beside its part: without the floor on the effect and with it."""
        plain, floored = np.ones(WEEKS), np.ones(WEEKS)
        for place, windows in enumerate(profiles):
            channels = [part.family[place] for part in self.parts]
            surprises = channels[0].surprise(windows, np.stack([channel.total for channel in channels]))
            p = self.whole.reference.p_values(surprises, size, WATCHING)
            np.minimum(plain, p, out=plain)
            for week in np.flatnonzero(p < floored).tolist():
                if channels[week].effect(windows[week][None])[0] >= WATCHING.effect:
                    floored[week] = p[week]
        return plain, floored

    def alarms(self, p: Floats, size: int, stated: float) -> Flags:
        """Of the chart, in which each week has the limit of its part."""
        watching = replace(IN_SEASON, false_alarm_rate=stated)
        return alarms(p[None], np.array([part.limit(size, watching) for part in self.parts]))[0]


def years(streams: int) -> Iterator[tuple[int, np.random.Generator, Year]]:
    """The same for every caller; the generator goes on with the stream's weeks. Nulls and limits are lent as in the calibration."""
    donors: list[Judge] = []
    for place in range(streams):
        random = np.random.default_rng([23, place])
        weeks = random.uniform(0, WEEKS, REFERENCE_ROWS)
        year = Year(rows(random, REFERENCE_ROWS, week=weeks), weeks, place)
        if place < DONORS:
            if place >= LIMITS:
                year.whole.reference.rates = donors[place % LIMITS].reference.rates
            donors.append(year.whole)
        donors[place % DONORS].lend(year.whole)
        yield place, random, year


def year_of(random: np.random.Generator, size: int, **change: Any) -> Drawn:
    """Rows of a year, so many in each week."""
    return rows(random, WEEKS * size, week=np.repeat(np.arange(WEEKS), size) + random.random(WEEKS * size), **change)


def nulls(streams: int) -> Cells:
    """Alarms per window when nothing but the season changes, beside the part of the reference and beside all of it, where the usual
    rules are, too.
    """
    found: dict[tuple[str, int], list[list[float]]] = {}
    flags: dict[tuple[str, int], list[float]] = {}
    steady = Judge.of(next(years(1))[2].drawn, seed=0)  # limits for windows that all stand beside the same rows
    for _, random, year in years(streams):
        for size in (*SIZES, LARGE):
            profiles, counts = _weeks(year, random, size)
            for what, p in zip(("plain", "floored"), year.p_values(profiles, size), strict=True):
                told = [float(year.alarms(p, size, stated).mean()) for stated in STATED]
                found.setdefault((f"of the same season|{what}", size), []).append(told)
            for what, p in zip(("plain", "floored"), year.whole.p_values(profiles, size), strict=True):
                told = [float(alarms(p[None], steady.limit(size, stated)).mean()) for stated in STATED]
                found.setdefault((f"of all the year|{what}", size), []).append(told)
            for rule, rang in year.whole.usual(counts).items():
                flags.setdefault((rule, size), []).append(float(rang.mean()))
    cells = {
        ("season", name, size): [interval(*each) for each in zip(*told, strict=True)] for (name, size), told in found.items()
    }
    return cells | {("usual in a season", rule, size): interval(*told) for (rule, size), told in flags.items()}


def _weeks(year: Year, random: np.random.Generator, size: int) -> tuple[list[Floats], Counts]:
    """A year of windows as ours see them and as the usual rules do; the largest in ten blocks a week, for both add up."""
    blocks = LARGE // SIZES[-1] if size == LARGE else 1
    drawn = [year_of(random, size // blocks) for _ in range(blocks)]
    profiles = [year.whole.profiles(each, WEEKS) for each in drawn]
    return [np.sum(each, axis=0) for each in zip(*profiles, strict=True)], reduce(add, (Counts.of(each, WEEKS) for each in drawn))


def delays(streams: int) -> Cells:
    """Weeks from a change at the turn of the year to the first alarm, beside the part of the reference."""
    first: dict[tuple[str, int], list[float]] = {}
    for place, _, year in years(min(streams, CHANGED)):
        for number, (name, change) in enumerate(CHANGES.items()):
            for size in SIZES:
                random = np.random.default_rng([41, place, number, size])
                p = year.p_values(year.whole.profiles(year_of(random, size, **change), WEEKS), size)[1]
                first.setdefault((name, size), []).append(until(year.alarms(p, size, WATCHING.false_alarm_rate)))
    return {("late", name, size): delay(found) for (name, size), found in first.items()}
