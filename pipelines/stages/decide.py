"""Turn the drift report into a verdict, kept beside the champion's history."""

from __future__ import annotations

import re
from typing import Any

from pipelines.core.evidence import Drift, Verdict
from pipelines.core.execution import Context


def decide(context: Context) -> dict[str, Any]:
    """The verdict, also stored under ``verdicts/<project>/``. The same drift report leaves one record, however often."""
    drift = Drift.model_validate(context.read("drift"))
    verdict = judge(context.run.project, context.read("window_info")["window"], drift)
    key = re.sub(r"[^0-9A-Za-z.-]+", "-", verdict.window)
    name = f"verdicts/{context.run.project}/{key}/v{drift.champion or 0:04d}-{context.ref('drift').digest[:12]}.json"
    context.session.store.create(name, verdict.model_dump_json(indent=1).encode())
    return {"verdict": verdict}


def judge(project: str, window: str, drift: Drift) -> Verdict:
    """What a drift report amounts to, and what to do about it."""
    drifted = tuple(channel.name for channel in drift.drifted)
    answers = [channel.name for channel in drift.drifted if channel.kind in ("score", "prediction")]
    if drift.champion is None:
        outcome, advice = "no champion", f"train one: `pipelines run {project}`"
    elif not drift.judged:
        outcome, advice = "too small to judge", "wait for more rows, or widen replay.window or lower monitor.rows"
    elif answers:
        outcome, advice = "drift", f"the model's answers have shifted ({_listed(answers)}): retrain and compare with the champion"
    elif drifted:
        outcome, advice = "drift", f"inputs have shifted ({_listed(drifted)}), the model's answers have not: look at their source"
    else:
        outcome, advice = "no drift", "keep the champion"
    return Verdict.model_validate(
        {
            "project": project,
            "champion": drift.champion,
            "window": window,
            "outcome": outcome,
            "channels": drifted,
            "recommendation": advice,
        }
    )


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
