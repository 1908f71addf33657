"""Where a run's results come from, as flat text: the same keys are tags of runs and versions and lineage in the ledger."""

from __future__ import annotations

import json
import platform

from pipelines.core.execution import Session
from pipelines.core.fingerprint import LOCK, digest_of
from pipelines.core.run import git_state
from pipelines.core.store import sha256_of
from pipelines.tracking.scrub import scrub

RUN = "pipelines.run"
"""The tag that holds the pipeline run's id."""


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
    tags |= {f"{run.runner}.{key}": value for key, value in run.engine.items()}
    return {key: scrub(value) for key, value in tags.items()}
