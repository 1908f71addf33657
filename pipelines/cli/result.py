"""What a run came to, as one plain document: the same for every runner, for people and for scripts.

It is made from the stages' results and the artifacts they refer to, nothing else; docs/cli.md lists its keys.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.execution import Session
from pipelines.core.files import disk_errors

PAGES = {
    "card": "model card",
    "data_docs": "data docs",
    "exploration": "exploration",
    "exports": "exports",
    "drift_report": "drift report",
    "figures": "figures",
}
"""Artifacts for people, by the name of their link."""

DOCUMENTS = {
    "data": "snapshot",
    "validation": "validation",
    "features": "feature_report",
    "leaderboard": "leaderboard",
    "decision": "decision",
    "promotion": "promotion",
    "window": "window_info",
    "drift": "drift",
    "verdict": "verdict",
}
"""Key of the result to the artifact that is shown there as it is."""


def document(session: Session, results: Mapping[str, StageResult], links: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The result of a run; what no stage of it wrote is null. `links` are added to those of the exported pages."""
    run, outputs = session.run, _outputs(results)
    history = session.ledger.history(run.project)
    champion, since, reference = history.champion, history.since, outputs.get("baseline")
    return {
        "project": run.project,
        "title": session.definition.deployment.title,
        "run": run.id,
        "chain": session.graph_name,
        "runner": run.runner,
        "profile": run.profile,
        "as_of": run.as_of.isoformat(),
        "overrides": run.overrides,
        "seconds": round(sum(result.seconds for result in results.values()), 3),
        "stages": [_stage(result) for result in results.values()],
        **{key: session.read(outputs[name]) if name in outputs else None for key, name in DOCUMENTS.items()},
        "baseline": reference.digest if reference and history.baseline and reference.digest == history.baseline.digest else None,
        "champion": champion
        and {
            "version": champion.version,
            "candidate": champion.candidate,
            "since": since and since.isoformat(),
            "run": champion.run,
        },
        "links": {**exported(session, outputs), **(links or {})},
    }


def refused(document: Mapping[str, Any]) -> bool:
    """Whether the winner was not promoted: a gate said no, a person did or has yet to say yes, or it was rolled back before.

    What became of a decision counts more than the decision, for a person may have overruled it.
    """
    decision, promotion = document["decision"], document["promotion"]
    if promotion:
        return bool(promotion["outcome"] == "refused")
    return bool(decision and not decision["promote"])


def exported(session: Session, outputs: Mapping[str, Ref]) -> dict[str, str]:
    """Copies of the pages for people outside the store, by name: the path of the first page of each.

    A copy is named after its content, so that the same page is copied once.
    """
    places: dict[str, str] = {}
    for name in PAGES:
        if (ref := outputs.get(name)) and session.store.manifest(ref.digest).files:  # a project may have none to show
            folder = session.settings.home / "reports" / session.run.project / f"{name}-{ref.digest[:12]}"
            if not folder.is_dir():
                with disk_errors(f"copying {PAGES[name]} to {folder}"):
                    _copy(session.read(ref), folder)
            places[name] = str(folder / "index.html" if (folder / "index.html").is_file() else folder)
    return places


def _copy(source: Path, target: Path) -> None:
    """All of a folder under its final name at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}-{source.name}")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(source, half)
    half.replace(target)


def _outputs(results: Mapping[str, StageResult]) -> dict[str, Ref]:
    """Every artifact written once in a run, by name."""
    return {name: ref for result in results.values() for name, ref in result.outputs.items()}


def _stage(result: StageResult) -> dict[str, Any]:
    return {
        "stage": result.node,
        "reused": result.reused,
        "seconds": round(result.seconds, 3),
        "fingerprint": result.fingerprint,
        "outputs": {name: ref.digest for name, ref in result.outputs.items()},
    }
