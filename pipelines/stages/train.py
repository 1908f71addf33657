"""Tune and fit one candidate."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from pipelines.core.config import Evaluate, Gates, Strict, validated
from pipelines.core.contract import Project, Training
from pipelines.core.errors import ConfigError
from pipelines.core.execution import Context
from pipelines.core.files import disk_errors
from pipelines.data import sources
from pipelines.parts.evaluation import gates


def train(context: Context) -> dict[str, Any]:
    """A fitted model, and how it came about: parameters, trials, curve, its scores on the validation rows, and
    the published files it was made with.

    The study and the checkpoints are named after the fingerprint, so that the run after a killed one finds them again and
    different inputs never meet.
    """
    project, params, candidate = context.project, context.params, context.candidate
    own = validated(
        project.candidate_params.get(candidate, Strict), params.train.candidates[candidate], f"train.candidates.{candidate}"
    )
    how = validated(project.score_params, params.score, "params.yaml, score")
    score = partial(_score, project, how, params.evaluate)
    fitting, valid = context.read("train"), context.read("valid")
    resources: dict[str, sources.Fetched] = {}
    with _place(context) as folder:
        resumes = not context.run.fresh and folder != context.workdir
        training = Training(
            seed=params.seed,
            trials=params.train.trials,
            seconds=params.train.seconds,
            metric=params.evaluate.metric,
            greater_is_better=params.evaluate.greater_is_better,
            study=context.session.settings.study or f"journal://{folder / 'study.journal'}",
            study_name="-".join((candidate, context.fingerprint[:16], *([] if resumes else [context.run.id]))),
            score=score,
            progress=context.progress,
            resource=partial(_resource, context, resources),
            workdir=folder,
        )
        fit = project.fit(candidate, own, fitting, valid, training)
    scores = score(project.truth(valid), project.predict(fit.model, valid))
    return {
        "model": fit.model,
        "fit": {
            "candidate": candidate,
            "params": fit.params,
            "trials": fit.trials,
            "curve": fit.curve,
            "valid": scores,
            "resources": {name: {"source": f.source, "origin": f.origin, "files": f.files} for name, f in resources.items()},
        },
    }


def _score(project: Project[Any, Any], how: Strict, asked: Evaluate, truth: Any, predictions: Any) -> dict[str, float]:
    """The project's metrics. Raises ConfigError when the headline is none of them: which there are shows here first."""
    found = project.score(truth, predictions, how)
    gates.check_names(asked, Gates(), found)
    return found


def _resource(context: Context, fetched: dict[str, sources.Fetched], name: str) -> Path:
    """The files of a catalog entry, fetched once a run; what came from where is kept beside the scores."""
    if name not in fetched:
        session, folder = context.session, context.workdir / "resources" / name
        if name in session.definition.entries and name not in session.resources:
            raise ConfigError(
                f"candidate {context.candidate!r} asks for the resource {name!r}, a name that stands as one string neither in the "
                "project's code nor among its candidates' parameters, so a change of that entry would go unseen; write it out there"
            )
        fetched[name] = sources.fetch_resource(name, session.settings, folder, context.progress, session.definition.catalog)
    return fetched[name].folder


@contextmanager
def _place(context: Context) -> Iterator[Path]:
    """A folder for the study and checkpoints of these inputs, removed once it has served.

    It belongs to one process at a time: a second one with the same inputs works in a folder of its own. The lock is the
    kernel's, so it ends with the process, however that ends.
    """
    folder = context.session.settings.home / "studies" / context.fingerprint
    with disk_errors(f"preparing {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    with lock:
        if not _alone(lock):
            yield context.workdir
            return
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def _alone(lock: TextIO) -> bool:
    """Whether the lock is ours, and still the one that others find: who had it before may just have removed it with its folder."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock.fileno()), Path(lock.name).stat())
    except (BlockingIOError, FileNotFoundError):
        return False
