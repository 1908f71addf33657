"""Tune and fit one candidate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from pipelines.core.config import Strict, validated
from pipelines.core.contract import Training
from pipelines.core.execution import Context


def train(context: Context) -> dict[str, Any]:
    """A fitted model, and how it came about: parameters, trials, curve and its scores on the validation rows.

    The study and the checkpoints lie in places named after the fingerprint, so that a killed process finds them again
    and different inputs never meet; they are removed once the model is there.
    """
    project, params, candidate = context.project, context.params, context.candidate
    own = validated(
        project.candidate_params.get(candidate, Strict), params.train.candidates[candidate], f"train.candidates.{candidate}"
    )
    score = partial(project.score, params=validated(project.score_params, params.score, "params.yaml, score"))
    fitting, valid = context.read("train"), context.read("valid")
    folder = context.session.settings.home / "studies" / context.fingerprint
    folder.mkdir(parents=True, exist_ok=True)
    training = Training(
        seed=params.seed,
        trials=params.train.trials,
        seconds=params.train.seconds,
        metric=params.evaluate.metric,
        greater_is_better=params.evaluate.greater_is_better,
        study=context.session.settings.study or f"journal://{folder / 'study.journal'}",
        study_name=f"{context.run.project}-{candidate}-{context.fingerprint[:16]}",
        score=score,
        progress=context.progress,
        workdir=folder,
    )
    fit = project.fit(candidate, own, fitting, valid, training)
    scores = score(project.truth(valid), project.predict(fit.model, valid))
    _remove(folder)
    return {
        "model": fit.model,
        "fit": {"candidate": candidate, "params": fit.params, "trials": fit.trials, "curve": fit.curve, "valid": scores},
    }


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
