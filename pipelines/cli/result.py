"""What a run came to, as one plain document: the same for every runner, for people and for scripts.

It is made from the stages' results and the artifacts they refer to, nothing else; docs/cli.md lists its keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.core.artifacts import StageResult
from pipelines.core.execution import Session


def document(session: Session, results: Mapping[str, StageResult], links: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The result of a run; parts whose stage did not run are null."""

    def read(artifact: str) -> Any:
        stage = next((result for result in results.values() if artifact in result.outputs), None)
        return stage and session.read(stage.outputs[artifact])

    champion = session.ledger.history(session.run.project).champion
    run = session.run
    return {
        "project": run.project,
        "run": run.id,
        "runner": run.runner,
        "profile": run.profile,
        "as_of": run.as_of.isoformat(),
        "stages": [
            {
                "stage": name,
                "reused": result.reused,
                "seconds": round(result.seconds, 3),
                "outputs": {output: ref.digest for output, ref in result.outputs.items()},
            }
            for name, result in results.items()
        ],
        "data": read("snapshot"),
        "validation": read("validation"),
        "features": read("feature_report"),
        "leaderboard": read("leaderboard"),
        "decision": read("decision"),
        "promotion": read("promotion"),
        "champion": champion and {"version": champion.version, "candidate": champion.candidate, "since": champion.at.isoformat()},
        "baseline": next((r.outputs["baseline"].digest for r in results.values() if "baseline" in r.outputs), None),
        "window": read("window_info"),
        "drift": read("drift"),
        "verdict": read("verdict"),
        "links": dict(links or {}),
    }


def refused(document: Mapping[str, Any]) -> bool:
    """Whether a gate said no."""
    decision = document["decision"]
    return bool(decision and not decision["promote"])
