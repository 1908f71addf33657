"""Where a version came from, and whether the same comes out again."""

from __future__ import annotations

import json
from typing import Any

from pipelines.core import graph
from pipelines.core.artifacts import StageResult
from pipelines.core.ledger import Entry, History, Ledger
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.tracking import records, registry
from pipelines.tracking.provenance import differences
from pipelines.tracking.reproduce import reproduce

__all__ = ["lineage", "reproduce"]

_STAGE = "stage."


def lineage(project: str, version: int | str = "champion", settings: Settings | None = None) -> dict[str, Any]:
    """Everything known of where a version came from; answered from the store alone, MLflow need not be there.

    Keys: ``project, version, aliases, candidate, model, promoted, why, run, mlflow_run, runner, engine, as_of, profile,
    overrides, seed, params, params_sha256, code, data, environment, stages, metrics, decision, replaced, replaced_by,
    warnings``. Raises ConfigError for an unknown version, naming those there are.
    """
    settings = settings or Settings.load()
    entry = registry.find(project, version, settings)
    store = Store.open(settings.store, settings.home / "cache" / "store")
    past = Ledger(store).history(project)
    told = entry.lineage
    aliases = registry.derived_aliases(past)
    assert entry.model is not None
    return {
        "project": project,
        "version": entry.version,
        "aliases": sorted(alias for alias, number in aliases.items() if number == entry.version),
        "candidate": entry.candidate,
        "model": entry.model.digest,
        "promoted": entry.at.isoformat() if entry.kind == "promotion" else None,
        "why": told.get("pipelines.why"),
        "reason": entry.why,
        "run": entry.run,
        "mlflow_run": told.get("mlflow.run"),
        "runner": told.get("pipelines.runner"),
        "engine": _section(told, f"{told.get('pipelines.runner')}."),
        "as_of": told.get("pipelines.as_of"),
        "profile": told.get("pipelines.profile"),
        "overrides": json.loads(told.get("pipelines.overrides", "{}")),
        "seed": told.get("seed"),
        "params": _params(store, project, entry.run),
        "params_sha256": told.get("params.sha256"),
        "code": _section(told, "git."),
        "data": _section(told, "data."),
        "environment": {"lock_sha256": told.get("lock.sha256"), "python": told.get("python")},
        "stages": _stages(entry, records.results(store, project, entry.run)),
        "metrics": entry.metrics,
        "decision": json.loads(store.fetch(entry.decision).read_text(encoding="utf-8")) if entry.decision else None,
        "replaced": entry.replaced,
        "replaced_by": _replaced_by(past, entry),
        "warnings": differences(project, entry),
    }


def _section(told: dict[str, str], prefix: str) -> dict[str, Any]:
    """The values under a prefix; those that are JSON objects are parsed."""
    found = {key.removeprefix(prefix): value for key, value in told.items() if key.startswith(prefix)}
    return {key: json.loads(value) if value.startswith("{") else value for key, value in found.items()}


def _params(store: Store, project: str, run: str) -> dict[str, Any] | None:
    params: dict[str, Any] | None = store.read_json(f"runs/{project}/{run}/params.json")
    return params


def _stages(entry: Entry, results: dict[str, StageResult]) -> list[dict[str, Any]]:
    """Each stage's fingerprint, and the artifacts it gave where the run's own record has them."""
    marks = {
        key.removeprefix(_STAGE).removesuffix(".fingerprint"): value
        for key, value in entry.lineage.items()
        if key.startswith(_STAGE)
    }
    marks |= {node: result.fingerprint for node, result in results.items()}
    order = [stage.name for stage in graph.TRAINING]
    return [
        {
            "node": node,
            "fingerprint": mark,
            "reused": results[node].reused if node in results else None,
            "outputs": {name: ref.digest for name, ref in results[node].outputs.items()} if node in results else {},
        }
        for node, mark in sorted(marks.items(), key=lambda item: order.index(item[0].partition("-")[0]))
    ]


def _replaced_by(past: History, entry: Entry) -> int | None:
    """The version that took this one's place, the last time it lost it; None while it serves."""
    moves = [e for e in past.moves if entry.version in (e.version, e.replaced)]
    return moves[-1].version if moves and moves[-1].replaced == entry.version else None
