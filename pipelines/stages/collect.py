"""collect: take the newest window of data before `as_of`, for monitoring, and the newest rows whose labels are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.core.contract import Window
from pipelines.core.errors import DataError
from pipelines.core.execution import Context
from pipelines.data import replay
from pipelines.stages.raw import fetch

_FARTHEST = 520
"""Windows searched backwards for data, to say where the nearest lie: ten years of weeks."""
USUAL = 4
"""Windows before the newest that say how many rows are usual."""


def collect(context: Context) -> dict[str, Any]:
    """The rows of the newest window, and what it is. Raises DataError for an empty window, naming the nearest with data."""
    params, run, project = context.params, context.run, context.project
    window = replay.window(params.replay, run.as_of, params.seed, params.window)
    fetched = fetch(context)
    data = project.load(fetched.folder, window)
    rows = project.count(data)
    if rows == 0:
        raise DataError(f"window {replay.label(window)} has no rows; {_nearest(context, fetched.folder)}")
    champion, latest = context.champion, replay.newest(project.times(data))
    outcomes, labels = _outcomes(context, fetched.folder, data)
    info = {
        "window": replay.label(window),
        "end": window.end.isoformat(),
        "rows": rows,
        "usual_rows": _usual_rows(context, fetched.folder, window),
        "newest": latest and latest.isoformat(),
        "labels": labels,
        "source": fetched.source,
        "origin": fetched.origin,
        "notes": fetched.notes,
        "files": fetched.files,
        "replayed": params.replay is not None,
        "restarted": replay.restarted(params.replay, run.as_of),
        "champion": champion.version if champion else None,
        "note": "" if champion else "There is no champion yet, so there is nothing to compare this window with.",
    }
    return {"window": data, "outcomes": outcomes, "window_info": info}


def _outcomes(context: Context, raw: Path, newest: Any) -> tuple[Any, dict[str, Any]]:
    """The rows with labels of the newest window that is `labels_after` weeks old, and which window that is."""
    params, run, project = context.params, context.run, context.project
    known = run.as_of - params.labels_after * replay.WEEK
    try:
        window = replay.window(params.replay, known, params.seed, params.window)
    except DataError:  # it lies before the first rows
        return project.labelled(project.take(newest, [])), {"window": None, "start": None, "rows": 0}
    rows = project.labelled(project.load(raw, window) if params.labels_after else newest)
    start = window.start and window.start.isoformat()
    return rows, {"window": replay.label(window), "start": start, "rows": project.count(rows)}


def _usual_rows(context: Context, raw: Path, window: Window) -> float | None:
    """Rows in the windows before, per window; None where there were none."""
    params, run, project = context.params, context.run, context.project
    try:
        before = replay.window(params.replay, run.as_of, params.seed, params.window, back=1, windows=USUAL)
    except DataError:  # this is the first
        return None
    if before.start is None or window.start is None:
        return None
    windows = (before.end - before.start) / (window.end - window.start)
    return project.count(project.load(raw, before)) / windows


def _nearest(context: Context, raw: Path) -> str:
    """A clause that names the newest earlier window with rows: reach twice as far back until one is met, then halve."""
    params, run, project = context.params, context.run, context.project

    def window(**which: int) -> Window:
        return replay.window(params.replay, run.as_of, params.seed, params.window, **which)

    def holds(back: int) -> bool:
        """Whether any of the windows up to `back` windows ago has rows."""
        return project.count(project.load(raw, window(windows=back + 1))) > 0

    far = 1
    while not holds(far):
        if far >= _FARTHEST:
            return f"nor has any of the {far} windows before it. Check the source, or choose another as_of"
        far = min(2 * far, _FARTHEST)
    near = far // 2
    while far - near > 1:
        middle = (near + far) // 2
        near, far = (near, middle) if holds(middle) else (middle, far)
    found = window(back=far)
    return f"the nearest with rows is {replay.label(found)}. Choose as_of {found.end:%Y-%m-%d}, or check why the source has no newer rows"
