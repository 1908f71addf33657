"""Where a run's results come from, as flat text: the same keys are tags of runs and versions and lineage in the ledger."""

from __future__ import annotations

import json
import platform

from pipelines.core.alarms import Alarms
from pipelines.core.execution import Session
from pipelines.core.files import sha256_of
from pipelines.core.fingerprint import LOCK, digest_of
from pipelines.core.ledger import Entry
from pipelines.core.run import git_state
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
        "pipelines.why": run.why,
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
    if run.rehearsal:
        tags["pipelines.rehearsal"] = run.rehearsal
    if answered := Alarms(session.store, run.project).of(run.id):
        tags["pipelines.alarms"] = ", ".join(answered)
    tags |= {f"{run.runner}.{key}": value for key, value in run.engine.items() if key not in PER_TASK}
    return {key: scrub(value) for key, value in tags.items()}


def differences(entry: Entry) -> list[str]:
    """In what the code and environment of now differ from those the version was made with."""
    git, told = git_state(), entry.lineage
    lock = sha256_of(LOCK) if LOCK.is_file() else ""
    found = []
    if told.get("git.commit") != git["commit"]:
        found.append(f"made at commit {told.get('git.commit') or 'unknown'}; this is {git['commit'] or 'unknown'}")
    if told.get("git.dirty") == "true":
        found.append("made with uncommitted changes; the run's artifact uncommitted.diff has them")
    if told.get("lock.sha256") != lock:
        found.append("the lock file has changed since: other library versions may give other numbers")
    return found
