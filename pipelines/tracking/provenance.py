"""Where a run's results come from, as flat text: the same keys are tags of runs and versions and lineage in the ledger."""

from __future__ import annotations

import json
import platform

from pipelines.core.alarms import Alarms
from pipelines.core.discovery import find_project
from pipelines.core.execution import Session
from pipelines.core.files import sha256_of
from pipelines.core.fingerprint import LOCK, digest_of
from pipelines.core.ledger import Entry
from pipelines.core.run import git_state, own_git_state
from pipelines.core.scrub import scrub

RUN = "pipelines.run"
"""The tag that holds the pipeline run's id."""
PER_TASK = {"task_id", "try"}
"""What an engine says of one task; it is logged with the task's stage."""


def provenance(session: Session) -> dict[str, str]:
    """Code, parameters, environment and reason of a run; what the data were is added by `facts` when they are known."""
    run, git = session.run, git_state()
    tags = {
        RUN: run.id,
        "pipelines.project": run.project,
        "pipelines.graph": session.graph_name,
        "pipelines.runner": run.runner,
        "pipelines.started_by": run.started_by,
        "pipelines.why": run.why or run.started_by,
        "pipelines.profile": run.profile,
        "pipelines.as_of": run.as_of.isoformat(),
        "pipelines.overrides": json.dumps(run.overrides, sort_keys=True, default=str),
        "git.commit": git["commit"],
        "git.dirty": git["dirty"],
        "params.sha256": digest_of(session.params.model_dump(mode="json")),
        "seed": str(session.params.seed),
        "lock.sha256": sha256_of(LOCK) if LOCK.is_file() else "",
        "python": platform.python_version(),
    }
    if own := own_git_state(session.definition.folder):
        tags |= {"git.project.commit": own["commit"], "git.project.dirty": own["dirty"]}
    if run.rehearsal:
        tags["pipelines.rehearsal"] = run.rehearsal
    if answered := Alarms(session.store, run.project).of(run.id):
        tags["pipelines.alarms"] = ", ".join(answered)
    tags |= {f"{run.runner}.{key}": value for key, value in run.engine.items() if key not in PER_TASK}
    return {key: scrub(value) for key, value in tags.items()}


def uncommitted(session: Session) -> dict[str, str]:
    """How the code differs from its commits: the text of each diff by the name of the file it is shown as; none when it does not.

    A project in a repository of its own has a diff of its own.
    """
    diffs = {"uncommitted.diff": git_state()["diff"]}
    diffs["uncommitted-project.diff"] = own_git_state(session.definition.folder).get("diff", "")
    return {name: scrub(diff) for name, diff in diffs.items() if diff}


def differences(project: str, entry: Entry) -> list[str]:
    """In what the code and environment of now differ from those the version was made with."""
    told = entry.lineage
    lock = sha256_of(LOCK) if LOCK.is_file() else ""
    own = own_git_state(find_project(project).folder)
    found = _commits("made", told, "git.", git_state()["commit"], "uncommitted.diff")
    if own or "git.project.commit" in told:
        now = own.get("commit", "")
        found += _commits("the project's own repository: made", told, "git.project.", now, "uncommitted-project.diff")
    if told.get("lock.sha256") != lock:
        found.append("the lock file has changed since: other library versions may give other numbers")
    return found


def _commits(made: str, told: dict[str, str], prefix: str, now: str, diff: str) -> list[str]:
    found = []
    if told.get(f"{prefix}commit") != now:
        found.append(f"{made} at commit {told.get(f'{prefix}commit') or 'unknown'}; this is {now or 'unknown'}")
    if told.get(f"{prefix}dirty") == "true":
        found.append(f"{made} with uncommitted changes; the run's artifact {diff} has them")
    return found
