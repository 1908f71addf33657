"""Run the chain in this process: the quickest way, no service needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipelines import metrics
from pipelines.core.artifacts import StageResult
from pipelines.core.errors import DataError, PipelineError
from pipelines.core.execution import NoTracker, Progress, Session, Tracker, execute
from pipelines.core.graph import Node
from pipelines.runners import retraining
from pipelines.tracking import open_runs


class Quiet:
    """Shows nothing."""

    def started(self, node: Node) -> Progress:
        return lambda done, total, message: None

    def finished(self, node: Node, result: StageResult) -> None: ...


def run(
    session: Session,
    stages: Iterable[str] = (),
    *,
    tracker: Tracker | None = None,
    show: Quiet | None = None,
    on_result: Callable[[StageResult], None] = lambda result: None,
) -> dict[str, StageResult]:
    """Execute the named stages and what they need, all of the graph by default; return the results by node.

    A training run of the whole graph answers the drift alarms that are open. Raises the first error of a stage, after the tracker
    was told.
    """
    tracker, show = tracker or NoTracker(), show or Quiet()
    nodes = session.graph.ancestors(stages) if stages else session.graph.nodes
    whole = len(nodes) == len(session.graph.nodes)
    if whole:
        retraining.claim(session)
    done: dict[str, StageResult] = {}
    for node in nodes:
        progress = show.started(node)
        try:
            with open_runs.at_work(session):
                result = execute(session, node, done, progress=progress)
        except BaseException as error:
            try:
                tracker.failed(session, node, error, error.outputs if isinstance(error, DataError) else {})
                if whole:
                    retraining.finish(session, [node.name])
            except PipelineError as second:  # must not hide the first
                error.add_note(f"The failure could not be told of: {second}")
            metrics.tell_run(session, "failed")
            raise
        done[node.name] = result
        tracker.record(session, node, result)
        show.finished(node, result)
        on_result(result)
    if whole:
        retraining.finish(session)
    metrics.tell_run(session, "success")
    return done
