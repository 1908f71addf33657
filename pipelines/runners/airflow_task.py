"""What a task of ours does when Airflow runs it: one node of the graph, from references to references."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, time
from typing import Any

from airflow.sdk import get_current_context

from pipelines.core.artifacts import StageResult
from pipelines.core.errors import DataError, PipelineError
from pipelines.core.execution import Session, execute
from pipelines.core.graph import Node
from pipelines.core.run import Run, parse_as_of
from pipelines.runners.airflow_assets import EMITS, asset, promotion_alias
from pipelines.runners.progress import Note
from pipelines.tracking import records
from pipelines.tracking.runs import MlflowTracker

log = logging.getLogger("pipelines")

ERROR = "error"
"""XCom key under which a failed task leaves kind, exit code and message of its error."""


def run_stage(project: str, kind: str, stage: str, candidate: str | None) -> dict[str, Any]:
    """Execute a node and tell the tracker; return its `StageResult` as plain values, which is all that XCom carries.

    What the nodes before it gave is read where the tracker keeps it, in the run's own record: pulling each from Airflow's
    database costs a request to the API server, and with nine of them more than all else that a light task does.
    """
    context = get_current_context()
    session = _session(context, project, kind)
    node = session.graph.node(f"{stage}-{candidate}" if candidate else stage)
    all_cores(session, node)
    tracker = MlflowTracker(session.settings)
    watched = Note(session.settings, session.run.id, node.name)
    try:
        if not node.stage.reads:
            tracker.open(session)
        result = execute(session, node, _done(session, node), progress=watched.tell)
        tracker.record(session, node, result)
    except Exception as error:
        _explain(context, session, tracker, node, error)
        raise
    finally:
        watched.end()
    tracker.settle(session)
    if result.reused:
        log.info("%s: reused, nothing it depends on has changed (%.0f ms)", node.name, 1000 * result.seconds)
    else:
        log.info("%s: done in %.1f s", node.name, result.seconds)
    _emit(context, session, result)
    return result.model_dump(mode="json")


def all_cores(session: Session, node: Node) -> None:
    """Lift the stack's limit of one thread, which is for candidates side by side, where they are trained one at a time.

    Such a candidate then has as many threads as in the other runners, and becomes the same model.
    """
    if node.candidate and session.definition.deployment.at_once == 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        del os.environ["OMP_NUM_THREADS"]


def close(project: str, kind: str) -> None:
    """Finish the tracked run: FAILED when any task of this DAG run has failed."""
    context = get_current_context()
    session = _session(context, project, kind)
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    failed = sorted(name for name, state in states.items() if str(state) in ("failed", "upstream_failed"))
    MlflowTracker(session.settings).finish(session, "FAILED" if failed else "FINISHED")
    log.info("closed as %s", f"failed: {', '.join(failed)}" if failed else "finished")


def _session(context: Any, project: str, kind: str) -> Session:
    """The run as every one of its tasks must see it: made of nothing but the DAG run and its parameters."""
    run, params, ti = context["dag_run"], context["params"], context["ti"]
    scheduled = str(getattr(run.run_type, "value", run.run_type)) in ("scheduled", "backfill")
    return Session(
        run=Run(
            project=project,
            id=f"{run.dag_id}.{run.run_id}",
            as_of=parse_as_of(params["as_of"]) if params["as_of"] else _as_of(run, scheduled),
            profile=params["profile"],
            overrides=dict(params["overrides"]),
            runner="airflow",
            why=params["why"] or ("schedule" if scheduled else "person"),
            fresh=params["fresh"],
            engine={"dag_id": run.dag_id, "run_id": run.run_id, "task_id": ti.task_id, "try": str(ti.try_number)},
        ),
        graph_name=kind,
    )


def _as_of(run: Any, scheduled: bool) -> datetime:
    """The scheduled instant; for a run by hand midnight of its day, so that runs of one day see the same data."""
    if scheduled and run.logical_date:
        return datetime.fromisoformat(run.logical_date.isoformat())
    return datetime.combine(run.run_after.astimezone(UTC).date(), time(), UTC)


def _done(session: Session, node: Node) -> dict[str, StageResult]:
    """Results of the nodes before this one, by name; what is missing `execute` will name."""
    names = [parent.name for parent in session.graph.upstream(node)]
    return records.results(session.store, session.run.project, session.run.id, names)


def _explain(context: Any, session: Session, tracker: MlflowTracker, node: Node, error: Exception) -> None:
    """Put our message at the head of the log and beside the task, and the evidence into the tracked run."""
    if isinstance(error, PipelineError):
        log.error("%s: %s", type(error).__name__, error)
    context["ti"].xcom_push(
        ERROR, {"kind": type(error).__name__, "exit_code": getattr(error, "exit_code", 1), "message": str(error)[:1500]}
    )
    try:
        tracker.failed(session, node, error, error.outputs if isinstance(error, DataError) else {})
        tracker.settle(session)
    except Exception:
        log.exception("the tracker could not be told of the failure")


def _emit(context: Any, session: Session, result: StageResult) -> None:
    """Tell Airflow's assets what is new, by digest; a champion only where this very run made one."""
    events, project = context["outlet_events"], session.run.project
    digests: dict[str, Any] = {name: ref.digest for name, ref in result.outputs.items()}
    if what := EMITS.get(result.node):
        events[asset(project, what)].extra = digests
    elif result.node == "promote":
        promotion = session.read(result.outputs["promotion"])
        if promotion["outcome"] == "promoted" and promotion["run"] == session.run.id:
            extra = {key: promotion[key] for key in ("version", "candidate", "model")}
            events[promotion_alias(project)].add(asset(project, "champion"), extra=extra)
