"""Airflow: a project's graph as DAGs.

Only the graph and the YAML are read here, for Airflow reads a DAG file often, and again in every task. What a task does is
in `airflow_task.py`, imported when a task runs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    TaskGroup,
    get_parsing_context,
    task,
)

from pipelines.core.deployment import Approval
from pipelines.core.discovery import Definition, find_project
from pipelines.core.graph import Graph, Stage
from pipelines.runners.airflow_assets import EMITS, LOOKS_AT, alarm_alias, asset, promotion_alias
from pipelines.runners.airflow_links import links

_RETRY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[
                "pipelines.core.errors.InfrastructureError",
                "builtins.OSError",
                "builtins.MemoryError",
                "httpx.HTTPError",
            ],
            action=RetryAction.RETRY,
            reason="infrastructure failed; it may work later",
        )
    ],
    default=RetryAction.FAIL,
)
"""Infrastructure is tried again; bad data, wrong use and faults in code fail the same way every time."""


def build(name: str) -> list[DAG | None]:
    """The training and the monitoring DAG of a project. Raises ConfigError when its YAML is wrong.

    Every task reads its DAG file again: there the DAG that is not the task's is left out, and what is not the task's stage.
    """
    definition = find_project(name)
    schedules = {"training": definition.deployment.schedule, "monitoring": definition.deployment.monitoring}
    wanted = get_parsing_context().dag_id
    return [_dag(definition, kind, cron) if wanted in (None, _dag_id(name, kind)) else None for kind, cron in schedules.items()]


def _dag_id(project: str, kind: str) -> str:
    return f"{project}_{kind}"


def _dag(definition: Definition, kind: str, schedule: str | None) -> DAG:
    deployment = definition.deployment
    graph: Graph = getattr(definition, kind)
    with DAG(
        dag_id=_dag_id(definition.name, kind),
        dag_display_name=f"{deployment.title}: {kind}",
        description=deployment.description.strip().splitlines()[0],
        doc_md=_dag_doc(definition, graph, kind),
        schedule=_schedule(definition, kind, schedule),
        deadline=_deadline(definition, kind),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags={definition.name, kind, *deployment.tags, *([deployment.system] if deployment.system else [])},
        default_args={
            "owner": deployment.owner,
            "retries": deployment.retry.attempts,
            "retry_delay": deployment.retry.delay,
            "max_retry_delay": deployment.retry.longest,
            "retry_exponential_backoff": 2.0,
            "retry_policy": _RETRY,
            "on_success_callback": _wake_scheduler,
        },
    ) as dag:
        running = next((stage for stage in graph.stages if stage.name == get_parsing_context().task_id), None)
        if running:
            _stage_task(definition, graph, kind, running)
        else:
            _tasks(definition, graph, kind)
    dag.params = _params(definition)  # last, for each task that is made gets a deep copy of what is there
    return dag


def _deadline(definition: Definition, kind: str) -> Any:
    """Training has a time to be finished by, counted from when it was due; people are told when it passes."""
    longest = definition.deployment.deadline
    if kind != "training" or longest is None:
        return None
    from airflow.sdk.definitions.callback import SyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    told = SyncCallback("pipelines.runners.airflow_deadline.missed", kwargs={"project": definition.name})
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, interval=longest, callback=told, name=f"{definition.name}: deadline")


def _schedule(definition: Definition, kind: str, cron: str | None) -> Any:
    """The cron; where drift retrains, training also starts on an alarm."""
    timetable = _timetable(cron)
    if kind != "training" or definition.deployment.retraining is None:
        return timetable
    drift = [asset(definition.name, "drift")]
    return AssetOrTimeSchedule(timetable=timetable, assets=drift) if timetable else drift


def _timetable(cron: str | None) -> CronTriggerTimetable | None:
    """Each time the cron says, UTC. Not at once when the DAG is first seen: a zero delta is what Airflow takes for never."""
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0)) if cron else None


def _tasks(definition: Definition, graph: Graph, kind: str) -> None:
    """One task a stage, one after another as they read what others write; and one that closes the tracked run."""
    groups: dict[str, TaskGroup] = {}
    results: dict[str, Any] = {}
    for stage in graph.stages:
        if stage.group not in groups:
            groups[stage.group] = TaskGroup(f"{stage.group}_stages", group_display_name=stage.group, prefix_group_id=False)
        with groups[stage.group]:
            results[stage.name] = _stage_task(definition, graph, kind, stage)
        for parent in dict.fromkeys(map(graph.writer, stage.reads)):
            results[parent.name] >> results[stage.name]
    if kind == "training" and (approval := definition.deployment.approval):
        with groups["decide"]:
            results["evaluate"] >> _approve(definition, approval) >> results["promote"]
    closing = _close.override(
        doc_md="Mark the tracked run as finished or failed. Runs whatever happened before.",
        outlets=[alarm_alias(definition.name)] if kind == "training" else [],
    )
    closed = closing(project=definition.name, kind=kind).as_teardown()
    read = {graph.writer(artifact).name for stage in graph.stages for artifact in stage.reads}
    for name in results.keys() - read:  # the others are before these; each edge is looked at whenever the scheduler looks
        results[name] >> closed


def _stage_task(definition: Definition, graph: Graph, kind: str, stage: Stage) -> Any:
    """The task of a stage, mapped over the candidates where the stage is."""
    operator = _run_stage.override(
        task_id=stage.name,
        doc_md=_stage_doc(stage),
        inlets=[asset(definition.name, LOOKS_AT[stage.name])] if stage.name in LOOKS_AT else [],
        outlets=_outlets(definition.name, stage),
        max_active_tis_per_dagrun=definition.deployment.at_once if stage.each else None,
        map_index_template="{{ task.op_kwargs['candidate'] }}" if stage.each else None,
        on_success_callback=[_wake_scheduler, _tell_tracker],
    )
    fixed = {"project": definition.name, "kind": kind, "stage": stage.name}
    if stage.each:
        return operator.partial(**fixed).expand(candidate=list(graph.candidates))
    made = operator(**fixed)
    made.operator.operator_extra_links = links(definition.name, kind, stage)
    return made


@task(multiple_outputs=False)  # type: ignore[untyped-decorator]
def _run_stage(project: str, kind: str, stage: str, candidate: str | None = None) -> Any:
    """Execute one node of the graph; the reference to what it made is the task's XCom."""
    from pipelines.runners.airflow_task import run_stage

    return run_stage(project, kind, stage, candidate)


def _wake_scheduler(_: Any) -> None:
    """Airflow calls this when it knows of the success."""
    from pipelines.runners import airflow_bell as bell

    bell.ring()


def _tell_tracker(_: Any) -> None:
    """Then this, while the next task already begins."""
    from pipelines.runners.airflow_task import tell_tracker

    tell_tracker()


@task(task_id="close", retries=1, retry_delay=timedelta(seconds=5), retry_policy=None)  # type: ignore[untyped-decorator]
def _close(project: str, kind: str) -> None:
    from pipelines.runners.airflow_task import close

    close(project, kind)


def _approve(definition: Definition, approval: Approval) -> Any:
    """The task that asks a person; its provider is imported where somebody wants that."""
    from pipelines.runners.airflow_approval import ApprovePromotion

    return ApprovePromotion(
        task_id="approve",
        project=definition.name,
        title=definition.deployment.title,
        approval=approval,
        doc_md="Ask a person whether the winner may be promoted, where the gates let it. No answer in time is a rejection.",
    )


def _outlets(project: str, stage: Stage) -> list[Asset | AssetAlias]:
    if stage.name == "promote":  # an alias, because a run that promotes nothing brings forth no new champion
        return [promotion_alias(project)]
    if stage.name == "decide":
        return [alarm_alias(project)]
    return [asset(project, EMITS[stage.name])] if stage.name in EMITS else []


def _params(definition: Definition) -> dict[str, Param]:
    profile = definition.deployment.profile
    return {
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description="Nothing later is read. Empty: the scheduled date, or today.",
        ),
        "profile": Param(profile, type="string", enum=definition.profiles, title="Profile", description="Set of parameters."),
        "overrides": Param(
            {}, type="object", title="Overrides", description='Dotted keys of params.yaml, such as {"train.trials": 5}.'
        ),
        "fresh": Param(False, type="boolean", title="Fresh", description="Run every stage, reuse nothing."),
        "rehearsal": Param(
            None,
            type=["null", "string"],
            title="Rehearsal",
            description="Name of a rehearsal: a champion, alarms and verdicts of its own. Empty: for real; `backfill` in a backfill of training.",
        ),
        "why": Param(
            None,
            type=["null", "string"],
            title="Why",
            description="Your reason, kept with the model beside what started the run.",
        ),
    }


def _dag_doc(definition: Definition, graph: Graph, kind: str) -> str:
    rows = "\n".join(f"| `{stage.name}` | {stage.doc} |" for stage in graph.stages)
    return f"""### {definition.deployment.title}: {kind}

{definition.deployment.description}

| stage | what it does |
| --- | --- |
{rows}

Bad data stops the chain and is never retried; infrastructure errors are. A stage whose inputs, parameters and code are
unchanged is answered from the store. The same chain without Airflow: `pipelines run {definition.name}`.
"""


def _stage_doc(stage: Stage) -> str:
    reads = ", ".join(f"`{name}`" for name in stage.reads) or "nothing"
    writes = "\n".join(f"- `{output.name}`: {output.doc or output.codec}" for output in stage.writes)
    return f"{stage.doc}\n\nReads {reads}. Writes\n\n{writes}\n"
