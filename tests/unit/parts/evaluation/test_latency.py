from __future__ import annotations

import time

from pipelines.parts.evaluation import latency_ms


def test_the_median_ignores_the_first_slow_calls_and_an_outlier():
    naps = iter([0.05, 0.05, 0.06, *[0.002] * 20])
    assert 1.5 < latency_ms(lambda: time.sleep(next(naps)), warm_up=2, repeats=9) < 30


def test_a_slow_call_is_timed_until_the_budget_is_spent():
    calls = []
    latency_ms(lambda: calls.append(time.sleep(0.02)), warm_up=1, repeats=50, seconds=0.05)
    assert 2 <= len(calls) <= 4


def test_a_call_slower_than_the_budget_is_timed_once():
    calls = []
    assert latency_ms(lambda: calls.append(time.sleep(0.02)), warm_up=0, seconds=0.0) >= 20
    assert len(calls) == 1
