"""What is measured, read from the store's records. Everything is a gauge that says how things stand now, totals included: a
number that is sent twice, or by another process, says the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipelines.core.alarms import Alarms
from pipelines.core.artifacts import StageResult
from pipelines.core.evidence import Drift, Estimate, Verdict
from pipelines.core.execution import Session
from pipelines.core.ledger import History, Ledger
from pipelines.core.store import Store
from pipelines.tracking import open_runs, records

CATALOG = {
    "pipelines.champion.version": "Version that serves",
    "pipelines.champion.promoted": "When the champion's version was promoted, in seconds since 1970",
    "pipelines.champion.score": "Headline metric of the champion when it was judged; bound: value, low or high of its interval",
    "pipelines.decisions": "How often so far; kind: promotion, rejection (by a gate or a person) or rollback",
    "pipelines.alarms": "Drift alarms so far; state: waiting for a run, or suppressed by policy",
    "pipelines.drift": "1 when the newest verdict was drift, 0 when it was not; nothing while a window is not judged: too small, or its data broken",
    "pipelines.drift.p_value": "Smallest p-value of the newest verdict, of the whole family of channels",
    "pipelines.run.seconds": "Time the stages of the newest run took, one after the other",
    "pipelines.run.failed": "1 when the newest run failed, 0 when it ended well",
    "pipelines.stage.seconds": "Time a stage of the newest run took; reused: whether it was answered from the store",
    "pipelines.rows": "Rows of the newest run; part: train, valid, test or window",
}
"""Every name, with what it means. All carry `project`; those of a run also `graph`."""


class Measure(NamedTuple):
    """One number."""

    name: str
    value: float
    labels: Mapping[str, str]


def of_project(store: Store, project: str) -> list[Measure]:
    """How a project stands."""
    history = Ledger(store).history(project)
    found = [*_champion(history), *_decisions(history), *_alarms(store, project)]
    return [Measure(name, value, {"project": project, **labels}) for name, value, labels in found]


def of_run(session: Session, state: str) -> list[Measure]:
    """What a run that has ended in a state (`success` or `failed`) came to."""
    results = records.results(session.store, session.run.project, session.run.id)
    found = [*_time(results, state), *_rows(session, results), *_verdict(session, results)]
    labels = {"project": session.run.project, "graph": session.graph_name}
    return [Measure(name, value, {**labels, **own}) for name, value, own in found]


def _champion(history: History) -> Iterator[Measure]:
    if (champion := history.champion) is None:
        return
    yield Measure("pipelines.champion.version", champion.version or 0, {})
    yield Measure("pipelines.champion.promoted", champion.at.timestamp(), {})
    for metric, told in champion.metrics.items():
        for bound, value in Estimate.model_validate(told).model_dump().items():
            yield Measure("pipelines.champion.score", value, {"metric": metric, "bound": bound})


def _decisions(history: History) -> Iterator[Measure]:
    for kind in ("promotion", "rejection", "rollback"):
        yield Measure("pipelines.decisions", sum(entry.kind == kind for entry in history.entries), {"kind": kind})


def _alarms(store: Store, project: str) -> Iterator[Measure]:
    alarms = Alarms(store, project)
    suppressed = {name for event in alarms.events() if event.kind == "suppressed" for name in event.alarms}
    yield Measure("pipelines.alarms", len(alarms.open(open_runs.over(store, project))), {"state": "waiting"})
    yield Measure("pipelines.alarms", len(suppressed), {"state": "suppressed"})


def _time(results: Mapping[str, StageResult], state: str) -> Iterator[Measure]:
    yield Measure("pipelines.run.failed", float(state == "failed"), {})
    if results:
        yield Measure("pipelines.run.seconds", sum(result.seconds for result in results.values()), {})
    for node, result in results.items():
        yield Measure("pipelines.stage.seconds", result.seconds, {"stage": node, "reused": str(result.reused).lower()})


def _rows(session: Session, results: Mapping[str, StageResult]) -> Iterator[Measure]:
    parts: Mapping[str, float] = {}
    if "evaluate" in results:
        parts = session.read(results["evaluate"].outputs["decision"])["rows"]
    elif "collect" in results:
        parts = {"window": session.read(results["collect"].outputs["window_info"])["rows"]}
    for part, rows in parts.items():
        yield Measure("pipelines.rows", rows, {"part": part})


def _verdict(session: Session, results: Mapping[str, StageResult]) -> Iterator[Measure]:
    if "decide" in results:
        verdict = Verdict.model_validate(session.read(results["decide"].outputs["verdict"]))
        if verdict.outcome in ("no drift", "watch", "drift"):
            yield Measure("pipelines.drift", float(verdict.outcome == "drift"), {})
    if "check" not in results:
        return
    drift = Drift.model_validate(session.read(results["check"].outputs["drift"]))
    if drift.channels:
        yield Measure("pipelines.drift.p_value", min(channel.p_value for channel in drift.channels), {})
