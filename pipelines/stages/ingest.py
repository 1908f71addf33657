"""ingest: fetch the raw data as of a date, check their hash and version them with DVC."""

from __future__ import annotations

from typing import Any

from pipelines.core.execution import Context
from pipelines.data import replay
from pipelines.data.snapshots import Snapshots
from pipelines.stages.raw import fetch


def ingest(context: Context) -> dict[str, Any]:
    """The files as the source gave them, and a record of where they came from.

    Nothing later than `as_of` can be read from static data before their replay has let it arrive; which rows have is
    `window`, and reading them is the project's `load`.
    """
    params, run = context.params, context.run
    known = replay.labelled(params.replay, run.as_of, params.labels_after)
    replay.window(params.replay, known, params.seed)  # nothing to see by then: say so before anything is fetched
    fetched = fetch(context)
    snapshots = Snapshots(context.session.settings)
    pointer = snapshots.add(run.project, fetched.folder)
    snapshots.push()
    snapshot = {
        "dataset": params.ingest.dataset,
        "source": fetched.source,
        "origin": fetched.origin,
        "tried": fetched.tried,
        "files": fetched.files,
        "notes": fetched.notes,
        "pointer": pointer,
        "window": replay.describe(params.replay, known),
    }
    return {"raw": fetched.folder, "snapshot": snapshot}
