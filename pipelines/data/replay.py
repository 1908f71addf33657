"""Replay: the rows of a static data set arrive over time, so that windows, schedules and backfills mean something.

Each row has an arrival week that follows from the seed and the number of rows alone, or from its place in the file. A share of the rows, the backlog, is
there at `start`; the rest arrive evenly over `weeks`. A week's rows can be read once the week is over, so all runs within
one week see the same rows, and no run sees a row of a week that has not ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.core.config import Replay
from pipelines.core.contract import Window
from pipelines.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEEK = timedelta(weeks=1)


def arrival_weeks(rows: int, replay: Replay, seed: int) -> NDArray[np.int64]:
    """The week in which each row arrives, shape (rows,): 0 for the backlog, else 1 to `replay.weeks`.

    >>> from datetime import date
    >>> [int(w) for w in sorted(arrival_weeks(8, Replay(start=date(2025, 1, 6), weeks=4), seed=1))]
    [0, 0, 0, 0, 1, 2, 3, 4]
    >>> arrival_weeks(8, Replay(start=date(2025, 1, 6), weeks=4, order="file"), seed=1).tolist()
    [0, 0, 0, 0, 1, 2, 3, 4]
    """
    import numpy as np

    order = np.arange(rows) if replay.order == "file" else np.random.default_rng([seed, rows]).permutation(rows)
    backlog = round(replay.backlog * rows)
    arriving = rows - backlog
    weeks = np.zeros(rows, dtype=np.int64)
    weeks[order[backlog:]] = 1 + np.arange(arriving) * replay.weeks // max(arriving, 1)
    return weeks


@dataclass(frozen=True)
class Span:
    """Consecutive weeks, counted from the replay's start: `first` to `last`, both included. Week 0 is the backlog."""

    start: datetime | None
    end: datetime
    first: int
    last: int


def window(replay: Replay | None, as_of: datetime, seed: int, weeks: int = 0, *, back: int = 0, windows: int = 1) -> Window:
    """What a run as of a date may see.

    Without `weeks`, everything that has arrived. With them, the last so many: those that are over of a replay, whose weeks start
    over after its end; else those before `as_of`. `back` ends that many windows earlier, `windows` takes so many in one.

    Raises DataError when nothing can have arrived by then, naming the first date with data.
    """
    span = _span(replay, as_of, weeks, back, windows)
    if replay is None:
        return Window(span.start, span.end)
    plan = replay
    if span.last < span.first:
        raise DataError(
            f"no data as of {as_of:%Y-%m-%d}: the first rows arrive on {_earliest(plan, weeks):%Y-%m-%d}; "
            "choose a later as_of, or an earlier replay.start in params.yaml"
        )

    def positions(rows: int) -> NDArray[np.int64]:
        import numpy as np

        arrived = arrival_weeks(rows, plan, seed)
        if not weeks:
            return np.flatnonzero(arrived <= span.last)
        return np.flatnonzero(np.isin(arrived, [_cycled(week, plan) for week in range(span.first, span.last + 1)]))

    return Window(span.start, span.end, positions)


def labelled(replay: Replay | None, as_of: datetime, weeks: int) -> datetime:
    """Before which instant rows have their labels, at `as_of`, when labels come after so many weeks. A replay's backlog has them
    from the start.
    """
    known = as_of - weeks * WEEK
    return max(known, min(as_of, _start(replay))) if replay else known


def describe(replay: Replay | None, as_of: datetime) -> dict[str, Any]:
    """The window of all that has arrived, as plain values: equal for two dates exactly when the windows hold the same rows.

    Once a replay is over, `as_of` no longer shows in it.
    """
    span = _span(replay, as_of, weeks=0, back=0, windows=1)
    plain: dict[str, Any] = {
        "start": span.start.isoformat() if span.start else None,
        "end": span.end.isoformat(),
    }
    if replay is not None:
        plain["weeks"] = [span.first, span.last]
        plain["replay_weeks"] = replay.weeks
    return plain


def newest(times: Any) -> datetime | None:
    """The latest of `Project.times`; None where no row has one."""
    import numpy as np

    known = () if times is None else times[np.isfinite(times)]
    return datetime.fromtimestamp(float(np.max(known)), UTC) if len(known) else None


def label(window: Window) -> str:
    """`2025-03-03..2025-03-10`: start and end, the end not included."""
    return f"{window.start:%Y-%m-%d}..{window.end:%Y-%m-%d}" if window.start else f"..{window.end:%Y-%m-%d}"


def restarted(replay: Replay | None, as_of: datetime) -> bool:
    """Whether the newest window at `as_of` shows weeks of the replay for a second time."""
    return replay is not None and _weeks_over(replay, as_of) > replay.weeks


def _span(replay: Replay | None, as_of: datetime, weeks: int, back: int, windows: int) -> Span:
    if replay is None:
        end = as_of - back * weeks * WEEK
        return Span(end - windows * weeks * WEEK if weeks else None, end, 0, 0)
    start = _start(replay)
    over = _weeks_over(replay, as_of)
    if not weeks:
        last = min(over, replay.weeks)
        # before the first rows there is nothing to see: an empty span
        first = 0 if last > 0 or (last == 0 and replay.backlog > 0) else last + 1
        return Span(None, start + max(last, 0) * WEEK, first, last)
    last = over - back * weeks
    first = max(1, last - windows * weeks + 1)
    return Span(start + (first - 1) * WEEK, start + max(last, first - 1) * WEEK, first, last)


def _start(replay: Replay) -> datetime:
    return datetime.combine(replay.start, time(), UTC)


def _weeks_over(replay: Replay, as_of: datetime) -> int:
    """Whole weeks between the replay's start and `as_of`; negative before the start."""
    return (as_of - _start(replay)) // WEEK


def _cycled(week: int, replay: Replay) -> int:
    return (week - 1) % replay.weeks + 1


def _earliest(replay: Replay, weeks: int) -> datetime:
    return _start(replay) + (WEEK if weeks or replay.backlog == 0 else timedelta(0))
