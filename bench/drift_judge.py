"""One reference of the calibration, asked what it makes of many windows; and what alarms there are in a stream of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.drift_usual import Flags, Usual
from bench.drift_world import Arrays, Coded, Drawn
from pipelines.parts.drift import Reference, Watching, sequence
from pipelines.parts.drift.coding import Floats

WATCHING = Watching(false_alarm_rate=0.05, resamples=500, effect=0.05, rows=50, seed=1)
STATED = (0.05, 0.02)
"""Rates for which the chart is measured: one where there is more to count, and the default."""
WEEKS = 52
SIZES = (200, 500, 1_000)
LARGE, BLOCKS = 10_000, 104
"""Rows in the largest windows, and the blocks of 1,000 they are made of."""
DONORS, LIMITS = 50, 5
"""References that draw nulls of their own, and limits."""
Cells = dict[tuple[str, str, int], Any]


@dataclass(frozen=True)
class Judge:
    """One reference, asked what it makes of windows."""

    arrays: Arrays
    coded: Coded
    usual: Usual

    @classmethod
    def of(cls, drawn: Drawn, seed: int, times: Floats | None = None) -> Judge:
        return cls(drawn.arrays, Coded(Reference.freeze(drawn.arrays, seed=seed, times=times)), Usual(drawn))

    @property
    def reference(self) -> Reference:
        return self.coded.reference

    def lend(self, other: Judge) -> None:
        """Give another one of the same world what was drawn here."""
        other.reference.nulls, other.reference.rates = self.reference.nulls, self.reference.rates

    def profiles(self, drawn: Drawn, sets: int) -> list[Floats]:
        """Of equal windows one after another, for each channel."""
        seen = self.coded.rows(drawn)
        return [channel.observed(seen, sets) for channel in self.reference.family]

    def p_values(self, profiles: list[Floats], size: int) -> tuple[Floats, Floats]:
        """Of windows of so many rows, without the floor on the effect and with it."""
        plain, floored = np.ones(len(profiles[0])), np.ones(len(profiles[0]))
        for channel, windows in zip(self.reference.family, profiles, strict=True):
            p = self.reference.p_values(channel.surprise(windows, channel.total), size, WATCHING)
            np.minimum(plain, p, out=plain)
            np.minimum(floored, np.where(channel.effect(windows) >= WATCHING.effect, p, 1.0), out=floored)
        return plain, floored

    def limit(self, size: int, stated: float) -> float:
        return self.reference.limit(size, replace(WATCHING, false_alarm_rate=stated))


def alarms(p: Floats, limit: float | Floats) -> Flags:
    """Alarms of the chart in streams of p-values, (streams, weeks); one limit, or one a week."""
    limits = np.broadcast_to(limit, p.shape[1])
    evidence, rang = np.zeros(len(p)), np.zeros(p.shape, dtype=bool)
    for week in range(p.shape[1]):
        evidence = np.maximum(0.0, evidence - np.log(p[:, week]) - sequence.ALLOWANCE)
        rang[:, week] = (evidence > 0) & (evidence >= limits[week])
        evidence[rang[:, week]] = 0.0
    return rang


def interval(*rates: float) -> list[float]:
    """The mean of references' rates, with a 95 % interval by resampling references, and how many they are."""
    values, random = np.array(rates), np.random.default_rng(5)
    drawn = [values[random.integers(values.size, size=values.size)].mean() for _ in range(2_000)]
    return [float(values.mean()), *np.quantile(drawn, [0.025, 0.975]).tolist(), values.size]


def until(rang: Flags) -> float:
    """The week of the first alarm, infinite without one."""
    return float(rang.argmax() + 1) if rang.any() else math.inf


def delay(first: list[float]) -> list[float | None]:
    """Median week of the first alarm, None when half of the streams have none; the share of streams with one."""
    middle = float(np.median(first))
    return [middle if math.isfinite(middle) else None, float(np.isfinite(first).mean())]
