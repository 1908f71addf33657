"""What is worth telling, and how it reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.alarms import Alarms, Event, name_of
from pipelines.core.deployment import AlertKind
from pipelines.core.evidence import Verdict
from pipelines.core.execution import Session
from pipelines.core.fingerprint import digest_of
from pipelines.core.run import Run, today
from pipelines.core.scrub import scrub
from pipelines.tracking import open_runs, records


class Alert(BaseModel):
    """One message. Two with the same kind, project and key are the same and told once."""

    model_config = ConfigDict(frozen=True)

    kind: AlertKind
    project: str
    key: str
    title: str
    body: str
    owner: str
    runbook: str
    link: str = ""
    """Page of the DAG run, where there is one."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def text(self) -> str:
        """The whole message in plain words."""
        lines = [self.body, "", f"Owner: {self.owner}", f"What to do: {self.runbook}#{self.kind}"]
        return "\n".join([*lines, f"Run: {self.link}"] if self.link else lines)


def ended(project: str, run: str, graph: str = "training") -> Session:
    """One of Airflow's runs as it was asked, so that a rehearsal is known for one.

    Of a run whose first task was killed before it said anything Airflow's own id is left, which begins with how it was made.
    """
    known = records.run_of(Session(Run(project=project)).store, project, run)
    backfill = run.partition(".")[2].startswith("backfill__")
    return Session(
        known or Run(project=project, id=run, runner="airflow", started_by="backfill" if backfill else "person"), graph
    )


def of_run(session: Session, state: str) -> list[Alert]:
    """What a run that has ended in this state has to tell, those kinds only that its deployment.yaml wants told.

    A rehearsal and a backfill look at the past and tell nobody.
    """
    if session.run.looks_back:
        return []
    wanted = session.definition.deployment.alerts.tell
    return [alert for alert in (*_failure(session, state), *_rejection(session), *_drift(session)) if alert.kind in wanted]


def missed(session: Session, due: str) -> list[Alert]:
    """That a training run has not ended by the time it was due; nobody waits for one that looks back."""
    if session.run.looks_back:
        return []
    title = f"{session.run.project}: training not finished by {due}"
    body = f"The deadline of deployment.yaml is {session.definition.deployment.deadline}; the run goes on. The champion serves."
    alert = _alert(session, "deadline", session.run.id, title, body)
    return [alert] if alert.kind in session.definition.deployment.alerts.tell else []


def _failure(session: Session, state: str) -> Iterator[Alert]:
    if state != "failed":
        return
    errors = open_runs.errors(session) or [{"error.stage": "a task that left no word", "error.message": "see its log"}]
    stages = ", ".join(error["error.stage"] for error in errors)
    body = "\n".join(f"{error['error.stage']}: {error['error.message']}" for error in errors) + "\nThe champion keeps serving."
    key = f"{session.graph_name}-{today():%Y-%m-%d}-{digest_of(body)[:16]}"  # the same failure twice a day is one message
    yield _alert(session, "failure", key, f"{session.run.project}: {session.graph_name} failed in {stages}", body)


def _rejection(session: Session) -> Iterator[Alert]:
    told = _read(session, "promote", "promotion")
    if told and told["outcome"] == "refused":
        serving = f"Version {told['champion']} keeps serving." if told["champion"] else "Nothing serves yet."
        title = f"{session.run.project}: promotion of version {told['version']} refused"
        yield _alert(session, "rejection", str(told["entry"]), title, f"{told['reason']}\n{serving}")


def _drift(session: Session) -> Iterator[Alert]:
    """What the run's window came to, and the alarms it has put into the journal: judged late, it may alarm of later windows."""
    told = _read(session, "decide", "verdict")
    own = [Verdict.model_validate(told)] if told and told["outcome"] in ("drift", "data quality") else []
    sounded = [event for event in Alarms(session.store, session.run.project).events() if event.verdict]
    mine = [event.verdict for event in sounded if event.verdict and event.run == session.run.id]
    for verdict in {(name_of(each), each.outcome): each for each in (*own, *mine)}.values():
        fate = next((event for event in reversed(sounded) if name_of(verdict) in event.alarms), None)
        yield _of_window(session, verdict, fate)


def _of_window(session: Session, verdict: Verdict, fate: Event | None) -> Alert:
    """The message on one window; a window whose data were broken first and have drifted since gets two."""
    if verdict.outcome == "data quality":
        then = "No retraining: broken data would teach a model the breakage"
    elif fate is None:
        then = "No retraining: the alarm is in no journal"
    else:
        then = "Retraining starts." if fate.kind == "raised" else f"No retraining: {fate.why}"
    body = f"{verdict.recommendation}\nMoved: {', '.join(verdict.channels) or 'nothing in this window alone'}\n{then}"
    key = f"{name_of(verdict)}-{verdict.outcome.replace(' ', '-')}"
    return _alert(session, "drift", key, f"{verdict.project}: {verdict.outcome} in {verdict.window}", body)


def _read(session: Session, node: str, output: str) -> dict[str, object] | None:
    found = records.results(session.store, session.run.project, session.run.id, [node])
    told: dict[str, object] | None = session.read(found[node].outputs[output]) if node in found else None
    return told


def _alert(session: Session, kind: AlertKind, key: str, title: str, body: str) -> Alert:
    deployment, run = session.definition.deployment, session.run
    dag, _, dag_run = run.id.partition(".")
    server = os.environ.get("AIRFLOW__API__BASE_URL", "")
    return Alert(
        kind=kind,
        project=run.project,
        key=key,
        title=scrub(title),
        body=scrub(body),
        owner=deployment.owner,
        runbook=deployment.alerts.runbook,
        link=f"{server}/dags/{dag}/runs/{dag_run}" if server and dag_run else "",
    )
