"""The raw files of a project, for the stages that begin with them."""

from __future__ import annotations

from pipelines.core.execution import Context
from pipelines.data import sources


def fetch(context: Context) -> sources.Fetched:
    """The files, in the stage's working folder, and where they came from. What stands in for them is asked for anew next time."""
    fetched = sources.fetch(
        context.params.ingest,
        context.session.settings,
        context.params.seed,
        into=context.workdir / "raw",
        progress=context.progress,
        catalog=context.session.definition.catalog,
    )
    context.lasting = not fetched.makeshift
    return fetched
