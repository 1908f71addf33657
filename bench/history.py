"""A store with the past of many projects, as months of operation leave it; nothing is trained for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from pipelines.core.alarms import Event, name_of
from pipelines.core.approvals import Answer
from pipelines.core.artifacts import Ref
from pipelines.core.evidence import Verdict
from pipelines.core.ledger import Entry

WEEK = timedelta(weeks=1)
PARAMS = "profiles: {full: {}}\ncandidates: {gradient_boosting: {}}\n"
DEPLOYMENT = """owner: team-{team}
title: "Demand of region {number}"
description: "What region {number} will order next week."
tags: [tabular, regression]
system: supply
schedule: "0 4 * * 1"
monitoring: "0 5 * * *"
retraining: {{cooldown: P3D, per_week: 1}}
"""
COLUMNS = ("price", "weekday", "stock", "campaign", "weather", "region")


def write(projects: Path, store: Path, count: int, weeks: int = 52, until: datetime | None = None) -> list[str]:
    """Folders of `count` projects, and in the store a decision and a verdict a week for each; their names."""
    until = until or datetime.now(UTC)
    names = [f"region_{number:03d}" for number in range(count)]
    for number, name in enumerate(names):
        folder = projects / name
        folder.mkdir(parents=True)
        (folder / "params.yaml").write_text(PARAMS)
        (folder / "deployment.yaml").write_text(DEPLOYMENT.format(number=number, team=number % 7))
        past = list(_past(name, random.Random(name), weeks, until, uneasy=number % 3 == 2))  # noqa: S311
        for kind, place in ((Entry, "ledger"), (Event, "alarms")):
            for index, record in enumerate((one for one in past if isinstance(one, kind)), 1):
                _put(store / place / name / f"{index:06d}.json", record.model_copy(update={"number": index}))
        for verdict in (one for one in past if isinstance(one, Verdict)):
            name_of_record = f"v{verdict.champion or 0:04d}-{_digest(verdict.window)[:12]}.json"
            _put(store / "verdicts" / name / verdict.window / name_of_record, verdict)
    return names


def _past(name: str, rng: random.Random, weeks: int, until: datetime, *, uneasy: bool) -> Iterator[Entry | Event | Verdict]:
    """One project's records in the order in which they came; an uneasy one ends with a refusal and a drift alarm."""
    champion, level = None, rng.uniform(0.7, 0.85)
    for week in range(weeks):
        at, run = until - (weeks - week) * WEEK, f"run-{week:03d}"
        ends = uneasy and week == weeks - 1
        better = champion is None or (rng.random() < 0.4 and not ends)
        kind: Literal["promotion", "rejection"] = "promotion" if better else "rejection"
        level += rng.gauss(0.004 if kind == "promotion" else -0.002, 0.004)
        yield _decision(name, kind, week + 1, champion, level, at, run)
        if kind == "promotion":
            champion = week + 1
        verdict = _verdict(name, rng, champion or 0, at, drift=ends or rng.random() < 0.08)
        yield verdict
        if verdict.outcome == "drift":
            yield from _alarm(verdict, at, f"watch-{week:03d}", answered=week < weeks - 2)


def _decision(
    name: str, kind: Literal["promotion", "rejection"], version: int, champion: int | None, level: float, at: datetime, run: str
) -> Entry:
    model = Ref(name="model", digest=_digest(f"{name} {version}"), codec="model", size=1000)
    lineage = {
        f"stage.{stage}.fingerprint": _digest(f"{name} {stage} {version}")
        for stage in ("ingest", "validate", "features", "train")
    }
    return Entry(
        kind=kind,
        at=at,
        run=run,
        why=f"{'accepted: all 9 criteria passed' if kind == 'promotion' else 'refused: not worse than champion: wanted gain ≥ 0, found -0.0031'}"
        f" (gradient_boosting, roc_auc {level:.4f}, data from public)",
        version=version,
        candidate="gradient_boosting",
        model=model,
        models=(model.digest,),
        approval=Answer(approved=True, by="ada", at=at, why="looks right") if version % 3 == 0 else None,
        replaced=champion if kind == "promotion" else None,
        artifacts={
            part: model.model_copy(update={"name": part}) for part in ("raw", "snapshot", "validation", "leaderboard", "card")
        },
        lineage={"data.dataset": "orders", "data.source": "public", "data.sha256": _digest(f"{name} data {version}"), **lineage},
        metrics={"roc_auc": {"value": level, "low": level - 0.02, "high": level + 0.02}},
    )


def _verdict(name: str, rng: random.Random, champion: int, at: datetime, *, drift: bool) -> Verdict:
    return Verdict(
        project=name,
        champion=champion,
        window=f"{at - WEEK:%Y-%m-%d}..{at:%Y-%m-%d}",
        outcome="drift" if drift else "no drift" if rng.random() < 0.95 else "too small to judge",
        channels=tuple(rng.sample(COLUMNS, 2)) if drift else (),
        recommendation="look at their source" if drift else "keep the champion",
    )


def _alarm(verdict: Verdict, at: datetime, run: str, *, answered: bool) -> Iterator[Event]:
    """An alarm, and its answer by the run of that week."""
    names, why = (name_of(verdict),), verdict.recommendation
    yield Event(kind="raised", alarms=names, at=at, as_of=at, run=run, why=why, verdict=verdict)
    if answered:
        told = "retraining, started by drift"
        yield Event(kind="claimed", alarms=names, at=at + WEEK, as_of=at + WEEK, run=f"{run}-r", started_by="drift", why=told)
        yield Event(kind="answered", alarms=names, at=at + WEEK, as_of=at + WEEK, run=f"{run}-r", why="promoted: version follows")


def _put(file: Path, record: BaseModel) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(record.model_dump_json(indent=1), encoding="utf-8")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
