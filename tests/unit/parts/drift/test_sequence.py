"""The chart over windows: a function of the windows alone, with alarms as rare as stated."""

from __future__ import annotations

import itertools
import math
import random
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.parts.drift import Reference, Seen, Watching, weigh
from pipelines.parts.drift.sequence import ALLOWANCE, LIMITS, alarm_rates, apart, between, limit

MONDAY = date(2025, 1, 6)


def window(first: int, days: int = 7, p: float = 0.5, limit: float = 3.0) -> Seen:
    start = MONDAY + timedelta(days=first)
    return Seen(start.isoformat(), (start + timedelta(days=days)).isoformat(), p, limit)


windows = st.builds(window, st.integers(0, 200), st.sampled_from([1, 7, 28]), st.floats(1e-6, 1.0), st.floats(0.5, 6.0))


@settings(deadline=None)
@given(st.lists(windows, max_size=30), windows, st.randoms())
def test_order_and_repetition_change_nothing(others, newest, shuffler):
    again = [*others, *others]
    shuffler.shuffle(again)
    assert weigh(newest, again) == weigh(newest, others)


@settings(deadline=None)
@given(st.lists(windows, max_size=30), windows)
def test_windows_in_the_chart_share_no_row_and_end_with_the_newest(others, newest):
    chain = apart(newest, others)
    assert (chain[-1].start, chain[-1].end) == (newest.start, newest.end)
    assert all(before.end <= after.start for before, after in itertools.pairwise(chain))


@settings(deadline=None)
@given(st.lists(windows, max_size=30), windows, windows)
def test_a_window_that_overlaps_the_newest_or_comes_later_adds_nothing(others, newest, late):
    if late.end > newest.start and (late.start, late.end) != (newest.start, newest.end):
        assert weigh(newest, [*others, late]) == weigh(newest, others)


@settings(deadline=None)
@given(windows, windows)
def test_of_two_judgements_of_a_window_the_milder_counts(one, newest):
    harsh = Seen(one.start, one.end, one.p_value / 2, one.limit)
    assert weigh(newest, [one, harsh]) == weigh(newest, [one])
    assert weigh(harsh, [one]) == weigh(one, [])


def test_evidence_adds_up_to_an_alarm_and_starts_again():
    weeks = [window(7 * week, p=0.1) for week in range(5)]
    step = -math.log(0.1) - ALLOWANCE
    states = [weigh(week, weeks[:place]) for place, week in enumerate(weeks)]
    assert [state.evidence for state in states] == pytest.approx([step, 2 * step, 3 * step, 4 * step, step])
    assert [state.alarm for state in states] == [False, False, False, True, False]
    assert [state.windows for state in states] == [1, 2, 3, 4, 5]


def test_what_speaks_against_drift_takes_evidence_away():
    assert weigh(window(7, p=0.9), [window(0, p=0.1)]).evidence == 0.0


def test_daily_windows_of_four_weeks_count_every_28th_day():
    days = [window(day, days=28) for day in range(100)]
    assert [one.start for one in apart(days[-1], days)] == [days[day].start for day in (15, 43, 71, 99)]


def test_a_window_without_a_beginning_stands_alone():
    assert weigh(Seen("", "2025-03-01", 0.1, 3.0), [Seen("", "2025-02-01", 0.001, 3.0)]).windows == 1


@pytest.mark.parametrize("rate", [0.1, 0.05, 0.02])
def test_independent_p_values_alarm_at_the_stated_rate(rate):
    uniform = np.random.default_rng(1).random((50, 200))
    wanted = limit(alarm_rates(uniform, seed=2), rate)
    fresh = random.Random(3)
    evidence, alarms, weeks = 0.0, 0, 60_000
    for _ in range(weeks):
        evidence = max(0.0, evidence - math.log(1 - fresh.random()) - ALLOWANCE)
        if evidence > 0 and evidence >= wanted:
            evidence, alarms = 0.0, alarms + 1
    assert alarms / weeks == pytest.approx(rate, rel=0.15)


def test_references_that_differ_from_each_other_take_a_higher_limit():
    random = np.random.default_rng(1)
    alike = random.random((50, 200))
    shared = np.argsort(np.argsort((random.normal(size=(50, 200)) + random.normal(size=(50, 1))).ravel())).reshape(50, 200)
    assert limit(alarm_rates((shared + 1) / shared.size, 2), 0.05) > limit(alarm_rates(alike, 2), 0.05) + 0.4


@settings(deadline=None)
@given(st.integers(1, 10**7), st.lists(st.integers(10, 10**5), min_size=1, max_size=6, unique=True).map(sorted))
def test_a_size_lies_between_its_neighbours_in_the_grid(size, sizes):
    low, high, share = between(size, sizes)
    assert 0 <= share <= 1
    assert low in sizes
    assert high in sizes
    if sizes[0] <= size <= sizes[-1]:
        assert low <= size <= high
        assert math.log(low) + share * math.log(high / low) == pytest.approx(math.log(size))


def test_a_lower_rate_takes_a_higher_limit():
    rates = alarm_rates(np.random.default_rng(1).random((50, 200)), seed=2)
    limits = [limit(rates, rate) for rate in (0.2, 0.1, 0.05, 0.02, 0.01, 0.001)]
    assert limits == sorted(limits)
    assert LIMITS[0] < limits[0] < limits[-1] < LIMITS[-1]


def test_streams_beside_one_reference_alarm_at_the_stated_rate():
    """30 references that are hardly larger than the windows, 30 weeks each: what a simulation without them would get wrong."""
    rang, rates = [], {}
    for each in range(30):
        random = np.random.default_rng([41, each])
        reference = Reference.freeze({f"x{i}": random.normal(size=450) for i in range(4)}, seed=each)
        reference.rates = rates  # simulated for the first one: the others have the same, but for noise
        asked = Watching(false_alarm_rate=0.1, resamples=300, effect=0.0, rows=50, seed=each)
        evidence, wanted = 0.0, reference.limit(200, asked)
        for _ in range(30):
            channels = reference.compare({f"x{i}": random.normal(size=200) for i in range(4)}, asked)
            evidence = max(0.0, evidence - math.log(channels[0].p_value) - ALLOWANCE)
            rang.append(evidence > 0 and evidence >= wanted)
            evidence = 0.0 if rang[-1] else evidence
    assert 0.05 < np.mean(rang) < 0.16
