"""How long one prediction takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def latency_ms(call: Callable[[], object], *, warm_up: int = 2, repeats: int = 11, seconds: float = 0.25) -> float:
    """Median wall time of `call` in milliseconds, after `warm_up` calls that are not counted.

    Repeats until `repeats` calls were timed or `seconds` have passed, and times at least one.
    """
    return median(times_ms(call, warm_up=warm_up, repeats=repeats, seconds=seconds))


def times_ms(call: Callable[[], object], *, warm_up: int, repeats: int, seconds: float = float("inf")) -> list[float]:
    """Wall time of each call in milliseconds; see `latency_ms`."""
    for _ in range(warm_up):
        call()
    times: list[float] = []
    while not times or (len(times) < repeats and sum(times) < 1000 * seconds):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return times
