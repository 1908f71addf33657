"""Windows one after another: evidence that adds up, and an alarm at a stated rate.

Each window's p-value gives -log p, which is exponential with mean 1 while nothing drifts. The chart is a CUSUM of it,
C = max(0, C + (-log p) - 2 log 2), the best one for a mean that doubles (Moustakides 1986; in the language of e-values it
adds up log 1/(2 sqrt p), a calibrator of p, Vovk and Wang 2021). It alarms, and starts again from 0, where C reaches a limit.

The limit follows from simulation (`streams.py`): how often does the chart alarm over windows drawn from the reference itself?
All windows of a champion share one reference. When that is not much larger than a window, its chance deviations repeat week
after week and would pass for a small, lasting drift; so simulated streams have references of their own, drawn anew.

Windows that overlap share rows and would count twice. The chart takes the newest window, the newest that ended before it
began, and so on (`apart`): of daily windows of four weeks, every 28th. All this is a function of the windows alone: whoever
judged them, in which order and how often.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALLOWANCE = 2 * math.log(2)
LIMITS = np.concatenate([[0.0], np.geomspace(0.05, 25.0, 63)])
"""Limits for which rates are simulated; between them the logarithm of the rate is taken as linear."""
STREAMS, LENGTH = 2_000, 104
"""Simulated streams and windows in each, enough to know a rate of 0.001 to 7 %. Weeks are counted in one byte."""


@dataclass(frozen=True)
class Seen:
    """What the chart knows of one judged window."""

    start: str
    """Dates in ISO form; empty when the window has no beginning."""
    end: str
    p_value: float
    limit: float


@dataclass(frozen=True)
class State:
    """The chart after a window."""

    evidence: float
    limit: float
    windows: int
    """Windows in the chart, this one included."""

    @property
    def alarm(self) -> bool:
        return self.evidence > 0 and self.evidence >= self.limit


def weigh(newest: Seen, others: Iterable[Seen]) -> State:
    """The chart after `newest`, given all other windows judged against the same reference, in any order.

    Where a window was judged several times, `newest` included, its largest p-value counts.
    """
    chain = apart(newest, others)
    evidence = 0.0
    for each in chain:
        evidence = max(0.0, evidence - math.log(each.p_value) - ALLOWANCE)
        state = State(evidence, each.limit, len(chain))
        evidence = 0.0 if state.alarm else evidence
    return state


def apart(newest: Seen, others: Iterable[Seen]) -> list[Seen]:
    """Windows without a row in common, oldest first: `newest`, and backwards from it each time the next that ends in time.
    Of each the mildest judgement.
    """
    once: dict[tuple[str, str], Seen] = {}
    for each in sorted([*others, newest], key=lambda one: (one.p_value, one.limit)):
        once[each.start, each.end] = each
    chain = [once.pop((newest.start, newest.end))]
    for each in sorted(once.values(), key=lambda one: (one.end, one.start), reverse=True):
        if each.end <= chain[-1].start:
            chain.append(each)
    return chain[::-1]


def alarm_rates(p_values: Floats, seed: int, ring: int = 1) -> Floats:
    """Alarms per window of streams without drift, for each of `LIMITS`.

    `p_values`: (references, windows), of many windows beside each of several references. One stream has one reference; or, where
    references follow each other in rings of so many, the next one with each window.
    """
    references, windows = p_values.shape
    weeks, first = np.arange(LENGTH), np.arange(STREAMS) % references
    reference = first // ring * ring + (first % ring + weeks[:, None]) % ring
    gains = (-np.log(p_values) - ALLOWANCE).astype(np.float32)[reference, _orders(windows, seed).T[weeks % windows]]
    least = np.maximum(LIMITS, np.finfo(np.float32).tiny).astype(np.float32)[:, None]  # no evidence is no alarm, even at limit 0
    evidence = np.zeros((LIMITS.size, STREAMS), dtype=np.float32)  # a rate is a count: half the width takes half the time
    calm, weeks_calm = np.empty(evidence.shape, dtype=bool), np.zeros(evidence.shape, dtype=np.uint8)
    nothing = np.zeros(STREAMS, dtype=np.float32)  # a row of zeros: beside a single one numpy takes three times as long
    for week in weeks.tolist():
        evidence += gains[week]
        np.maximum(evidence, nothing, out=evidence)
        np.less(evidence, least, out=calm)
        weeks_calm += calm.view(np.uint8)
        evidence *= calm
    found: Floats = 1 - weeks_calm.mean(axis=1) / LENGTH
    return found


@lru_cache(1)
def _orders(windows: int, seed: int) -> NDArray[np.intp]:
    """In which order each stream takes its windows, (streams, windows)."""
    return np.random.default_rng(seed).permuted(np.tile(np.arange(windows), (STREAMS, 1)), axis=1)


def limit(rates: Floats, rate: float) -> float:
    """The smallest limit at which the chart alarms no more often than `rate`, from what `alarm_rates` found."""
    falling = np.log(np.maximum(np.minimum.accumulate(rates), 1e-9))
    return float(np.interp(-math.log(rate), -falling, LIMITS))


def between(size: int, sizes: Sequence[int]) -> tuple[int, int, float]:
    """The neighbours of a size in an ascending grid, and how far it lies from the first, on the scale of logarithms."""
    if size <= sizes[0]:
        return sizes[0], sizes[0], 0.0
    if size >= sizes[-1]:
        return sizes[-1], sizes[-1], 0.0
    upper = next(place for place, one in enumerate(sizes) if one >= size)
    low, high = sizes[upper - 1], sizes[upper]
    return low, high, math.log(size / low) / math.log(high / low)
