"""Turn the drift report into a verdict, kept beside the champion's history; drift is an alarm, which policy may suppress.

A verdict follows from all windows of the champion judged so far, see `parts.drift.sequence`. What each window showed is kept
in its verdict; a window that is judged late, as in a backfill, has the later ones concluded again. So the verdicts are the
same in the end, whatever the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pipelines.core.alarms import Alarms
from pipelines.core.evidence import Drift, Verdict, in_order
from pipelines.core.execution import Context
from pipelines.core.store import Store
from pipelines.parts.drift import Seen, weigh


def decide(context: Context) -> dict[str, Any]:
    """The verdict, also stored under ``verdicts/<project>/``. The same drift report leaves one record, however often, with the
    time of the last, and the same window one alarm.
    """
    drift = Drift.model_validate(context.read("drift"))
    session, window = context.session, context.read("window_info")["window"]
    known = records(session.store, context.run.project, drift.champion)
    verdict = judge(context.run.project, window, drift, known.values())
    key = re.sub(r"[^0-9A-Za-z.-]+", "-", verdict.window)
    name = f"verdicts/{context.run.project}/{key}/v{drift.champion or 0:04d}-{context.ref('drift').digest[:12]}.json"
    changed = {name: verdict.model_copy(update={"at": datetime.now(UTC)})} | _later(verdict, known)
    for place, each in changed.items():
        if each != known.get(place):
            session.store.replace(place, each.model_dump_json(indent=1).encode())
        if each.outcome == "drift":
            Alarms(session.store, each.project).sound(each, session.run, session.definition.deployment.retraining)
    return {"verdict": verdict}


def records(store: Store, project: str, champion: int | None) -> dict[str, Verdict]:
    """The verdicts kept for one champion, by their names in the store."""
    version = f"/v{champion or 0:04d}-"
    names = [name for name in store.keys(f"verdicts/{project}/") if version in name]
    return {name: Verdict.model_validate_json(store.read(name) or b"") for name in names}


def judge(project: str, window: str, drift: Drift, known: Iterable[Verdict] = ()) -> Verdict:
    """What a drift report amounts to, beside the verdicts on other windows, and what to do about it."""
    moved = tuple(channel.name for channel in drift.drifted)
    shown: dict[str, Any] = {"project": project, "champion": drift.champion, "window": window, "channels": moved}
    if drift.champion is None:
        return Verdict(**shown, outcome="no champion", recommendation=f"train one: `pipelines run {project}`")
    if faults := [f"{finding.name} {finding.found}" for finding in drift.quality if not finding.passed]:
        return Verdict(**shown, outcome="data quality", recommendation=f"look at the source, not at the model: {_listed(faults)}")
    if drift.p_value is None:
        advice = "wait for more rows, or widen window or lower monitor.rows"
        return Verdict(**shown, outcome="too small to judge", recommendation=advice)
    alone = Verdict(**shown, outcome="no drift", advice=_advice(drift), p_value=drift.p_value, limit=drift.limit)
    return concluded(alone, known)


def concluded(verdict: Verdict, known: Iterable[Verdict]) -> Verdict:
    """The verdict on a window that was judged, given those on other windows of the same champion."""
    state = weigh(_seen(verdict), [_seen(each) for each in known if each.p_value is not None])
    if state.alarm:
        outcome, advice = "drift", verdict.advice
    elif state.evidence > state.limit / 2:
        so_far = f"evidence {state.evidence:.1f} over {state.windows} windows; {state.limit:.1f} is an alarm"
        outcome, advice = "watch", f"wait for the next window ({so_far})"
    else:
        outcome, advice = "no drift", "keep the champion"
    told = {"outcome": outcome, "recommendation": advice, "evidence": round(state.evidence, 6), "windows": state.windows}
    return verdict.model_copy(update=told)


def earlier(store: Store, verdict: Verdict, most: int = 52) -> list[Verdict]:
    """Verdicts of the windows before this one, oldest first, one a window: the last that was reached."""
    kept = (Verdict.model_validate_json(store.read(key) or b"") for key in store.keys(f"verdicts/{verdict.project}/"))
    found = {told.window: told for told in in_order(kept) if told.window < verdict.window}
    return list(found.values())[-most:]


def _later(verdict: Verdict, known: dict[str, Verdict]) -> dict[str, Verdict]:
    """Verdicts on windows that begin where this one ends, or later, concluded again with it."""
    if verdict.p_value is None:
        return {}
    end, everything = _seen(verdict).end, [*known.values(), verdict]
    later = {name: each for name, each in known.items() if each.p_value is not None and _seen(each).start >= end}
    return {name: concluded(each, everything) for name, each in later.items()}


def _seen(verdict: Verdict) -> Seen:
    start, _, end = verdict.window.partition("..")
    return Seen(start, end, verdict.p_value or 1.0, verdict.limit or 0.0)


def _advice(drift: Drift) -> str:
    """What an alarm of this window recommends, by what weighs most of what moved in it."""
    answers = [channel.name for channel in drift.drifted if channel.kind in ("score", "prediction")]
    labels = [f"{channel.name}: {channel.note}" for channel in drift.drifted if channel.kind == "label"]
    lost = [channel.note for channel in drift.drifted if channel.kind == "performance"]
    moved = [channel.name for channel in drift.drifted]
    if lost:
        return f"the champion does worse than it did ({_listed(lost)}): retrain"
    if labels:
        return f"what is to be predicted has shifted ({_listed(labels)}): retrain and compare with the champion"
    if answers:
        return f"the model's answers have shifted ({_listed(answers)}): retrain and compare with the champion"
    if moved:
        return f"inputs have shifted ({_listed(moved)}), the model's answers have not: look at their source"
    return "small changes have lasted over several windows: look at the first channels of their reports"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
