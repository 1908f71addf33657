"""Run the chain in this process: the quickest way, no service needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.errors import DataError
from pipelines.core.execution import NoTracker, Progress, Session, Tracker, execute
from pipelines.core.graph import Node


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

    Raises the first error of a stage, after the tracker was told. The tracker hears of reused stages only once a stage has
    really run: a run in which nothing happened leaves no trace.
    """
    told, show = _Deferred(tracker or NoTracker()), show or Quiet()
    nodes = session.graph.ancestors(stages) if stages else session.graph.nodes
    done: dict[str, StageResult] = {}
    for node in nodes:
        progress = show.started(node)
        try:
            result = execute(session, node, done, progress=progress)
        except BaseException as error:
            told.failed(session, node, error, error.outputs if isinstance(error, DataError) else {})
            raise
        done[node.name] = result
        told.record(session, node, result)
        show.finished(node, result)
        on_result(result)
    return done


class _Deferred:
    """A tracker that keeps reused results to itself until something else happens."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.kept: list[tuple[Node, StageResult]] = []
        self.quiet = True

    def record(self, session: Session, node: Node, result: StageResult) -> None:
        self.kept.append((node, result))
        self.quiet = self.quiet and result.reused
        if not self.quiet:
            self._tell(session)

    def failed(self, session: Session, node: Node, error: BaseException, outputs: Mapping[str, Ref]) -> None:
        self._tell(session)
        self.tracker.failed(session, node, error, outputs)

    def _tell(self, session: Session) -> None:
        for node, result in self.kept:
            self.tracker.record(session, node, result)
        self.kept.clear()
