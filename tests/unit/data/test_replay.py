"""Replay: what arrives when, as properties that hold for any plan."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.config import Replay
from pipelines.core.errors import DataError
from pipelines.data import replay
from pipelines.data.replay import WEEK

START = datetime(2025, 1, 6, tzinfo=UTC)
plans = st.builds(
    Replay,
    start=st.just(START.date()),
    weeks=st.integers(1, 60),
    backlog=st.floats(0, 0.95),
)
widths = st.integers(1, 6)
rows_counts = st.integers(0, 400)
seeds = st.integers(0, 2**31)
hours = st.integers(0, 24 * 7 * 80)


def seen(plan: Replay, as_of: datetime, seed: int, rows: int, **which: object) -> set[int]:
    """Positions a window shows; none where there can be no data yet."""
    try:
        window = replay.window(plan, as_of, seed, **which)  # type: ignore[arg-type]
    except DataError:
        return set()
    return set(np.asarray(window.positions(rows)).tolist())


@given(plans, rows_counts, seeds)
def test_every_row_arrives_exactly_once_and_evenly(plan: Replay, rows: int, seed: int) -> None:
    weeks = replay.arrival_weeks(rows, plan, seed)
    assert weeks.shape == (rows,)
    counts = np.bincount(weeks, minlength=plan.weeks + 1)
    assert len(counts) == plan.weeks + 1
    assert counts[0] == round(plan.backlog * rows)
    assert np.ptp(counts[1:]) <= 1


@given(plans, rows_counts, seeds, hours, hours)
def test_what_has_arrived_stays(plan: Replay, rows: int, seed: int, first: int, second: int) -> None:
    early, late = sorted((START + timedelta(hours=first), START + timedelta(hours=second)))
    assert seen(plan, early, seed, rows) <= seen(plan, late, seed, rows)


@given(plans, widths, rows_counts, seeds, hours)
def test_nothing_later_than_as_of_is_read(plan: Replay, width: int, rows: int, seed: int, hour: int) -> None:
    as_of = START + timedelta(hours=hour)
    weeks = replay.arrival_weeks(rows, plan, seed)
    expected = {row for row in range(rows) if START + int(weeks[row]) * WEEK <= as_of}
    if plan.backlog or as_of >= START + WEEK:
        assert seen(plan, as_of, seed, rows) == expected
        assert replay.window(plan, as_of, seed).end <= as_of
    newest = seen(plan, as_of, seed, rows, weeks=width)
    if as_of < START + plan.weeks * WEEK:
        assert newest <= expected


@given(plans, rows_counts, seeds, hours, hours)
def test_equal_descriptions_mean_equal_rows(plan: Replay, rows: int, seed: int, first: int, second: int) -> None:
    a, b = START + timedelta(hours=first), START + timedelta(hours=second)
    assert seen(plan, a, seed, rows) == seen(plan, a, seed, rows)
    if replay.describe(plan, a) == replay.describe(plan, b):
        assert seen(plan, a, seed, rows) == seen(plan, b, seed, rows)
    over = START + plan.weeks * WEEK
    assert (replay.describe(plan, a) == replay.describe(plan, over)) == (a >= over), "a finished replay knows no date"


@given(plans, widths, rows_counts, seeds)
def test_newest_windows_tile_the_replay(plan: Replay, width: int, rows: int, seed: int) -> None:
    over = START + plan.weeks * WEEK
    count = -(-plan.weeks // width)
    tiles = [seen(plan, over, seed, rows, weeks=width, back=back) for back in range(count)]
    arriving = {row for row, week in enumerate(replay.arrival_weeks(rows, plan, seed)) if week}
    assert set().union(*tiles) == arriving
    assert sum(map(len, tiles)) == len(arriving)
    assert seen(plan, over, seed, rows, weeks=width, windows=count) == arriving


@given(plans, widths, rows_counts, seeds, st.integers(0, 200))
def test_after_the_end_the_weeks_start_over(plan: Replay, width: int, rows: int, seed: int, extra: int) -> None:
    as_of = START + (plan.weeks + width + extra) * WEEK
    again = seen(plan, as_of, seed, rows, weeks=width)
    assert again == seen(plan, as_of + plan.weeks * WEEK, seed, rows, weeks=width)
    assert replay.restarted(plan, as_of)
    assert not replay.restarted(plan, START + plan.weeks * WEEK)
    assert seen(plan, as_of, seed, rows) == set(range(rows)), "training sees all rows then"


def test_before_the_first_rows_the_first_date_is_named() -> None:
    plan = Replay(start=date(2025, 1, 6), weeks=4, backlog=0.5)
    with pytest.raises(DataError, match="no data as of 2025-01-05: the first rows arrive on 2025-01-06; choose a later as_of"):
        replay.window(plan, datetime(2025, 1, 5, tzinfo=UTC), 1)
    with pytest.raises(DataError, match="the first rows arrive on 2025-01-13"):
        replay.window(plan, datetime(2025, 1, 8, tzinfo=UTC), 1, weeks=1)
    without = plan.model_copy(update={"backlog": 0.0})
    with pytest.raises(DataError, match="the first rows arrive on 2025-01-13"):
        replay.window(without, datetime(2025, 1, 8, tzinfo=UTC), 1)


def test_data_with_dates_of_their_own_get_the_span() -> None:
    as_of = datetime(2025, 3, 3, tzinfo=UTC)
    assert replay.window(None, as_of, 1).start is None
    assert replay.window(None, as_of, 1).end == as_of
    assert replay.label(replay.window(None, as_of, 1, weeks=1, back=1)) == "2025-02-17..2025-02-24"
    assert replay.label(replay.window(None, as_of, 1, weeks=4, back=1)) == "2025-01-06..2025-02-03"
    assert replay.label(replay.window(None, as_of, 1, weeks=2, windows=2)) == "2025-02-03..2025-03-03"
    assert replay.describe(None, as_of) == {"start": None, "end": "2025-03-03T00:00:00+00:00"}
