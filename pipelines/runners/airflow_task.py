"""What a task of ours does when Airflow runs it: one node of the graph, from references to references.

A task is over for Airflow, and the next one begins, when its result is in the store. Only then is the result told to the
tracker, beside the next task. Nothing is lost with a process that dies in between: `close` compares what the store has with
what the tracker has heard of, and tells the rest.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, time
from functools import partial
from typing import Any, Literal

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.log import mask_secret, redact

from pipelines.core.artifacts import StageResult
from pipelines.core.errors import DataError, InfrastructureError, PipelineError
from pipelines.core.execution import Session, execute
from pipelines.core.graph import Node
from pipelines.core.run import Run, parse_as_of
from pipelines.core.scrub import scrub, secret_values
from pipelines.runners import retraining
from pipelines.runners.airflow_assets import EMITS, alarm_alias, asset, promotion_alias
from pipelines.runners.progress import Note
from pipelines.tracking import open_runs, records
from pipelines.tracking.runs import MlflowTracker

log = logging.getLogger("pipelines")

ERROR = "error"
"""XCom key under which a failed task leaves kind, exit code and message of its error."""
_unsaid: list[Callable[[], None]] = []
"""What this process has still to tell the tracker."""
_STARTED: dict[str, Literal["schedule", "backfill", "drift"]] = {
    "scheduled": "schedule",
    "backfill": "backfill",
    "asset_triggered": "drift",
}
"""What made a DAG run, by its type in Airflow; anything else is a person."""


def run_stage(project: str, kind: str, stage: str, candidate: str | None) -> dict[str, Any]:
    """Execute a node and tell the tracker; return its `StageResult` as plain values, which is all that XCom carries.

    What the nodes before it gave is read where the tracker keeps it, in the run's own record: pulling each from Airflow's
    database costs a request to the API server, and with nine of them more than all else that a light task does.
    """
    context = get_current_context()
    session = open_session(context, project, kind)
    node = session.graph.node(f"{stage}-{candidate}" if candidate else stage)
    all_cores(session, node)
    tracker = MlflowTracker(session.settings)
    watched = Note(session.settings, session.run.id, node.name)
    try:
        if not node.stage.reads:
            records.remember_run(session)  # before anything can fail: who is told of a failure depends on what was asked
            _claim_alarms(session)
        with ThreadPoolExecutor(1) as beside:  # for the first task that is a tenth of a second, as long as Airflow itself takes
            opened = beside.submit(tracker.open, session)
            with open_runs.at_work(session):
                result = execute(session, node, _done(session, node), progress=watched.tell)
            records.remember(session, result)
            opened.result()  # a tracker that was down has the task tried again
        tell = partial(tracker.record, session, node, result)
        if tracker.reopened(session):  # nobody comes after this task who would tell the rest
            tell()
        else:
            _unsaid.append(tell)
    except AirflowSkipException:
        raise
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


def tell_tracker() -> None:
    """Tell what is unsaid. Whatever goes wrong here, the task has succeeded, and `close` tells it."""
    try:
        while _unsaid:
            _unsaid.pop()()
    except Exception:
        log.exception("the tracker could not be told of this stage now; the task `close` will try")


def all_cores(session: Session, node: Node) -> None:
    """Lift the stack's limit of one thread, which is for candidates side by side, where they are trained one at a time.

    Such a candidate then has as many threads as in the other runners, and becomes the same model.
    """
    if node.candidate and session.definition.deployment.at_once == 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        del os.environ["OMP_NUM_THREADS"]


def close(project: str, kind: str) -> None:
    """Answer the alarms the run had claimed, and finish the tracked run, FAILED when any task of this DAG run has failed.

    The alarms first: whether they are answered is for the store to say, and does not wait for a tracker that is away.
    """
    context = get_current_context()
    session = open_session(context, project, kind)
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    failed = sorted(name for name, state in states.items() if str(state) in ("failed", "upstream_failed"))
    retraining.finish(session, failed)
    tracker = MlflowTracker(session.settings)
    with contextlib.suppress(InfrastructureError) if failed else contextlib.nullcontext():
        for node, result in tracker.unheard(session):
            log.info("%s: its process ended before the tracker knew", node.name)
            tracker.record(_as_task(session, node), node, result)
    tracker.finish(session, "FAILED" if failed else "FINISHED")
    log.info("closed as %s", f"failed: {', '.join(failed)}" if failed else "finished")
    if kind == "training" and not failed:
        # what came in meanwhile; after a failure the next check asks again, not this run at once
        _tell_of_alarms(context, session)


def _as_task(session: Session, node: Node) -> Session:
    """The session as the node's own task had it, but for its number of tries, which only that process knew."""
    engine = {key: value for key, value in session.run.engine.items() if key != "try"} | {"task_id": node.stage.name}
    return replace(session, run=session.run.model_copy(update={"engine": engine}))


def _claim_alarms(session: Session) -> None:
    """Take the open drift alarms for a training run. One that was started by an alarm that is answered by now has no work."""
    if not retraining.claim(session) and session.run.started_by == "drift":
        raise AirflowSkipException("nothing to do: the drift alarms behind this event are answered by an earlier run")


def _tell_of_alarms(context: Any, session: Session) -> None:
    """Start the training DAG by an event, while there are alarms that wait for a run."""
    project = session.run.project
    if names := retraining.due(session):
        context["outlet_events"][alarm_alias(project)].add(asset(project, "drift"), extra={"alarms": list(names)})


def open_session(context: Any, project: str, kind: str) -> Session:
    """The run as every one of its tasks must see it: made of nothing but the DAG run and its parameters.

    From here on Airflow keeps the secrets of the environment out of the task's log.
    """
    mask_secrets()
    run, params, ti = context["dag_run"], context["params"], context["ti"]
    started = _STARTED.get(str(getattr(run.run_type, "value", run.run_type)), "person")
    return Session(
        run=Run(
            project=project,
            id=f"{run.dag_id}.{run.run_id}",
            as_of=parse_as_of(params["as_of"]) if params["as_of"] else _as_of(run, started in ("schedule", "backfill")),
            profile=params["profile"],
            overrides=dict(params["overrides"]),
            runner="airflow",
            started_by=started,
            why=params["why"] or "",
            rehearsal=params["rehearsal"] or (started if (kind, started) == ("training", "backfill") else ""),
            fresh=params["fresh"],
            engine={"dag_id": run.dag_id, "run_id": run.run_id, "task_id": ti.task_id, "try": str(ti.try_number)},
        ),
        graph_name=kind,
    )


def mask_secrets() -> None:
    """Tell Airflow what must not be seen in this task's log, whoever writes it; not what our plugin has told it."""
    for value in secret_values():
        if redact(value) == value:
            mask_secret(value)


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
        ERROR, {"kind": type(error).__name__, "exit_code": getattr(error, "exit_code", 1), "message": scrub(str(error))[:1500]}
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
    elif result.node == "decide":
        _tell_of_alarms(context, session)
    elif result.node == "promote":
        promotion = session.read(result.outputs["promotion"])
        if promotion["outcome"] == "promoted" and promotion["run"] == session.run.id and not session.run.rehearsal:
            extra = {key: promotion[key] for key in ("version", "candidate", "model")}
            events[promotion_alias(project)].add(asset(project, "champion"), extra=extra)
