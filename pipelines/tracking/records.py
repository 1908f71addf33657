"""What a run was asked and what each of its stages gave, kept in the store: what `lineage` and `reproduce` start from.

::

    runs/<project>/<run>/run.json            the `Run`
    runs/<project>/<run>/params.json         params.yaml as resolved then
    runs/<project>/<run>/nodes/<node>.json   the `StageResult`, fingerprint and references
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pydantic import BaseModel

from pipelines.core.artifacts import StageResult
from pipelines.core.config import Params
from pipelines.core.errors import DataError
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.store import Store


def remember_run(session: Session) -> None:
    """Keep what was asked; once a run. Raises ConfigError for parameters that are wrong, when the run itself is kept."""
    place = _place(session.run.project, session.run.id)
    asked: dict[str, Callable[[], BaseModel]] = {"run": lambda: session.run, "params": lambda: session.params}
    for name, document in asked.items():
        if session.store.read(f"{place}/{name}.json") is None:  # reading is cheaper than finding out by writing
            session.store.create(f"{place}/{name}.json", document().model_dump_json(indent=1).encode())


def remember(session: Session, result: StageResult) -> None:
    """Keep what a stage gave; what is there already is not written again."""
    remember_run(session)
    key = f"{_place(session.run.project, session.run.id)}/nodes/{result.node}.json"
    content = result.model_dump_json(indent=1).encode()
    if session.store.read(key) != content:
        session.store.replace(key, content)


def asked(store: Store, project: str, run: str) -> tuple[Run, Params]:
    """What a run was asked. Raises DataError when the store does not know it."""
    place = _place(project, run)
    found, params = store.read(f"{place}/run.json"), store.read(f"{place}/params.json")
    if found is None or params is None:
        raise DataError(f"the store has no record of run {run!r} of {project}: expected {place}/run.json and params.json there")
    return Run.model_validate_json(found), Params.model_validate_json(params)


def run_of(store: Store, project: str, run: str) -> Run | None:
    """What was asked, but for the parameters; None when no stage of it came so far as to say it."""
    found = store.read(f"{_place(project, run)}/run.json")
    return None if found is None else Run.model_validate_json(found)


def results(store: Store, project: str, run: str, nodes: Iterable[str] | None = None) -> dict[str, StageResult]:
    """What each stage of a run gave, by node; of these nodes only where they are named. What has given nothing is left out."""
    place = f"{_place(project, run)}/nodes/"
    keys = store.keys(place) if nodes is None else [f"{place}{node}.json" for node in nodes]
    found = (store.read(key) for key in keys)
    parsed = [StageResult.model_validate_json(content) for content in found if content]
    return {result.node: result for result in parsed}


class Activity(NamedTuple):
    """What the store has of a run."""

    at: float
    """When it last wrote, in seconds since the epoch."""
    sizes: dict[str, int]
    """Bytes of each of its records, by key."""


def activity(store: Store, prefix: str = "runs/") -> dict[tuple[str, str], Activity]:
    """All runs that have a record, by project and id."""
    found: dict[tuple[str, str], Activity] = {}
    for key, stamp in store.backend.stamps(prefix).items():
        _, project, run, _ = key.split("/", 3)
        known = found.get((project, run), Activity(0.0, {}))
        found[project, run] = Activity(max(known.at, stamp.at), known.sizes | {key: stamp.size})
    return found


def _place(project: str, run: str) -> str:
    return f"runs/{project}/{run}"
