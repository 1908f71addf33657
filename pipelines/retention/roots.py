"""What must stay, and why.

Kept whole, with everything their stages gave: the newest runs of each project and those within its time (`retention` in
deployment.yaml), runs that are open, and the runs of the champion, the challenger and the previous champion.

Kept of every other run in the history: its records, its documents (JSON), and what its entry in the ledger refers to: model,
decision, raw data, snapshot, card. So each version that was ever judged can be loaded, traced and built again; what goes are
its splits, the models that lost, its figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.core.artifacts import Ref
from pipelines.core.deployment import Retention
from pipelines.core.discovery import find_project
from pipelines.core.errors import ConfigError
from pipelines.core.ledger import History, Ledger
from pipelines.core.store import Store
from pipelines.tracking import records, registry
from pipelines.tracking.records import Activity

Key = tuple[str, str]
"""A run: project and id."""


@dataclass(frozen=True)
class Roots:
    """Where everything that stays is reached from."""

    runs: frozenset[Key]
    """Runs whose records stay."""
    refs: frozenset[Ref]


def roots(store: Store, active: dict[Key, Activity], now: float, others: Iterable[Ref] = ()) -> Roots:
    """What stays of a store, given when each run was last at work; `others` are references from outside the store."""
    histories = [(project, Ledger(one).history(project)) for one in _stores(store) for project in _projects(one, active)]
    whole = {key for project, past in histories for key in _whole(project, past, active, now)} | _open(store)
    judged = {(project, entry.run) for project, past in histories for entry in past.entries}
    refs = {ref for _, past in histories for ref in _of_history(past)} | set(others)
    for key in whole | judged:
        for result in records.results(store, *key).values():
            refs |= {ref for ref in result.outputs.values() if key in whole or ref.codec == "json"}
    return Roots(frozenset(whole | judged), frozenset(refs))


def _stores(store: Store) -> list[Store]:
    """What serves, and each rehearsal: its history may be rehearsed again, and is as much a history."""
    return [store, *(store.rehearsing(name) for name in store.rehearsals())]


def _projects(store: Store, active: Iterable[Key]) -> set[str]:
    return {project for project, _ in active} | {key.split("/")[1] for key in store.keys("ledger/")}


def _whole(project: str, past: History, active: dict[Key, Activity], now: float) -> set[Key]:
    policy = _policy(project)
    newest = sorted((key for key in active if key[0] == project), key=lambda key: active[key].at, reverse=True)
    kept = set(newest[: policy.runs]) | {key for key in newest if now - active[key].at <= policy.within.total_seconds()}
    named = set(registry.derived_aliases(past).values())
    return kept | {(project, entry.run) for entry in past.entries if entry.version in named and entry.kind != "baseline"}


def _policy(project: str) -> Retention:
    """A project that is gone, or whose YAML is broken, is kept by the defaults."""
    try:
        return find_project(project).deployment.retention
    except ConfigError:
        return Retention()


def _open(store: Store) -> set[Key]:
    paths = [PurePosixPath(key) for key in store.keys("open-runs/")]
    return {(path.parent.name, path.stem) for path in paths}


def _of_history(past: History) -> set[Ref]:
    found = {ref for entry in past.entries for ref in (entry.model, entry.decision, *entry.artifacts.values())}
    return {ref for ref in found if ref is not None}
