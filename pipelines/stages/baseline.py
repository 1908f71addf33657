"""Freeze the reference that drift checks compare new windows with.

The reference is the champion's *test* rows: on rows a model learned from it is surer than it will ever be again, and its
answers to them are no measure of its answers to new ones.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

from pipelines.core.artifacts import Ref
from pipelines.core.config import Params, validated
from pipelines.core.contract import Arrays
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Decision
from pipelines.core.execution import Context, save
from pipelines.core.ledger import Entry
from pipelines.parts.drift import Metric, Outcomes, Reference, Season, Watching, importance


def baseline(context: Context) -> dict[str, Any]:
    """The reference of the version this run promoted; where it promoted none, that of the champion, unchanged."""
    promotion = context.read("promotion")
    if promotion["outcome"] != "promoted":
        return {"baseline": _kept(context, promotion)}
    winner = Decision.model_validate(context.read("decision")).winner
    model = context.session.read(context.refs("model")[winner])
    test = context.read("test")
    folder = context.workdir / "baseline"
    times = context.project.times(test)
    if times is None and context.params.monitor.season:
        raise ConfigError(
            f"params.yaml has monitor.season: {context.params.monitor.season:g}, and the rows of {context.run.project} carry no time "
            "to say which part of a season they are from; let `Project.times` say it (a table names its column `time`), or set 0"
        )
    reference = Reference.freeze(context.project.watch(model, test), context.params.seed, times=times)
    reference.write(folder, watching(context.params))
    _outcomes(context, model, test, times, reference, folder)
    _note(
        context, promotion["version"], save(context.session, context.node, {"baseline": folder}, context.fingerprint)["baseline"]
    )
    return {"baseline": folder}


def watching(params: Params) -> Watching:
    """How windows are judged, from the project's parameters."""
    monitor, cycle = params.monitor, season(params)
    together = cycle.together if cycle else 0
    return Watching(monitor.false_alarm_rate, monitor.resamples, monitor.effect, monitor.rows, params.seed, together)


def season(params: Params) -> Season | None:
    """What comes back and how long a window is; None where nothing does."""
    days = timedelta(days=params.monitor.season)
    return Season(days.total_seconds(), timedelta(weeks=params.window).total_seconds()) if days else None


def headline(context: Context) -> Metric:
    """The headline metric with the project's parameters filled in."""
    params, project = context.params, context.project
    settings = validated(project.score_params, params.score, "params.yaml, section 'score'")

    def value(truth: Arrays, predictions: Arrays) -> float:
        return project.score(truth, predictions, settings).get(params.evaluate.metric, math.nan)

    return Metric(params.evaluate.metric, value, params.evaluate.greater_is_better, params.gates.not_worse_by)


def _outcomes(context: Context, model: Any, test: Any, times: Any, reference: Reference, folder: Path) -> None:
    """What later labels are compared with, and how much the model rests on each column."""
    project, seed, metric = context.project, context.params.seed, headline(context)
    Outcomes.freeze(project.truth(test), project.predict(model, test), seed, times=times).write(folder)
    found = importance.importance(project, model, test, reference.channels, metric, seed)
    importance.write(found, metric.name, folder)


def _kept(context: Context, promotion: dict[str, Any]) -> Path:
    known = context.history.baseline
    if known is not None:
        return Path(context.session.read(known))
    folder = context.workdir / "baseline"
    folder.mkdir()
    note = {"reference": None, "why": f"nothing was promoted, and no champion has a reference yet ({promotion['reason']})"}
    (folder / "statistics.json").write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return folder


def _note(context: Context, version: int, reference: Ref) -> None:
    """Enter the reference in the ledger, once for each version and content."""
    known = [e for e in context.history.entries if e.kind == "baseline" and e.version == version]
    if known and known[-1].artifacts["baseline"].digest == reference.digest:
        return
    entry = Entry(
        kind="baseline",
        run=context.run.id,
        as_of=context.run.as_of,
        why=f"reference of version {version} for drift checks",
        version=version,
        artifacts={"baseline": reference},
    )
    context.session.ledger.append(context.run.project, entry)
