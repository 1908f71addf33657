"""DAGs that operate any project, started by people in Airflow's UI or by REST."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from pipelines.core.discovery import find_projects

log = logging.getLogger("pipelines")


def rollback() -> DAG:
    """`rollback`: an earlier champion serves again, as by `pipelines rollback`."""
    with DAG(
        dag_id="rollback",
        dag_display_name="Roll a champion back",
        description="Restore an earlier champion of a project. The one that leaves is not promoted again by a run.",
        doc_md="The same as `pipelines rollback PROJECT --to VERSION --why TEXT`. `pipelines history PROJECT` shows the versions.",
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        tags={"operations"},
        default_args={"retries": 0},
        params={
            "project": Param(type="string", enum=sorted(find_projects()), title="Project"),
            "to": Param(None, type=["null", "integer"], title="Version", description="Empty: the champion before this one."),
            "why": Param(type="string", minLength=3, title="Why", description="It stays in the history."),
        },
    ) as dag:
        _roll_back()
    return dag


def retention() -> DAG:
    """`retention`: what `pipelines gc` does, each week once it is switched on."""
    with DAG(
        dag_id="retention",
        dag_display_name="Remove what old runs have left",
        description="What no alias, history or retained run refers to. Looks first; removes on its schedule, or when asked to.",
        doc_md="The same as `pipelines gc` and `pipelines gc --apply`. What is retained says `retention` in deployment.yaml.",
        schedule=CronTriggerTimetable("0 2 * * 0", timezone="UTC", run_immediately=timedelta(0)),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=True,
        tags={"operations"},
        default_args={"retries": 0},
        params={
            "apply": Param(
                None,
                type=["null", "boolean"],
                title="Apply",
                description="Remove it. Empty: only when the schedule has started this run.",
            ),
        },
    ) as dag:
        _look() >> _remove()
    return dag


@task(task_id="look", multiple_outputs=False, doc_md="Say what may go and how large it is; nothing is touched.")  # type: ignore[untyped-decorator]
def _look() -> dict[str, Any]:
    return _collected(apply=False)


@task(task_id="remove", multiple_outputs=False, doc_md="Remove what may go.")  # type: ignore[untyped-decorator]
def _remove() -> dict[str, Any]:
    context = get_current_context()
    asked, kind = context["params"]["apply"], context["dag_run"].run_type
    if not (asked or (asked is None and str(getattr(kind, "value", kind)) == "scheduled")):
        raise AirflowSkipException("only looked: start the DAG with `apply` to remove what the task before has listed")
    return _collected(apply=True)


def _collected(*, apply: bool) -> dict[str, Any]:
    """Bytes and number by kind; the log has them, too."""
    from pipelines.core.settings import Settings, quiet_environment
    from pipelines.retention import report, survey

    quiet_environment()
    document = report(survey(Settings.load()), apply=apply)
    for place in document["places"]:
        del place["names"]  # too long for XCom
        log.info("%s: %d, %d bytes", place["what"], place["count"], place["bytes"])
    log.info("%s: %d bytes", "removed" if apply else "may go", document["bytes"])
    return document


@task(task_id="rollback", doc_md="Move the champion back, in the history first; MLflow's aliases follow.")  # type: ignore[untyped-decorator]
def _roll_back() -> dict[str, Any]:
    from pipelines import metrics
    from pipelines.core.errors import PipelineError
    from pipelines.core.execution import Session
    from pipelines.core.run import Run
    from pipelines.core.settings import Settings
    from pipelines.runners.airflow_task import mask_secrets
    from pipelines.tracking import registry

    mask_secrets()
    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    try:
        entry = registry.rollback(
            Settings.load(),
            params["project"],
            params["to"],
            params["why"],
            run=f"{run.dag_id}.{run.run_id}",
            by=f"{run.triggering_user_name or 'a person'}, in Airflow",
        )
    except PipelineError as error:
        log.error("%s: %s", type(error).__name__, error)
        raise
    # A task that is tried again or cleared finds its move in the history, by the run's id, and moves nothing twice.
    metrics.tell_project(Session(Run(project=params["project"])).store, params["project"])
    log.info("version %s of %s serves again in place of version %s", entry.version, params["project"], entry.replaced)
    return {"version": entry.version, "replaced": entry.replaced}
