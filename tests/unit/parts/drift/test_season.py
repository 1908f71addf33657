"""What comes round again is no drift beside rows of the same season, and what changes beside it still is."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.parts.drift import Outcomes, Part, Reference, Season, Watching
from pipelines.parts.drift.streams import grown, moving

DAY = 86_400.0
YEAR = 364 * DAY
SEASON = Season(YEAR, 7 * DAY)
WATCHING = Watching(false_alarm_rate=0.05, resamples=200, effect=0.05, rows=50, seed=1, together=SEASON.together)


def rows(seed, times, shift=0.0):
    """Temperature and the share of a level follow the year; noise does not."""
    random = np.random.default_rng(seed)
    swing = np.sin(2 * np.pi * times / YEAR)
    level = np.where(random.random(times.size) < 0.5 + 0.3 * swing, "ice", "soup")
    return {"warmth": random.normal(size=times.size) + swing, "sold": level, "noise": random.normal(size=times.size) + shift}


def week(number, size=300):
    """Times spread over one week."""
    return (number + np.linspace(0, 1, size, endpoint=False)) * 7 * DAY


@pytest.fixture(scope="module")
def reference():
    times = np.random.default_rng(100).uniform(0, YEAR, 6_000)
    return Reference.freeze(rows(0, times), seed=0, times=times)


def drifted(reference, times, **change):
    found = {c.name: c for c in reference.compare(rows(5, times, **change), WATCHING)}
    return {name for name, channel in found.items() if channel.drifted}


@pytest.mark.parametrize("number", [52 + 13, 3 * 52 + 39])
def test_a_summer_is_drift_beside_the_year_and_none_beside_summers(reference, number):
    times = week(number)
    assert {"warmth", "sold"} <= drifted(reference, times)
    assert drifted(Part(reference, SEASON.near(reference.times, times)), times) == set()


def test_what_changes_beside_the_season_is_seen_in_it(reference):
    times = week(60)
    part = Part(reference, SEASON.near(reference.times, times))
    assert "noise" in drifted(part, times, shift=0.5)
    assert part.rows == pytest.approx(6_000 * 2 * SEASON.reach, rel=0.1)
    notes = {c.name: c.note for c in part.compare(rows(5, times), WATCHING)}
    warmth = part.channels["warmth"].mean()
    assert notes["warmth"].startswith(f"mean {warmth:.3g} →"), "the means told are those of the season"


def test_the_limit_is_that_of_windows_as_much_larger_as_the_part_is_smaller(reference):
    part = Part(reference, np.arange(0, 6_000, 8))
    assert part.limit(300, WATCHING) == reference.limit(2_400, WATCHING)


def test_near_goes_round_the_turn_of_the_year_and_leaves_unknown_times():
    times = np.array([363.0, 1.0, 30.0, 180.0, np.nan, 364.0 + 2.0]) * DAY
    assert SEASON.near(times, week(0)).tolist() == [0, 1, 5]
    assert SEASON.near(times, np.array([np.nan])).tolist() == []


def test_windows_of_whole_seasons_are_compared_with_all_rows():
    season = Season(7 * DAY, 28 * DAY)
    assert season.reach == 0.5
    assert season.near(np.arange(10) * DAY, np.arange(28) * DAY).size == 10
    assert season.together == 1


def test_times_and_outcomes_come_back_as_they_were_frozen(reference, tmp_path):
    small = Reference.freeze(rows(1, week(0, 200)), seed=0, times=week(0, 200))
    small.write(tmp_path, WATCHING)
    np.testing.assert_array_equal(Reference.read(tmp_path).times, week(0, 200))
    Outcomes.freeze({"y": np.arange(200) % 2}, {"p": np.zeros(200)}, seed=0, times=week(0, 200)).write(tmp_path)
    found = Outcomes.read(tmp_path)
    assert found is not None
    part = found.part(np.arange(20, 30))
    np.testing.assert_array_equal(part.times, week(0, 200)[20:30])
    assert part.truth["y"].tolist() == [0, 1] * 5


@pytest.mark.parametrize("together", [1, 4, 8])
def test_parts_that_follow_each_other_are_as_alike_as_the_rows_they_share(together):
    random, mean = np.random.default_rng(3), np.array([0.6, 0.4])
    sets = random.multinomial(500, mean, size=4_000).astype(float)
    made = moving(sets, 500, mean, together)
    apart = made[:, 0] - 500 * mean[0]
    assert apart.std() == pytest.approx(np.sqrt(500 * 0.24), rel=0.05), "they deviate as a set of their own does"
    for distance in range(together + 2):
        alike = np.mean(apart * np.roll(apart, -distance)) / np.mean(apart**2)
        assert alike == pytest.approx(max(0.0, 1 - distance / together), abs=0.06)
    assert grown(made, 500, 2_000, mean).sum(axis=1) == pytest.approx(2_000)
